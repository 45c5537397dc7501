//! Drives one exchange: both sides and a subscriber at once, with poll(2), and what other clients do
//! meanwhile.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::destination::Destination;
use super::oracle::Observed;
use super::plan::{Call, Other, Plan, Receipt, Rescue};
use super::pool::Pool;
use super::request::{NoReply, ask, request};
use super::source::Source;
use super::watcher::Watcher;
use super::{HANG_TIMEOUT, PAUSE};
use crate::support::now;

/// An exchange in progress.
pub(super) struct Exchange<'p> {
    plan: &'p Plan,
    path: String,
    started: Instant,
    sources: Vec<Source>,
    destinations: Vec<Destination>,
    watcher: Option<Watcher>,
    /// What another client has yet to do, and when.
    other: Option<(Other, Instant)>,
    /// When a client replaces the one that disconnected; once.
    rescue: Option<Instant>,
    rescued: bool,
    pub(super) observed: Observed,
}

impl<'p> Exchange<'p> {
    pub(super) fn new(plan: &'p Plan, path: String, pool: &mut Pool) -> Exchange<'p> {
        let started = now();
        Exchange {
            plan,
            started,
            sources: vec![Source::new(&path, plan, started + plan.source_after)],
            destinations: vec![Destination::new(&path, plan, started + plan.destination_after)],
            watcher: plan.watched.then(|| Watcher::new(pool, &path).ok()).flatten(),
            other: plan.other.map(|(other, after)| (other, started + after)),
            rescue: None,
            rescued: false,
            observed: Observed::default(),
            path,
        }
    }

    /// A call, which has one side here and the other one in the service.
    pub(super) fn of_call(plan: &'p Plan, call: Call) -> Exchange<'p> {
        let started = now();
        let path = plan.call_path(call);
        let (sources, destinations) = match call {
            Call::Upload => (vec![Source::new(&path, plan, started)], Vec::new()),
            Call::Download => (Vec::new(), vec![Destination::new(&path, plan, started)]),
        };
        Exchange {
            plan,
            path,
            started,
            sources,
            destinations,
            watcher: None,
            other: None,
            rescue: None,
            rescued: false,
            observed: Observed::default(),
        }
    }

    /// Runs until both sides are done, or until it hangs.
    pub(super) fn drive(&mut self, pool: &mut Pool) {
        while !self.is_done() {
            let now = now();
            if now > self.started + HANG_TIMEOUT {
                self.observed.hangs = true;
                return;
            }
            let mut progressed = self.watcher.as_mut().is_some_and(|watcher| watcher.step(pool));
            for source in &mut self.sources {
                progressed |= source.step(now, pool);
            }
            for destination in &mut self.destinations {
                progressed |= destination.step(now, pool);
            }
            self.disturb(now, pool);
            if !progressed && !self.is_done() {
                self.wait(now);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.sources.iter().all(|source| source.side.done)
            && self.destinations.iter().all(|destination| destination.side.done)
    }

    /// Waits for any socket, or for the next time at which something is to be done.
    fn wait(&self, now: Instant) {
        let sources = self.sources.iter().filter_map(Source::interest);
        let destinations = self.destinations.iter().filter_map(Destination::interest);
        let watcher = self.watcher.iter().filter(|watcher| !watcher.ended());
        let watcher = watcher.map(|watcher| (watcher.link(), PollFlags::POLLIN));
        let links = sources.chain(destinations).chain(watcher);
        let polled = links.map(|(link, flags)| PollFd::new(link.descriptor(), flags));
        let mut polled: Vec<PollFd<'_>> = polled.collect();
        let wakes = self.sources.iter().filter_map(|source| source.side.wakes());
        let wakes = wakes
            .chain(self.destinations.iter().filter_map(|destination| destination.side.wakes()));
        let wakes = wakes.chain(self.other.map(|(_, at)| at)).chain(self.rescue);
        let next = wakes.min().unwrap_or(self.started + HANG_TIMEOUT);
        // A millisecond at least: poll(2) rounds down.
        let left = next.saturating_duration_since(now).max(Duration::from_millis(1));
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        // An interrupted poll is treated as one with a result.
        let _ = poll(&mut polled, timeout);
    }

    /// What other clients do.
    fn disturb(&mut self, now: Instant, pool: &mut Pool) {
        if self.sources.iter().all(|source| source.side.done) {
            self.destinations.iter_mut().for_each(Destination::resume);
        }
        let (Some(source), Some(destination)) = (self.sources.last(), self.destinations.last())
        else {
            return;
        };
        let left_alone =
            (source.side.done && source.side.outcome.faulted && !destination.has_begun())
                || (destination.side.done && destination.side.outcome.faulted && !source.side.done);
        if left_alone && !self.rescued {
            let at = *self.rescue.get_or_insert(now + PAUSE);
            if now >= at {
                (self.rescue, self.rescued) = (None, true);
                self.rescue(now, pool);
            }
        }
        let paired = self.destinations.iter().any(Destination::is_receiving);
        if let Some((other, at)) = self.other {
            let waits_for_pair = matches!(other, Other::SecondSource | Other::SecondDestination);
            if now >= at && (!waits_for_pair || paired) {
                self.other = None;
                self.act(other, pool);
            } else if now >= at {
                self.other = Some((other, now + PAUSE));
            }
        }
    }

    fn rescue(&mut self, now: Instant, pool: &mut Pool) {
        match self.plan.rescue {
            Rescue::Rejoin if self.sources.iter().all(|source| source.side.done) => {
                self.sources.push(Source::honest(&self.path, self.plan, now));
            }
            Rescue::Rejoin => {
                self.destinations.push(Destination::honest(&self.path, self.plan, now));
            }
            Rescue::Delete => self.act(Other::Delete, pool),
            Rescue::Expire => {}
        }
    }

    /// Another client's request.
    fn act(&mut self, other: Other, pool: &mut Pool) {
        let path = &self.path;
        let (text, allowed): (String, &[u16]) = match other {
            Other::Delete => (request("DELETE", path, ""), &[204, 404]),
            Other::Report => {
                let body = r#"{"http_status":418,"name":"SoakError"}"#;
                (request("POST", &format!("{path}/error"), body), &[200, 404, 409])
            }
            Other::Status => (request("GET", &format!("{path}/status"), ""), &[200]),
            // Refused, or the stream has ended.
            Other::SecondSource => (request("PUT", path, "other"), &[429, 404]),
            Other::SecondDestination => (request("GET", path, ""), &[429, 404]),
        };
        if self.ask(pool, &text, allowed) == Some(204) {
            self.observed.deleted = true;
        }
    }

    /// Sends a request, the response to which must have one of these statuses.
    fn ask(&mut self, pool: &mut Pool, text: &str, allowed: &[u16]) -> Option<u16> {
        let line = || text.lines().next().unwrap_or_default().to_owned();
        match ask(pool, text) {
            Ok(reply) => {
                let status = reply.head.status;
                if !allowed.contains(&status) {
                    self.observed.replies.push(format!("{status} to {}", line()));
                }
                Some(status)
            }
            Err(NoReply::Ended(ending)) => {
                self.observed.replies.push(format!("{ending:?} after {}", line()));
                None
            }
            Err(NoReply::Hang) => {
                self.observed.hangs = true;
                None
            }
        }
    }

    /// What is requested after the end.
    pub(super) fn follow_up(&mut self, pool: &mut Pool) {
        let clean = self.destinations.iter().any(|destination| destination.side.outcome.is_clean());
        let settles = !clean || self.send_receipt(pool);
        // Until its bytes are acknowledged, a complete download can still be deleted, or its FIN read.
        if clean && self.plan.checked && self.plan.is_honest() {
            self.check_status(pool);
        }
        // Without its receipt a stream has no last event: it is forgotten after a while.
        if settles {
            self.await_last_event(pool);
        }
    }

    /// Sends the receipt, if one was announced; whether the relay took it.
    fn send_receipt(&mut self, pool: &mut Pool) -> bool {
        let body = match self.plan.receipt {
            Receipt::None | Receipt::Acked => return true,
            Receipt::Confirmed => format!("{{\"bytes\":{}}}", self.plan.size),
            Receipt::Failed => "{\"error\":\"soak\"}".to_owned(),
        };
        let allowed: &[u16] = if self.plan.is_honest() { &[200] } else { &[200, 404, 409] };
        let request = request("POST", &format!("{}/receipt", self.path), &body);
        self.ask(pool, &request, allowed) == Some(200)
    }

    fn check_status(&mut self, pool: &mut Pool) {
        let text = request("GET", &format!("{}/status", self.path), "");
        let Ok(reply) = ask(pool, &text) else { return };
        let status = reply.json();
        let is_right = status["state"] == "FINISHED"
            && status["bytes_transferred"] == self.plan.size
            && reply.head.status == 200;
        if !is_right {
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            self.observed.replies.push(format!("status after a complete download: {text}"));
        }
    }

    fn await_last_event(&mut self, pool: &mut Pool) {
        let Some(mut watcher) = self.watcher.take() else { return };
        // Without one of both sides the stream does not end before its waiting time.
        let ends =
            self.destinations.iter().any(|destination| destination.side.outcome.status.is_some());
        while ends && !watcher.ended() && now() < self.started + HANG_TIMEOUT {
            if !watcher.step(pool) {
                let socket = watcher.link().descriptor();
                let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], 1000_u16);
            }
        }
        if let Some(seen) = watcher.missed_the_end().filter(|_| ends) {
            self.observed.replies.push(format!("the events did not show the end: {seen}"));
        }
    }

    pub(super) fn into_observed(self) -> Observed {
        Observed {
            uploads: self.sources.into_iter().map(|source| source.side.outcome).collect(),
            downloads: self
                .destinations
                .into_iter()
                .map(|destination| destination.side.outcome)
                .collect(),
            ..self.observed
        }
    }
}
