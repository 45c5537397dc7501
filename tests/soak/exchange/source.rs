//! The side that uploads.

use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::link::Link;
use super::plan::{Framing, Plan};
use super::pool::Pool;
use super::side::Side;

/// Payload bytes that are framed at once.
const PIECE_BYTES: u64 = 64 << 10;
/// Writes in one step, so that the destination reads meanwhile.
const WRITES_MAX: usize = 4;
/// How long a source waits for 100 before it sends its body all the same (RFC 9110, 10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// An upload.
pub(crate) struct Source {
    pub(super) side: Side,
    head: Vec<u8>,
    attempt: Attempt,
}

/// One connection of it.
#[derive(Default)]
struct Attempt {
    out: Vec<u8>,
    written: usize,
    /// Payload bytes framed so far.
    position: u64,
    /// The body is framed to its end.
    framed: bool,
    /// Where the body ends in `out`, once all its payload is framed.
    body_end: Option<usize>,
    /// Nothing more is sent.
    stopped: bool,
    /// The pipelined request is in `out`.
    pipelined: bool,
}

impl Source {
    /// It uploads to this target, from `starts` on.
    pub(crate) fn new(target: &str, plan: &Plan, starts: Instant) -> Source {
        let framing = match plan.framing {
            Framing::Length => format!("Content-Length: {}", plan.size),
            Framing::Chunks(_) => "Transfer-Encoding: chunked".to_owned(),
        };
        let expect = if plan.expects_continue { "Expect: 100-continue\r\n" } else { "" };
        let method = if plan.seed.is_multiple_of(5) { "POST" } else { "PUT" };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: soak\r\n{expect}{framing}\r\n\r\n");
        Source {
            side: Side::new(plan, plan.source, starts),
            head: head.into_bytes(),
            attempt: Attempt::default(),
        }
    }

    /// A second one, after the first disconnected; it does everything right.
    pub(crate) fn honest(target: &str, plan: &Plan, starts: Instant) -> Source {
        Source { side: Side::new(plan, None, starts), ..Source::new(target, plan, starts) }
    }

    /// What to poll it for.
    pub(crate) fn interest(&self) -> Option<(&Link, PollFlags)> {
        let link = self.side.link.as_ref()?;
        let has_output = !self.attempt.stopped && self.attempt.written < self.attempt.out.len();
        let flags = PollFlags::POLLIN;
        Some((link, if has_output { flags | PollFlags::POLLOUT } else { flags }))
    }

    /// Does what can be done now; returns whether anything was.
    pub(crate) fn step(&mut self, now: Instant, pool: &mut Pool) -> bool {
        if self.side.connects(now) {
            self.connect(now, pool);
        }
        let received = self.receive(now, pool);
        self.send(now) || received
    }

    fn connect(&mut self, now: Instant, pool: &mut Pool) {
        if !self.side.connect(now, pool, false) {
            return;
        }
        let paused = self.side.plan.expects_continue.then(|| now + CONTINUE_TIMEOUT);
        self.side.paused = paused;
        let out = self.head.clone();
        // A declared length of 0 is the complete body.
        let is_empty = self.side.plan.size == 0 && self.side.plan.framing == Framing::Length;
        let body_end = is_empty.then_some(out.len());
        self.attempt = Attempt { out, body_end, ..Attempt::default() };
        if self.side.plan.joined && paused.is_none() {
            self.frame();
        }
    }

    fn receive(&mut self, now: Instant, pool: &mut Pool) -> bool {
        let Some(link) = &mut self.side.link else { return false };
        let received = link.receive(&mut pool.buffer, &mut |_| ());
        if link.continued() && self.side.plan.expects_continue && self.attempt.position == 0 {
            self.side.paused = None;
        }
        if let Some(ending) = link.ending() {
            let kept = self.side.conclude(ending, now, self.attempt.pipelined);
            let is_sent = self.attempt.framed && self.attempt.written == self.attempt.out.len();
            if let Some(link) = kept.filter(|_| is_sent) {
                pool.give_back(link);
            }
        }
        received
    }

