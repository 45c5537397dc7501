//! Queue between the event loop and the delivery thread: lines one way, verdicts the other. Both
//! directions are bounded by the waiting senders, with at most one record each, and by a limit.

use super::line::OutgoingLine;
use super::positions::Positions;
use super::worker_handle::WorkerHandle;
use crate::api::{Busy, Failure};
use crate::relay::{PushDecision, RequestToken, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Maximum buffers kept for new lines.
const SPARE_MAX: usize = 128;

/// Maximum size of a buffer that is kept: larger ones are rare, and 128 of them would be too much.
const SPARE_BYTES: usize = 4096;

/// Limits of the queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Records not delivered, or not acknowledged, yet.
    pub records: usize,
    /// Their size in memory, in bytes.
    pub bytes: usize,
}

/// Lines and verdicts in transit.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<QueueState>,
    limits: QueueLimits,
    /// The thread that takes lines.
    work: Arc<WorkerHandle>,
    waker: Waker,
    over: AtomicBool,
    failed: AtomicBool,
}

#[derive(Debug)]
struct QueueState {
    lines: VecDeque<OutgoingLine>,
    positions: Positions,
    /// Buffers of sent lines, for new ones.
    spare: Vec<Vec<u8>>,
    /// Counted against the limits: lines without a verdict.
    held: QueueLimits,
    verdicts: Vec<(RequestToken, PushDecision)>,
    /// Why new records are refused.
    closed: Option<Busy>,
    /// Whether the thread has not been woken since it last took lines.
    asleep: bool,
    quiet: bool,
}

