//! The side that downloads.

use std::time::Instant;

use nix::poll::PollFlags;

use super::link::Link;
use super::pattern::Pattern;
use super::plan::{Act, Fault, Plan, Receipt};
use super::pool::Pool;
use super::{PAUSE, RETRIES_MAX, is_retried};
use crate::support::Ending;

/// Reads in one step, so that the source writes meanwhile.
const READS_MAX: usize = 4;

/// A download.
pub(crate) struct Destination {
    plan: Plan,
    pattern: Pattern,
    request: Vec<u8>,
    fault: Option<Fault>,
    starts: Instant,
    attempt: Attempt,
    pub(crate) download: Download,
    pub(crate) done: bool,
}

/// One connection of it.
#[derive(Default)]
struct Attempt {
    link: Option<Link>,
    /// Bytes of the request that were sent.
    written: usize,
    /// Nothing is read before this time.
    paused: Option<Instant>,
    /// Nothing is read until the source is done.
    stalled: bool,
}

/// What the destination knows of its download.
#[derive(Clone, Debug, Default)]
pub(crate) struct Download {
    pub(crate) status: Option<u16>,
    /// Payload bytes received.
    pub(crate) received: u64,
    /// The position of the first byte that is not the source's.
    pub(crate) wrong: Option<u64>,
    pub(crate) ending: Option<Ending>,
    /// The status of the pipelined request.
    pub(crate) pipelined: Option<u16>,
    /// Whether it did something wrong.
    pub(crate) faulted: bool,
    pub(crate) attempts: u32,
}

impl Destination {
    /// It downloads from this target, from `starts` on.
    pub(crate) fn new(target: &str, plan: &Plan, starts: Instant) -> Destination {
        let line = if plan.http10 { "HTTP/1.0" } else { "HTTP/1.1\r\nHost: soak" };
        let receipt = match plan.receipt {
            Receipt::Confirmed | Receipt::Failed => "Rdv-Receipt: expected\r\n",
            Receipt::None | Receipt::Acked => "",
        };
        let next = if plan.pipelines { "GET /ping HTTP/1.1\r\nHost: soak\r\n\r\n" } else { "" };
        Destination {
            plan: plan.clone(),
            pattern: Pattern::new(plan.seed),
            request: format!("GET {target} {line}\r\n{receipt}\r\n{next}").into_bytes(),
            fault: plan.destination,
            starts,
            attempt: Attempt::default(),
            download: Download::default(),
            done: false,
        }
    }

    /// A second one, after the first disconnected; it does everything right.
    pub(crate) fn honest(target: &str, plan: &Plan, starts: Instant) -> Destination {
        Destination { fault: None, ..Destination::new(target, plan, starts) }
    }

