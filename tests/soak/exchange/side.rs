//! What both sides of an exchange have: a plan, a connection at a time, and the outcome.

use std::time::Instant;

use super::link::Link;
use super::pattern::Pattern;
use super::plan::{Act, Fault, Plan};
use super::pool::Pool;
use super::{PAUSE, RETRIES_MAX, is_retried};
use crate::support::Ending;

/// One side.
pub(super) struct Side {
    pub(super) plan: Plan,
    pub(super) pattern: Pattern,
    pub(super) fault: Option<Fault>,
    pub(super) link: Option<Link>,
    /// Nothing is sent, or read, before this time.
    pub(super) paused: Option<Instant>,
    starts: Instant,
    pub(super) outcome: Outcome,
    pub(super) done: bool,
}

/// What a side knows of its request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) status: Option<u16>,
    pub(crate) ending: Option<Ending>,
    /// Payload bytes received; of an upload those that the relay can have received, in the longest
    /// attempt.
    pub(crate) bytes: u64,
    /// Of an upload: whether the kernel accepted the complete body, with its last chunk.
    pub(crate) complete: bool,
    /// Of a download: the position of the first byte that is not the source's.
    pub(crate) wrong: Option<u64>,
    /// The status of the pipelined request.
    pub(crate) pipelined: Option<u16>,
    /// Whether it did something wrong.
    pub(crate) faulted: bool,
    pub(crate) attempts: u32,
}

impl Side {
    /// It does its part of the plan, from `starts` on.
    pub(super) fn new(plan: &Plan, fault: Option<Fault>, starts: Instant) -> Side {
        Side {
            plan: plan.clone(),
            pattern: Pattern::new(plan.seed),
            fault,
            link: None,
            paused: None,
            starts,
            outcome: Outcome::default(),
            done: false,
        }
    }

    /// The next time at which it acts by itself.
    pub(super) fn wakes(&self) -> Option<Instant> {
        match (self.done, &self.link) {
            (true, _) => None,
            (false, None) => Some(self.starts),
            (false, Some(_)) => self.paused,
        }
    }

    /// Whether it has to connect now.
    pub(super) fn connects(&self, now: Instant) -> bool {
        !self.done && self.link.is_none() && now >= self.starts
    }

    /// Connects; returns false if that has to be tried again.
    pub(super) fn connect(&mut self, now: Instant, pool: &mut Pool, narrow: bool) -> bool {
        self.outcome.attempts += 1;
        self.link = pool.link(self.plan.fresh || self.outcome.attempts > 1, narrow).ok();
        if self.link.is_none() {
            self.outcome.ending = Some(Ending::Reset);
            self.retry(now);
        }
        self.link.is_some()
    }

    fn retry(&mut self, now: Instant) {
        self.paused = None;
        self.done = self.outcome.attempts >= RETRIES_MAX;
        if !self.done {
            (self.outcome.status, self.outcome.ending) = (None, None);
            self.starts = now + PAUSE;
        }
    }

    /// Whether a pause is not over yet.
    pub(super) fn is_paused(&mut self, now: Instant) -> bool {
        self.paused = self.paused.filter(|until| now < *until);
        self.paused.is_some()
    }

    /// The fault that is due after this number of payload bytes, once.
    pub(super) fn take_fault(&mut self, bytes: u64) -> Option<Fault> {
        self.fault.take_if(|fault| fault.after <= bytes)
    }

    /// Does what is wrong; a stall is up to the caller.
    pub(super) fn fail(&mut self, fault: Fault, now: Instant) {
        if let Act::Pause(time) = fault.act {
            self.paused = Some(now + time);
            return;
        }
        self.outcome.faulted = true;
        match fault.act {
            Act::Close => drop(self.link.take()),
            Act::Reset => self.link.take().map_or((), Link::reset),
            Act::HalfClose => self.link.iter().for_each(Link::half_close),
            Act::Stall | Act::Pause(_) => {}
        }
        self.done = self.link.is_none();
    }

    /// The response, or the connection, ended. Returns the connection if another exchange can use it.
    pub(super) fn conclude(
        &mut self,
        ending: Ending,
        now: Instant,
        pipelines: bool,
    ) -> Option<Link> {
        let mut link = self.link.take()?;
        let status = link.head().map(|head| head.status);
        let lives = link.head().is_some_and(|head| !head.closes()) && ending == Ending::Complete;
        if self.outcome.status.is_some() {
            self.outcome.pipelined = status;
        } else {
            (self.outcome.status, self.outcome.ending) = (status, Some(ending));
            if !self.outcome.faulted && is_retried(status, link.reused) {
                self.retry(now);
                return None;
            }
            if lives && pipelines {
                link.next(&mut |_| ());
                self.link = Some(link);
                return None;
            }
        }
        self.done = true;
        (lives && !self.outcome.faulted).then_some(link)
    }
}