impl Queue {
    /// Creates an empty queue that wakes this loop, with a first position after `last`.
    ///
    /// # Errors
    /// Errors of eventfd(2) and getrandom(2).
    pub fn new(limits: QueueLimits, waker: Waker, last: Uuid) -> io::Result<Self> {
        let state = QueueState {
            lines: VecDeque::new(),
            positions: Positions::after(last)?,
            spare: Vec::new(),
            held: QueueLimits { records: 0, bytes: 0 },
            verdicts: Vec::new(),
            closed: None,
            asleep: false,
            quiet: false,
        };
        let work = Arc::new(WorkerHandle::new()?);
        let (over, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { state: Mutex::new(state), limits, work, waker, over, failed })
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns why new records are refused now, if they are.
    pub fn refusal(&self) -> Option<Busy> {
        let state = self.lock();
        let full =
            state.held.records >= self.limits.records || state.held.bytes >= self.limits.bytes;
        state.closed.or(full.then_some(Busy::Records))
    }

    /// Adds the line that `make` builds from the next position at this time and an empty buffer;
    /// the thread is not woken before [`wake`](Self::wake).
    ///
    /// # Errors
    /// Why the line is refused.
    pub fn push(
        &self,
        unix_ms: i64,
        make: impl FnOnce(Uuid, Vec<u8>) -> OutgoingLine,
    ) -> Result<(), Busy> {
        let mut state = self.lock();
        if let Some(busy) = state.closed {
            return Err(busy);
        }
        // Positions are assigned together with the place in the queue, so both are in the same
        // order.
        let buffer = state.spare.pop().unwrap_or_default();
        let line = make(state.positions.next(unix_ms), buffer);
        let bytes = state.held.bytes + line.memory();
        // A line above the limit is accepted once it is alone, or it never could be.
        let too_much = bytes > self.limits.bytes && state.held.records > 0;
        if state.held.records >= self.limits.records || too_much {
            return Err(Busy::Records);
        }
        state.held = QueueLimits { records: state.held.records + 1, bytes };
        state.lines.push_back(line);
        Ok(())
    }

    /// Wakes the thread if it has something to do.
    pub fn wake(&self) {
        let mut state = self.lock();
        if state.asleep && !state.lines.is_empty() {
            state.asleep = false;
            drop(state);
            self.work.poke();
        }
    }

    /// Whether there are lines that were not taken yet.
    pub fn has_new(&self) -> bool {
        !self.lock().lines.is_empty()
    }

    /// Sets whether verdicts do not wake the loop, because it checks for them itself.
    pub fn be_quiet(&self, quiet: bool) {
        self.lock().quiet = quiet;
    }

    /// Returns the handle of the thread that takes lines.
    pub fn work(&self) -> &Arc<WorkerHandle> {
        &self.work
    }

    /// Returns the verdicts added since the last call.
    pub fn verdicts(&self) -> Vec<(RequestToken, PushDecision)> {
        std::mem::take(&mut self.lock().verdicts)
    }

    /// Whether delivery has ended for good.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether it has ended because of a failure, and not because the consumer disconnected.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Methods for the threads.
impl Queue {
    /// Moves new lines to the end of `lines`; the next one wakes the thread.
    pub fn take(&self, lines: &mut VecDeque<OutgoingLine>) {
        let mut state = self.lock();
        state.asleep = true;
        lines.append(&mut state.lines);
    }

    /// Reports lines that are records now.
    pub fn created(&self, lines: Vec<OutgoingLine>) {
        let mut freed = QueueLimits { records: 0, bytes: 0 };
        for line in &lines {
            freed.add(line);
        }
        let verdict =
            |line: &OutgoingLine| Some((line.ticket?, PushDecision::Created(line.position)));
        self.settle(freed, lines.iter().filter_map(verdict));
        self.lock().reuse(lines);
    }

    /// Releases the memory of lines that were stored elsewhere; their senders keep waiting.
    pub fn kept(&self, lines: &[OutgoingLine]) {
        let mut freed = QueueLimits { records: 0, bytes: 0 };
        for line in lines {
            freed.add(line);
        }
        self.settle(freed, []);
    }

    /// Reports that the request became the record at this position.
    pub fn create(&self, ticket: RequestToken, position: Uuid) {
        let nothing = QueueLimits { records: 0, bytes: 0 };
        self.settle(nothing, [(ticket, PushDecision::Created(position))]);
    }

    /// Reports lines that did not become records.
    pub fn refused(&self, lines: impl IntoIterator<Item = OutgoingLine>, busy: Busy) {
        self.settle_lines(lines, &PushDecision::Refused(Failure::TooBusy(busy)));
    }

    /// Reports lines that may become records although they could not be stored.
    pub fn unknown(&self, lines: impl IntoIterator<Item = OutgoingLine>) {
        self.settle_lines(lines, &PushDecision::Unknown);
    }

    fn settle_lines(&self, lines: impl IntoIterator<Item = OutgoingLine>, verdict: &PushDecision) {
        let mut freed = QueueLimits { records: 0, bytes: 0 };
        let verdicts: Vec<_> = lines
            .into_iter()
            .filter_map(|line| {
                freed.add(&line);
                Some((line.ticket?, verdict.clone()))
            })
            .collect();
        self.settle(freed, verdicts);
    }

    /// Refuses a record that was never in the queue.
    pub fn refuse(&self, ticket: RequestToken, busy: Busy) {
        let verdict = PushDecision::Refused(Failure::TooBusy(busy));
        self.settle(QueueLimits { records: 0, bytes: 0 }, [(ticket, verdict)]);
    }

    /// Adds verdicts, and releases capacity.
    pub fn settle(
        &self,
        freed: QueueLimits,
        verdicts: impl IntoIterator<Item = (RequestToken, PushDecision)>,
    ) {
        let mut state = self.lock();
        state.held.records = state.held.records.saturating_sub(freed.records);
        state.held.bytes = state.held.bytes.saturating_sub(freed.bytes);
        let before = state.verdicts.len();
        state.verdicts.extend(verdicts);
        // A loop that was woken before, and has not run yet, will find these, too.
        let ring = before == 0 && !state.quiet && !state.verdicts.is_empty();
        drop(state);
        if ring {
            self.waker.wake();
        }
    }

    /// Refuses new records for this reason, or accepts them again.
    pub fn close(&self, why: Option<Busy>) {
        self.lock().closed = why;
    }

    /// Ends the loop after a failure, such as a spool that cannot be read.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
        self.end();
    }

    /// Ends the loop because delivery has ended for good.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

impl QueueState {
    /// Keeps the buffers of small lines for new ones.
    fn reuse(&mut self, lines: Vec<OutgoingLine>) {
        let room = SPARE_MAX.saturating_sub(self.spare.len());
        let small = lines.into_iter().filter(|line| line.head.capacity() <= SPARE_BYTES);
        self.spare.extend(small.take(room).map(|OutgoingLine { mut head, .. }| {
            head.clear();
            head
        }));
    }
}

impl QueueLimits {
    /// Counts a line.
    pub fn add(&mut self, line: &OutgoingLine) {
        self.records += 1;
        self.bytes += line.memory();
    }
}