    /// What to poll it for.
    pub(crate) fn interest(&self) -> Option<(&Link, PollFlags)> {
        let link = self.attempt.link.as_ref()?;
        if self.attempt.written < self.request.len() {
            return Some((link, PollFlags::POLLOUT));
        }
        let reads = !self.attempt.stalled && self.attempt.paused.is_none();
        reads.then_some((link, PollFlags::POLLIN))
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

    /// Whether it has received the head of its download.
    pub(crate) fn has_begun(&self) -> bool {
        self.download.status.is_some()
            || self.attempt.link.as_ref().is_some_and(|link| link.head().is_some())
    }

    /// Whether it is receiving the source's body.
    pub(crate) fn is_receiving(&self) -> bool {
        let head = self.attempt.link.as_ref().and_then(Link::head);
        self.download.status.is_none() && head.is_some_and(|head| head.status == 200)
    }

    /// Reads again, after a stall.
    pub(crate) fn resume(&mut self) {
        self.attempt.stalled = false;
    }

    /// Does what can be done now; returns whether anything was.
    pub(crate) fn step(&mut self, now: Instant, pool: &mut Pool) -> bool {
        if self.done || (self.attempt.link.is_none() && now < self.starts) {
            return false;
        }
        if self.attempt.link.is_none() {
            self.connect(now, pool);
        }
        let sent = self.send();
        let mut received = false;
        for _ in 0..READS_MAX {
            if !self.receive(now, pool) {
                break;
            }
            received = true;
        }
        sent || received
    }

    fn connect(&mut self, now: Instant, pool: &mut Pool) {
        self.download.attempts += 1;
        let fresh = self.plan.fresh || self.download.attempts > 1;
        let Ok(link) = pool.link(fresh, self.plan.narrow) else {
            self.download.ending = Some(Ending::Reset);
            return self.retry(now);
        };
        self.attempt = Attempt { link: Some(link), ..Attempt::default() };
    }

    fn send(&mut self) -> bool {
        let rest = &self.request[self.attempt.written..];
        let Some(link) = self.attempt.link.as_mut().filter(|_| !rest.is_empty()) else {
            return false;
        };
        // After an error, the response or the reset is read next.
        let count = link.write(rest).unwrap_or(rest.len());
        self.attempt.written += count;
        count > 0
    }

    fn receive(&mut self, now: Instant, pool: &mut Pool) -> bool {
        if self.attempt.stalled || self.attempt.written < self.request.len() {
            return false;
        }
        if self.attempt.paused.is_some_and(|until| now < until) {
            return false;
        }
        self.attempt.paused = None;
        if let Some(fault) = self.fault.filter(|fault| fault.after <= self.download.received) {
            self.fail(fault, now);
            return true;
        }
        let Some(link) = &mut self.attempt.link else { return false };
        let (pattern, download) = (self.pattern, &mut self.download);
        let mut payload = Vec::new();
        let received = link.receive(&mut pool.buffer, &mut |bytes| payload.extend(bytes));
        // The bodies of errors, and of the pipelined request, are not the source's.
        let is_body = link.head().is_some_and(|head| head.status == 200);
        if is_body && download.status.is_none() {
            let differs = pattern.first_difference(download.received, &payload);
            download.wrong = download.wrong.or(differs);
            download.received += payload.len() as u64;
        }
        if let Some(ending) = link.ending() {
            self.conclude(ending, now, pool);
        }
        received
    }

    /// The response, or the connection, ended.
    fn conclude(&mut self, ending: Ending, now: Instant, pool: &mut Pool) {
        let Some(mut link) = self.attempt.link.take() else { return };
        if self.download.status.is_some() {
            self.download.pipelined = link.head().map(|head| head.status);
            self.done = true;
            return pool.give_back(link);
        }
        let status = link.head().map(|head| head.status);
        (self.download.status, self.download.ending) = (status, Some(ending));
        if !self.download.faulted && is_retried(status, link.reused) {
            return self.retry(now);
        }
        let lives = link.head().is_some_and(|head| !head.closes()) && ending == Ending::Complete;
        if lives && self.plan.pipelines {
            link.next(&mut |_| ());
            self.attempt.link = Some(link);
            return;
        }
        self.done = true;
        if lives && !self.download.faulted {
            pool.give_back(link);
        }
    }

    fn retry(&mut self, now: Instant) {
        self.attempt = Attempt::default();
        self.done = self.download.attempts >= RETRIES_MAX;
        if !self.done {
            (self.download.status, self.download.ending) = (None, None);
            self.starts = now + PAUSE;
        }
    }

    fn fail(&mut self, fault: Fault, now: Instant) {
        self.fault = None;
        let attempt = &mut self.attempt;
        match fault.act {
            Act::Pause(time) => return attempt.paused = Some(now + time),
            // It receives what the relay makes of that.
            Act::Stall => return attempt.stalled = true,
            Act::Close => drop(attempt.link.take()),
            Act::Reset => attempt.link.take().map_or((), Link::reset),
            Act::HalfClose => attempt.link.iter().for_each(Link::half_close),
        }
        self.download.faulted = true;
        self.done = attempt.link.is_none();
    }
}
