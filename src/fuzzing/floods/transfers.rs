//! Uploads whose chunks are small.

use super::super::choices::Choices;
use super::Flooder;
use super::clock::Clock;
use super::input::Input;
use crate::http::framing::Framing;
use crate::relay::TransferBudget;
use crate::rendezvous::transfer::{COPY_MAX, Delimiter, FILL_MAX};
use crate::rendezvous::{Ready, Step, Transfer};
use std::ops::Range;

/// An upload, and its download, which takes everything or nothing in a turn.
pub(super) struct Upload {
    input: Input,
    transfer: Transfer,
    /// The last read returned many small chunks.
    small_chunks: bool,
    piped: usize,
    progress: usize,
}

impl Upload {
    pub(super) fn new(input: Input) -> Self {
        Self { input, transfer: transfer(), small_chunks: false, piped: 0, progress: 0 }
    }

    /// Carries out a step; `false` if nothing can be read now.
    fn step(&mut self, step: Step, budget: &mut TransferBudget, clock: &mut Clock) -> bool {
        match step {
            Step::Send { .. } => {
                let count = self.transfer.prefix().len();
                clock.write(count);
                self.transfer.sent(count);
            }
            Step::Drain { bytes } => {
                clock.write(bytes);
                self.piped = 0;
                self.transfer.drained(bytes);
            }
            Step::Fill { max_bytes } => {
                let count = self.input.read(max_bytes).len();
                clock.read(count);
                budget.spliced(count);
                self.progress += count;
                self.piped += count;
                match count {
                    0 if self.piped > 0 => self.transfer.fill_blocked(),
                    0 => return false,
                    _ => self.transfer.filled(count),
                }
            }
            Step::ReadFraming { max_bytes } => return self.read_framing(max_bytes, budget, clock),
            Step::Copy { max_bytes } => return self.copy(max_bytes, budget, clock),
            Step::Wait(_) | Step::Done(_) => unreachable!("{step:?} ends a turn"),
        }
        true
    }

    fn read_framing(&mut self, max: usize, budget: &mut TransferBudget, clock: &mut Clock) -> bool {
        let bytes = self.input.read(max);
        clock.read(bytes.len());
        budget.framing();
        let mut pieces = Vec::new();
        self.transfer.received(bytes, &mut pieces);
        self.transfer.keep(bytes, &pieces);
        clock.chunks(1);
        self.progress += bytes.len();
        !bytes.is_empty()
    }

    fn copy(&mut self, max: usize, budget: &mut TransferBudget, clock: &mut Clock) -> bool {
        let max = max.min(budget.copy_max(&self.transfer, self.small_chunks));
        let bytes = self.input.read(max);
        clock.read(bytes.len());
        let mut pieces = Vec::new();
        self.transfer.received(bytes, &mut pieces);
        self.small_chunks = budget.copied(bytes.len(), pieces.len());
        clock.chunks(pieces.len());
        self.progress += bytes.len();
        let body = pieces.iter().map(Range::len).sum();
        if body > 0 {
            self.transfer.announce(body);
            let count = self.transfer.prefix().len() + body;
            clock.write(count);
            self.transfer.gathered(count, bytes, &pieces);
        }
        !bytes.is_empty()
    }
}

/// Returns a chunk that is copied, so that the next read is a large one.
pub(super) fn large_chunk() -> Vec<u8> {
    [&b"2710\r\n"[..], &[b'x'; 10_000], b"\r\n"].concat()
}

fn transfer() -> Transfer {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    Transfer::new(Framing::Chunked, Delimiter::Chunks, head, true)
}

impl Flooder for Upload {
    fn turn(&mut self, share: usize, clock: &mut Clock, choices: &mut Choices<'_>) -> bool {
        self.input.arrive(choices);
        let mut budget = TransferBudget::of(share, true);
        let mut ready = Ready { source: true, destination: !choices.one_in(8) };
        loop {
            let step = self.transfer.next(ready);
            if let Step::Wait(_) = step {
                // A client that waits for its own reader does not starve.
                self.progress += usize::from(!ready.destination);
                return false;
            }
            if let Step::Done(_) = step {
                clock.request();
                (self.transfer, self.small_chunks) = (transfer(), false);
                self.input.restart();
                return false;
            }
            if step.takes() && budget.is_spent() {
                return true;
            }
            ready.source &= self.step(step, &mut budget, clock);
        }
    }

    fn progress(&self) -> usize {
        self.progress
    }

    fn held_bytes(&self) -> usize {
        self.transfer.held() + self.piped
    }

    fn held_max(&self) -> usize {
        COPY_MAX + FILL_MAX
    }
}
