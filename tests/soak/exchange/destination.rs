//! The side that downloads.

use std::time::Instant;

use nix::poll::PollFlags;

use super::link::Link;
use super::plan::{Act, Plan, Receipt};
use super::pool::Pool;
use super::side::Side;

/// Reads in one step, so that the source writes meanwhile.
const READS_MAX: usize = 4;

/// A download.
pub(crate) struct Destination {
    pub(super) side: Side,
    request: Vec<u8>,
    attempt: Attempt,
}

/// One connection of it.
#[derive(Default)]
struct Attempt {
    /// Bytes of the request that were sent.
    written: usize,
    /// Nothing is read until the source is done.
    stalled: bool,
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
            side: Side::new(plan, plan.destination, starts),
            request: format!("GET {target} {line}\r\n{receipt}\r\n{next}").into_bytes(),
            attempt: Attempt::default(),
        }
    }

    /// A second one, after the first disconnected; it does everything right.
    pub(crate) fn honest(target: &str, plan: &Plan, starts: Instant) -> Destination {
        Destination {
            side: Side::new(plan, None, starts),
            ..Destination::new(target, plan, starts)
        }
    }

    /// What to poll it for.
    pub(crate) fn interest(&self) -> Option<(&Link, PollFlags)> {
        let link = self.side.link.as_ref()?;
        if self.attempt.written < self.request.len() {
            return Some((link, PollFlags::POLLOUT));
        }
        let reads = !self.attempt.stalled && self.side.paused.is_none();
        reads.then_some((link, PollFlags::POLLIN))
    }

    /// Whether it has received the head of its download.
    pub(crate) fn has_begun(&self) -> bool {
        self.side.outcome.status.is_some()
            || self.side.link.as_ref().is_some_and(|link| link.head().is_some())
    }

    /// Whether it is receiving the source's body.
    pub(crate) fn is_receiving(&self) -> bool {
        let head = self.side.link.as_ref().and_then(Link::head);
        self.side.outcome.status.is_none() && head.is_some_and(|head| head.status == 200)
    }

    /// Reads again, after a stall.
    pub(crate) fn resume(&mut self) {
        self.attempt.stalled = false;
    }

    /// Does what can be done now; returns whether anything was.
    pub(crate) fn step(&mut self, now: Instant, pool: &mut Pool) -> bool {
        if self.side.connects(now) && self.side.connect(now, pool, self.side.plan.narrow) {
            self.attempt = Attempt::default();
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

    fn send(&mut self) -> bool {
        let rest = &self.request[self.attempt.written..];
        let Some(link) = self.side.link.as_mut().filter(|_| !rest.is_empty()) else {
            return false;
        };
        // After an error, the response or the reset is read next.
        let count = link.write(rest).unwrap_or(rest.len());
        self.attempt.written += count;
        count > 0
    }

    fn receive(&mut self, now: Instant, pool: &mut Pool) -> bool {
        let is_asked = self.attempt.written == self.request.len();
        if self.side.link.is_none() || self.attempt.stalled || !is_asked || self.side.is_paused(now)
        {
            return false;
        }
        if let Some(fault) = self.side.take_fault(self.side.outcome.bytes) {
            // It receives what the relay makes of a stall.
            self.attempt.stalled = fault.act == Act::Stall;
            if !self.attempt.stalled {
                self.side.fail(fault, now);
            }
            return true;
        }
        let Some(link) = &mut self.side.link else { return false };
        let (pattern, download) = (self.side.pattern, &mut self.side.outcome);
        let mut payload = Vec::new();
        let received = link.receive(&mut pool.buffer, &mut |bytes| payload.extend(bytes));
        // The bodies of errors, and of the pipelined request, are not the source's.
        let is_body = link.head().is_some_and(|head| head.status == 200);
        if is_body && download.status.is_none() {
            let differs = pattern.first_difference(download.bytes, &payload);
            download.wrong = download.wrong.or(differs);
            download.bytes += payload.len() as u64;
        }
        if let Some(ending) = link.ending()
            && let Some(link) = self.side.conclude(ending, now, self.side.plan.pipelines)
        {
            pool.give_back(link);
        }
        received
    }
}
