//! Drives one exchange after the other on a thread: both sides and a subscriber at once, with
//! poll(2).

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::destination::Destination;
use super::oracle::{Observed, Strictness, Verdict};
use super::plan::{Call, Other, Plan, Receipt, Rescue};
use super::pool::Pool;
use super::request::{NoReply, ask, request};
use super::source::Source;
use super::watcher::Watcher;
use super::{HANG_TIMEOUT, PAUSE};
use crate::support::now;

/// The relay of all workers.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) strictness: Strictness,
    /// Counts the beginning and the end of each hand-over.
    pub(crate) moves: AtomicU64,
}

impl Target {
    pub(crate) fn new(address: SocketAddr, strictness: Strictness) -> Target {
        Target { address, strictness, moves: AtomicU64::new(0) }
    }
}

/// One thread's connections.
pub(crate) struct Worker<'t> {
    target: &'t Target,
    pool: Pool,
}

/// An exchange in progress.
struct Exchange<'p> {
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
    observed: Observed,
}

impl<'t> Worker<'t> {
    pub(crate) fn new(target: &'t Target) -> Worker<'t> {
        Worker { target, pool: Pool::new(target.address) }
    }

    /// Carries out a plan, and judges what both sides observed.
    pub(crate) fn run(&mut self, plan: &Plan) -> Verdict {
        let before = self.target.moves.load(Ordering::SeqCst);
        let mut observed = self.observe(plan);
        let after = self.target.moves.load(Ordering::SeqCst);
        observed.moved = before != after || !before.is_multiple_of(2);
        observed.replaced = after > 0;
        observed.judge(plan, self.target.strictness)
    }

    fn observe(&mut self, plan: &Plan) -> Observed {
        if let Some(call) = plan.call {
            let mut exchange = Exchange::of_call(plan, call);
            exchange.drive(&mut self.pool);
            return exchange.into_observed();
        }
        let path = match self.create(plan) {
            Ok(path) => path,
            Err(refusal) => return refusal,
        };
        let mut exchange = Exchange::new(plan, path, &mut self.pool);
        exchange.drive(&mut self.pool);
        if !exchange.observed.hangs {
            exchange.follow_up(&mut self.pool);
        }
        exchange.into_observed()
    }

    /// Creates a stream, and returns its path.
    fn create(&mut self, plan: &Plan) -> Result<String, Observed> {
        let mut options = serde_json::Map::new();
        if plan.rescue == Rescue::Expire && !plan.is_honest() {
            options.insert("ttl_seconds".to_owned(), 2.into());
        }
        if plan.receipt == Receipt::Acked {
            options.insert("receipt".to_owned(), "acked".into());
        }
        let body = serde_json::Value::from(options).to_string();
        match ask(&mut self.pool, &request("POST", "/stream", &body)) {
            Ok(reply) if reply.head.status == 201 => {
                let id = reply.json()["stream"].as_str().unwrap_or_default().to_owned();
                Ok(format!("/stream/{id}"))
            }
            Ok(reply) => Err(Observed::refused(Some(reply.head.status))),
            Err(NoReply::Ended(_)) => Err(Observed::refused(None)),
            Err(NoReply::Hang) => Err(Observed { hangs: true, ..Observed::default() }),
        }
    }
}

impl<'p> Exchange<'p> {
    fn new(plan: &'p Plan, path: String, pool: &mut Pool) -> Exchange<'p> {
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
    fn of_call(plan: &'p Plan, call: Call) -> Exchange<'p> {
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
    fn drive(&mut self, pool: &mut Pool) {
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
        self.sources.iter().all(|source| source.done)
            && self.destinations.iter().all(|destination| destination.done)
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
        let wakes = self.sources.iter().filter_map(Source::wakes);
        let wakes = wakes.chain(self.destinations.iter().filter_map(Destination::wakes));
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
        if self.sources.iter().all(|source| source.done) {
            self.destinations.iter_mut().for_each(Destination::resume);
        }
        let (Some(source), Some(destination)) = (self.sources.last(), self.destinations.last())
        else {
            return;
        };
        let left_alone = (source.done && source.upload.faulted && !destination.has_begun())
            || (destination.done && destination.download.faulted && !source.done);
        if left_alone && !self.rescued {
            let at = *self.rescue.get_or_insert(now + PAUSE);
            if now >= at {
                (self.rescue, self.rescued) = (None, true);
                self.rescue(now, pool);
            }
        }
        let begun = self.destinations.iter().any(Destination::has_begun);
        if let Some((other, at)) = self.other {
            let waits_for_pair = matches!(other, Other::SecondSource | Other::SecondDestination);
            if now >= at && (!waits_for_pair || begun) {
                self.other = None;
                self.act(other, pool);
            } else if now >= at {
                self.other = Some((other, now + PAUSE));
            }
        }
    }

    fn rescue(&mut self, now: Instant, pool: &mut Pool) {
        match self.plan.rescue {
            Rescue::Rejoin if self.sources.iter().all(|source| source.done) => {
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
        match super::request::ask(pool, text) {
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
    fn follow_up(&mut self, pool: &mut Pool) {
        let clean = self.destinations.iter().any(|side| side.download.is_clean());
        if clean {
            self.send_receipt(pool);
        }
        // Until its bytes are acknowledged, a complete download can still be deleted, or its FIN read.
        if clean && self.plan.checked && self.plan.is_honest() {
            self.check_status(pool);
        }
        self.await_last_event(pool);
    }

    fn send_receipt(&mut self, pool: &mut Pool) {
        let body = match self.plan.receipt {
            Receipt::None | Receipt::Acked => return,
            Receipt::Confirmed => format!("{{\"bytes\":{}}}", self.plan.size),
            Receipt::Failed => "{\"error\":\"soak\"}".to_owned(),
        };
        let allowed: &[u16] = if self.plan.is_honest() { &[200] } else { &[200, 404, 409] };
        self.ask(pool, &request("POST", &format!("{}/receipt", self.path), &body), allowed);
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
        let ends = self.destinations.iter().any(|side| side.download.status.is_some());
        while ends && !watcher.ended() && now() < self.started + HANG_TIMEOUT {
            if !watcher.step(pool) {
                let socket = watcher.link().descriptor();
                let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], 1000_u16);
            }
        }
        if ends && !watcher.saw_the_end() {
            self.observed.replies.push("the events did not show the end".to_owned());
        }
    }

    fn into_observed(self) -> Observed {
        Observed {
            uploads: self.sources.into_iter().map(|side| side.upload).collect(),
            downloads: self.destinations.into_iter().map(|side| side.download).collect(),
            ..self.observed
        }
    }
}