    fn send(&mut self, now: Instant) -> bool {
        let mut progressed = false;
        for _ in 0..WRITES_MAX {
            if self.attempt.written == self.attempt.out.len() && !self.refill(now) {
                break;
            }
            let attempt = &mut self.attempt;
            let Some(link) = &mut self.side.link else { break };
            if attempt.stopped {
                break;
            }
            match link.write(&attempt.out[attempt.written..]) {
                Ok(0) => break,
                Ok(count) => attempt.written += count,
                // The response, or the reset, is read next.
                Err(_) => attempt.stopped = true,
            }
            progressed = true;
        }
        let attempt = &self.attempt;
        self.side.outcome.complete |= attempt.body_end.is_some_and(|end| attempt.written >= end);
        progressed
    }

    /// Frames the next bytes; returns false if there are none now.
    fn refill(&mut self, now: Instant) -> bool {
        if self.side.link.is_none() || self.attempt.stopped || self.side.is_paused(now) {
            return false;
        }
        if let Some(fault) = self.side.take_fault(self.attempt.position) {
            self.side.fail(fault, now);
            self.attempt.stopped = self.side.outcome.faulted;
            return false;
        }
        if self.attempt.framed {
            return false;
        }
        self.attempt.written = 0;
        self.attempt.out.clear();
        self.frame()
    }

    /// Appends the next piece of the body, up to the fault.
    fn frame(&mut self) -> bool {
        let attempt = &mut self.attempt;
        let end = self.side.fault.map_or(self.side.plan.size, |fault| fault.after);
        let left = end.saturating_sub(attempt.position);
        let (position, out) = (attempt.position, &mut attempt.out);
        let added = match self.side.plan.framing {
            Framing::Length => {
                let count = left.min(PIECE_BYTES);
                self.side.pattern.append(position, count_of(count), out);
                count
            }
            Framing::Chunks(chunk) => {
                let most = (PIECE_BYTES / chunk as u64).max(1) * chunk as u64;
                let count = left.min(most);
                let mut framed = 0;
                while framed < count {
                    let now = (count - framed).min(chunk as u64);
                    self.chunk(position + framed, now);
                    framed += now;
                }
                count
            }
        };
        let (attempt, outcome) = (&mut self.attempt, &mut self.side.outcome);
        attempt.position += added;
        outcome.bytes = outcome.bytes.max(attempt.position);
        if attempt.position == self.side.plan.size && self.side.plan.framing == Framing::Length {
            attempt.body_end = Some(attempt.out.len());
        }
        if attempt.position == self.side.plan.size && self.side.fault.is_none() {
            self.frame_the_end();
        }
        true
    }

    /// Appends one chunk; before a ragged fault it announces more than follows.
    fn chunk(&mut self, position: u64, count: u64) {
        let cut = self.side.fault.is_some_and(|fault| {
            fault.ragged && !fault.is_fair() && fault.after == position + count
        });
        let out = &mut self.attempt.out;
        let announced = if cut { count + 7 } else { count };
        out.extend_from_slice(format!("{announced:x}\r\n").as_bytes());
        self.side.pattern.append(position, count_of(count), out);
        if !cut {
            out.extend_from_slice(b"\r\n");
        }
    }

    fn frame_the_end(&mut self) {
        let attempt = &mut self.attempt;
        if self.side.plan.framing != Framing::Length {
            attempt.out.extend_from_slice(b"0\r\n\r\n");
        }
        attempt.body_end = Some(attempt.out.len());
        if self.side.plan.pipelines {
            attempt.out.extend_from_slice(b"GET /ping HTTP/1.1\r\nHost: soak\r\n\r\n");
            attempt.pipelined = true;
        }
        attempt.framed = true;
    }
}

/// A number of bytes of one piece.
fn count_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("64 bits")
}
