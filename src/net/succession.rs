//! A hand-over as the event loop sees it: a new process is started, this one goes on; the new one is
//! ready, and in one turn this one steps down. What waits moves, what runs stays.

use super::event_loop::{EventLoop, HANDOVER};
use super::handover::Successor;
use super::relay::{Mode, Relay};
use super::shutdown::Stopping;
use super::token::ConnId;
use crate::api::moved::{self, Moved};
use crate::api::{Busy, Failure};
use crate::rendezvous::{Adopted, Now};
use std::time::Duration;

impl EventLoop {
    /// Starts a new process that is to take over.
    pub(super) fn begin_handover(&mut self) {
        if self.relay.intake.is_some() {
            return log::warn!("no hand-over: a source of records has no successor; restart it");
        }
        if self.stopping != Stopping::No {
            return log::warn!("no hand-over: this process is about to end");
        }
        if self.handover.is_running() {
            return log::warn!("no second hand-over: a new process is being started");
        }
        log::info!("hand-over: starting a new process");
        let patience = self.relay.settings.handover.handover_timeout;
        let sockets: Vec<_> = self.listeners.sockets().chain(self.admin.socket()).collect();
        let started = self.handover.start(&sockets, patience, self.poll.registry(), HANDOVER);
        if let Err(error) = started {
            self.handover_failed(&error.to_string());
        }
    }

    /// The new process is ready, or there is none.
    pub(super) fn finish_handover(&mut self) {
        match self.handover.outcome(self.poll.registry()) {
            Some(Ok(successor)) if self.stopping == Stopping::No => self.step_down(successor),
            // It was to serve in place of this one, which is to end: so it ends as well.
            Some(Ok(successor)) => drop(successor),
            Some(Err(why)) => self.handover_failed(&why),
            None => {}
        }
    }

    fn handover_failed(&self, why: &str) {
        if self.stopping != Stopping::No {
            return log::warn!("no hand-over: {why}");
        }
        log::error!("no hand-over: {why}; this process goes on serving");
        self.manager.status("Serving; the last hand-over failed");
    }

    /// The new process serves: this one ends with its last transfer. All of it in one turn, so that
    /// no stream is known to both of them.
    fn step_down(&mut self, successor: Successor) {
        let process = successor.process;
        let suspended = self.relay.mode == Mode::Suspended;
        self.relay.mode = Mode::HandedOver;
        // Before the new one says that it is ready: the manager listens to the main process only.
        self.manager.moved_to(process, "Serving");
        let mut streams = self.relay.give_away();
        if suspended {
            streams.push_str(moved::SUSPENDED);
        }
        self.handover.step_down_for(successor, streams);
        log::info!("hand-over: process {process} serves now, this one drains");
        self.admin.leave(self.poll.registry());
        self.leave(Mode::HandedOver, "");
        let limit: Option<Duration> = self.relay.settings.handover.handover_drain_timeout;
        self.stopping = Stopping::Draining(limit.map(|limit| self.relay.now.monotonic + limit));
    }
}

impl Relay {
    /// Writes the streams that wait for a side or both, for the process that takes over; those who
    /// wait are asked to come again, and will find their streams there.
    fn give_away(&mut self) -> String {
        let given = self.registry.give_away_waiting();
        let lines: String =
            given.iter().map(|given| moved::write(given, self.now.monotonic)).collect();
        let failure = Failure::TooBusy(Busy::Replaced);
        for client in given.iter().filter_map(|given| given.stream.waiting()) {
            self.dismiss(ConnId::from_client(client), &failure);
        }
        // Those who follow them find them where they are now.
        for given in &given {
            for follower in self.followers.of(given.stream.id()) {
                self.close(follower);
            }
        }
        lines
    }

    /// Takes over the streams that another process has given away.
    pub(super) fn adopt(&mut self, lines: &[String]) {
        let mut kept = 0;
        for line in lines {
            if line == moved::SUSPENDED {
                self.mode = Mode::Suspended;
                kept += 1;
                continue;
            }
            let taken = moved::read(line).is_some_and(|stream| self.adopt_one(stream));
            kept += usize::from(taken);
        }
        if kept < lines.len() {
            log::warn!("hand-over: only {kept} of {} waiting streams are kept", lines.len());
        }
    }

    fn adopt_one(&mut self, stream: Moved) -> bool {
        let Moved { id, created_wall_ms: wall_ms, age, left, creator, headers, report } = stream;
        let Some(deadline) = self.now.monotonic.checked_add(left) else { return false };
        let monotonic = self.now.monotonic.checked_sub(age).unwrap_or(self.now.monotonic);
        let created = Now { monotonic, wall_ms };
        let adopted = Adopted { id, headers, creator, created, deadline };
        if self.registry.adopt(adopted, self.now).is_err() {
            return false;
        }
        if let Some(report) = report {
            let _ = self.registry.report(id, report, self.now);
        }
        true
    }

    /// A stream that is unknown here may be known to the process that took over: not "it does not
    /// exist", then, but "ask there".
    pub(super) fn perhaps_elsewhere(&self, failure: &Failure) -> Option<Failure> {
        let unknown = *failure == Failure::SessionNotFound && self.mode == Mode::HandedOver;
        unknown.then_some(Failure::TooBusy(Busy::Replaced))
    }
}
