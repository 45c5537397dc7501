//! The side that uploads.

use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::link::Link;
use super::pattern::Pattern;
use super::plan::{Act, Fault, Framing, Plan};
use super::pool::Pool;
use super::{PAUSE, RETRIES_MAX, is_retried};
use crate::support::Ending;

/// Payload bytes that are framed at once.
const PIECE_BYTES: u64 = 64 << 10;
/// Writes in one step, so that the destination reads meanwhile.
const WRITES_MAX: usize = 4;
/// How long a source waits for 100 before it sends its body all the same (RFC 9110, 10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// An upload.
pub(crate) struct Source {
    plan: Plan,
    pattern: Pattern,
    head: Vec<u8>,
    fault: Option<Fault>,
    starts: Instant,
    attempt: Attempt,
    pub(crate) upload: Upload,
    pub(crate) done: bool,
}

/// One connection of it.
#[derive(Default)]
struct Attempt {
    link: Option<Link>,
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
    /// Nothing is sent before this time.
    paused: Option<Instant>,
    /// The pipelined request is in `out`.
    pipelined: bool,
}

/// What the source knows of its upload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upload {
    /// Payload bytes that the relay can have received, in the longest attempt.
    pub(crate) offered: u64,
    /// Whether the kernel accepted the complete body, with its last chunk.
    pub(crate) complete: bool,
    pub(crate) status: Option<u16>,
    pub(crate) ending: Option<Ending>,
    /// The status of the pipelined request.
    pub(crate) pipelined: Option<u16>,
    /// Whether it did something wrong.
    pub(crate) faulted: bool,
    pub(crate) attempts: u32,
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
            plan: plan.clone(),
            pattern: Pattern::new(plan.seed),
            head: head.into_bytes(),
            fault: plan.source,
            starts,
            attempt: Attempt::default(),
            upload: Upload::default(),
            done: false,
        }
    }

    /// A second one, after the first disconnected; it does everything right.
    pub(crate) fn honest(target: &str, plan: &Plan, starts: Instant) -> Source {
        Source { fault: None, ..Source::new(target, plan, starts) }
    }

    /// What to poll it for.
    pub(crate) fn interest(&self) -> Option<(&Link, PollFlags)> {
        let link = self.attempt.link.as_ref()?;
        let has_output = !self.attempt.stopped && self.attempt.written < self.attempt.out.len();
        let flags = PollFlags::POLLIN;
        Some((link, if has_output { flags | PollFlags::POLLOUT } else { flags }))
    }

    /// The next time at which it acts by itself.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        if self.done {
            return None;
        }
        if self.attempt.link.is_none() {
            return Some(self.starts);
        }
        self.attempt.paused
    }

    /// Does what can be done now; returns whether anything was.
    pub(crate) fn step(&mut self, now: Instant, pool: &mut Pool) -> bool {
        if self.done || (self.attempt.link.is_none() && now < self.starts) {
            return false;
        }
        if self.attempt.link.is_none() {
            self.connect(now, pool);
        }
        let received = self.receive(now, pool);
        self.send(now) || received
    }

    fn connect(&mut self, now: Instant, pool: &mut Pool) {
        self.upload.attempts += 1;
        let Ok(link) = pool.link(self.plan.fresh || self.upload.attempts > 1, false) else {
            self.upload.ending = Some(Ending::Reset);
            return self.retry(now);
        };
        let paused = self.plan.expects_continue.then(|| now + CONTINUE_TIMEOUT);
        let out = self.head.clone();
        // A declared length of 0 is the complete body.
        let is_empty = self.plan.size == 0 && self.plan.framing == Framing::Length;
        let body_end = is_empty.then_some(out.len());
        self.attempt = Attempt { link: Some(link), out, paused, body_end, ..Attempt::default() };
        if self.plan.joined && paused.is_none() {
            self.frame();
        }
    }

    fn receive(&mut self, now: Instant, pool: &mut Pool) -> bool {
        let Some(link) = &mut self.attempt.link else { return false };
        let received = link.receive(&mut pool.buffer, &mut |_| ());
        if link.continued() && self.plan.expects_continue && self.attempt.position == 0 {
            self.attempt.paused = None;
        }
        if let Some(ending) = link.ending() {
            self.conclude(ending, now, pool);
        }
        received
    }

    /// The response, or the connection, ended.
    fn conclude(&mut self, ending: Ending, now: Instant, pool: &mut Pool) {
        let Some(link) = self.attempt.link.take() else { return };
        if self.upload.status.is_some() {
            self.upload.pipelined = link.head().map(|head| head.status);
            return self.finish(link, pool);
        }
        let status = link.head().map(|head| head.status);
        (self.upload.status, self.upload.ending) = (status, Some(ending));
        if !self.upload.faulted && is_retried(status, link.reused) {
            return self.retry(now);
        }
        let lives = link.head().is_some_and(|head| !head.closes()) && ending == Ending::Complete;
        if lives && self.attempt.pipelined {
            let mut link = link;
            link.next(&mut |_| ());
            self.attempt.link = Some(link);
        } else {
            self.finish(link, pool);
        }
    }

    fn finish(&mut self, link: Link, pool: &mut Pool) {
        self.done = true;
        let clean = self.attempt.framed && self.attempt.written == self.attempt.out.len();
        if clean && !self.upload.faulted {
            pool.give_back(link);
        }
    }

    fn retry(&mut self, now: Instant) {
        self.attempt = Attempt::default();
        self.done = self.upload.attempts >= RETRIES_MAX;
        if !self.done {
            (self.upload.status, self.upload.ending) = (None, None);
            self.starts = now + PAUSE;
        }
    }

    fn send(&mut self, now: Instant) -> bool {
        let mut progressed = false;
        for _ in 0..WRITES_MAX {
            if self.attempt.written == self.attempt.out.len() && !self.refill(now) {
                break;
            }
            let attempt = &mut self.attempt;
            let Some(link) = &mut attempt.link else { break };
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
        self.upload.complete |= attempt.body_end.is_some_and(|end| attempt.written >= end);
        progressed
    }

    /// Frames the next bytes; returns false if there are none now.
    fn refill(&mut self, now: Instant) -> bool {
        if self.attempt.link.is_none() || self.attempt.stopped {
            return false;
        }
        if self.attempt.paused.is_some_and(|until| now < until) {
            return false;
        }
        self.attempt.paused = None;
        if let Some(fault) = self.fault.filter(|fault| fault.after == self.attempt.position) {
            self.fail(fault, now);
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
        let end = self.fault.map_or(self.plan.size, |fault| fault.after);
        let left = end.saturating_sub(attempt.position);
        let (position, out) = (attempt.position, &mut attempt.out);
        let added = match self.plan.framing {
            Framing::Length => {
                let count = left.min(PIECE_BYTES);
                self.pattern.append(position, count_of(count), out);
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
        let attempt = &mut self.attempt;
        attempt.position += added;
        self.upload.offered = self.upload.offered.max(attempt.position);
        if attempt.position == self.plan.size && self.plan.framing == Framing::Length {
            attempt.body_end = Some(attempt.out.len());
        }
        if attempt.position == self.plan.size && self.fault.is_none() {
            self.frame_the_end();
        }
        true
    }

    /// Appends one chunk; before a ragged fault it announces more than follows.
    fn chunk(&mut self, position: u64, count: u64) {
        let cut = self.fault.is_some_and(|fault| {
            fault.ragged && !fault.is_fair() && fault.after == position + count
        });
        let out = &mut self.attempt.out;
        let announced = if cut { count + 7 } else { count };
        out.extend_from_slice(format!("{announced:x}\r\n").as_bytes());
        self.pattern.append(position, count_of(count), out);
        if !cut {
            out.extend_from_slice(b"\r\n");
        }
    }

    fn frame_the_end(&mut self) {
        let attempt = &mut self.attempt;
        if self.plan.framing != Framing::Length {
            attempt.out.extend_from_slice(b"0\r\n\r\n");
        }
        attempt.body_end = Some(attempt.out.len());
        if self.plan.pipelines {
            attempt.out.extend_from_slice(b"GET /ping HTTP/1.1\r\nHost: soak\r\n\r\n");
            attempt.pipelined = true;
        }
        attempt.framed = true;
    }

    fn fail(&mut self, fault: Fault, now: Instant) {
        self.fault = None;
        if let Act::Pause(time) = fault.act {
            self.attempt.paused = Some(now + time);
            return;
        }
        self.upload.faulted = true;
        match fault.act {
            Act::Close => drop(self.attempt.link.take()),
            Act::Reset => self.attempt.link.take().map_or((), Link::reset),
            Act::HalfClose => self.attempt.link.iter().for_each(Link::half_close),
            Act::Stall | Act::Pause(_) => {}
        }
        self.attempt.stopped = true;
        self.done = self.attempt.link.is_none();
    }
}

/// A number of bytes of one piece.
fn count_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("64 bits")
}
