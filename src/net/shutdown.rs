//! How a process ends: what each signal orders, and what becomes of those who are here.
//!
//! Ending is honest. Those who wait are answered, running transfers end in their time or are broken
//! off visibly, and after a hand-over nobody loses a request to a closed connection.

use super::admin::Realm;
use super::conn::Phase;
use super::event_loop::{EventLoop, HANDOVER};
use super::handover::Successor;
use super::relay::{Mode, Relay};
use super::token::ConnId;
use crate::api::moved::{self, Moved};
use crate::api::{Busy, Failure};
use crate::rendezvous::{Ending, Now, Stream};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    End(How),
    /// A new process is to take over.
    HandOver,
    /// The configuration is to be read again.
    Reload,
}

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Running transfers have the drain time.
    Drain,
    /// Running transfers have all the time they want.
    DrainWithoutLimit,
    /// Everything is broken off.
    Quickly,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    No,
    /// Running transfers have until then; without a limit if there is none.
    Draining(Option<Instant>),
    /// Those that were broken off have until then to take their answers.
    Closing(Instant),
    Stopped,
}

impl Order {
    pub fn of(signal: Signal) -> Option<Self> {
        #[allow(clippy::wildcard_enum_match_arm, reason = "the signals are not ours")]
        match signal {
            Signal::SIGTERM => Some(Self::End(How::Drain)),
            Signal::SIGQUIT => Some(Self::End(How::DrainWithoutLimit)),
            Signal::SIGINT => Some(Self::End(How::Quickly)),
            Signal::SIGHUP => Some(Self::Reload),
            Signal::SIGUSR2 => Some(Self::HandOver),
            _ => None,
        }
    }
}

impl Stopping {
    /// When it has to be looked after.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::No | Self::Stopped | Self::Draining(None) => None,
            Self::Draining(Some(until)) | Self::Closing(until) => Some(until),
        }
    }
}

impl EventLoop {
    /// Obeys an order to end. A later one may change the limit of draining; the second with a limit
    /// ends it, and any order while closing is the last.
    pub(super) fn end(&mut self, how: How, order: &str) {
        let until = self.relay.now.monotonic + self.relay.settings.drain_timeout;
        match (how, self.stopping) {
            (_, Stopping::Closing(_) | Stopping::Stopped) => self.stopping = Stopping::Stopped,
            (How::Quickly, Stopping::No | Stopping::Draining(_))
            | (How::Drain, Stopping::Draining(Some(_))) => {
                log::info!("{order}: stopping");
                self.leave(Mode::Draining, "Stopping");
                self.break_off();
            }
            (How::Drain, Stopping::No | Stopping::Draining(None)) => {
                log::info!("{order}: draining");
                self.leave(Mode::Draining, "Draining");
                self.stopping = Stopping::Draining(Some(until));
            }
            (How::DrainWithoutLimit, Stopping::No | Stopping::Draining(_)) => {
                log::info!("{order}: draining without a limit");
                self.leave(Mode::Draining, "Draining without a limit");
                self.stopping = Stopping::Draining(None);
            }
        }
    }

    /// Takes nobody in any more.
    fn leave(&mut self, mode: Mode, status: &str) {
        self.manager.stopping(status);
        self.listeners.close(self.poll.registry());
        self.relay.drain(mode);
    }

    fn break_off(&mut self) {
        self.relay.break_off_all();
        let until = self.relay.now.monotonic + self.relay.settings.linger_timeout;
        self.stopping = Stopping::Closing(until);
    }

    pub(super) fn look_after_stopping(&mut self) {
        if std::mem::take(&mut self.relay.admin.stop) && self.stopping == Stopping::No {
            self.end(How::Drain, "an operator's order");
        }
        let now = self.relay.now.monotonic;
        match self.stopping {
            Stopping::Draining(_) | Stopping::Closing(_) if self.relay.clients() == 0 => {
                self.stopping = Stopping::Stopped;
            }
            Stopping::Draining(Some(until)) if until <= now => self.break_off(),
            Stopping::Closing(until) if until <= now => self.stopping = Stopping::Stopped,
            Stopping::No | Stopping::Draining(_) | Stopping::Closing(_) | Stopping::Stopped => {}
        }
    }

    /// Starts a new process that is to take over.
    pub(super) fn begin_handover(&mut self) {
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
        log::error!("no hand-over: {why}; this process goes on serving");
        if self.stopping == Stopping::No {
            self.manager.status("Serving; the last hand-over failed");
        }
    }

    /// The new process serves: this one ends with its last transfer. All of it in one turn, so that
    /// no stream is known to both of them.
    fn step_down(&mut self, successor: Successor) {
        let process = successor.process;
        self.relay.mode = Mode::HandedOver;
        let streams = self.relay.give_away();
        self.handover.step_down_for(successor, streams);
        log::info!("hand-over: process {process} serves now, this one drains");
        self.manager.moved_to(process, "Serving");
        self.admin.leave(self.poll.registry());
        self.leave(Mode::HandedOver, "");
        let limit: Option<Duration> = self.relay.settings.handover.handover_drain_timeout;
        self.stopping = Stopping::Draining(limit.map(|limit| self.relay.now.monotonic + limit));
    }
}

impl Relay {
    /// Nothing new begins from now on. After a hand-over idle connections stay until their next
    /// request or the end of their patience: a request may be on its way, and would be lost.
    pub(super) fn drain(&mut self, mode: Mode) {
        self.mode = mode;
        for id in self.clients_ids() {
            let Some(conn) = self.conn(id) else { continue };
            match &conn.phase {
                Phase::Head if mode == Mode::Draining && conn.is_idle() => self.close(id),
                Phase::Waiting { stream, .. } => {
                    let (stream, report) = (*stream, Box::new(Failure::stopping()));
                    self.registry.end(stream, Ending::Reported(report), self.now);
                    self.dismiss(id, &Failure::TooBusy(Busy::Stopping));
                }
                Phase::Head
                | Phase::Json(_)
                | Phase::Streaming { .. }
                | Phase::Answering(_)
                | Phase::Listing(_)
                | Phase::Lingering { .. } => {}
            }
        }
    }

    /// Writes the streams that wait for a side or both, for the process that takes over; those who
    /// wait are asked to come again, and will find their streams there.
    fn give_away(&mut self) -> String {
        let given = self.registry.give_away_waiting();
        let begin = |deadline: Instant| deadline.checked_sub(self.settings.ttl);
        let waited = |stream: &Stream| {
            begin(stream.deadline())
                .map_or(Duration::ZERO, |begin| self.now.monotonic.saturating_duration_since(begin))
        };
        let lines: String =
            given.iter().map(|given| moved::write(given, waited(&given.stream))).collect();
        let failure = Failure::TooBusy(Busy::Replaced);
        for client in given.iter().filter_map(|given| given.stream.waiting()) {
            self.dismiss(ConnId::from_client(client), &failure);
        }
        lines
    }

    /// Takes over the streams that another process has given away.
    pub(super) fn adopt(&mut self, lines: &[String]) {
        let mut lost = 0;
        for line in lines {
            let taken = moved::read(line).is_some_and(|stream| self.adopt_one(stream));
            lost += usize::from(!taken);
        }
        if lost > 0 {
            log::warn!("hand-over: {lost} of {} waiting streams could not be kept", lines.len());
        }
    }

    fn adopt_one(&mut self, stream: Moved) -> bool {
        let Moved { id, created_wall_ms: wall_ms, waited, creator, headers, report } = stream;
        let monotonic = self.now.monotonic.checked_sub(waited).unwrap_or(self.now.monotonic);
        let made = self.registry.adopt(id, headers, creator, Now { monotonic, wall_ms }).is_ok();
        if made && let Some(report) = report {
            let _ = self.registry.report(id, report, self.now);
        }
        made
    }

    /// No more time: running transfers are broken off, and everybody is told.
    pub(super) fn break_off_all(&mut self) {
        for id in self.clients_ids() {
            self.break_off(id, Failure::stopping(), &Failure::TooBusy(Busy::Stopping));
        }
        for id in self.clients_ids() {
            if self.conn(id).is_some_and(|conn| !conn.is_lingering()) {
                self.close_or_linger(id);
            }
        }
    }

    /// Operators are served to the end, and hold nobody back.
    fn clients_ids(&self) -> Vec<ConnId> {
        let clients = self.conns.iter().filter(|(_, conn)| conn.realm == Realm::Public);
        clients.map(|(_, conn)| conn.id).collect()
    }

    /// A stream that is unknown here may be known to the process that took over: not "it does not
    /// exist", then, but "ask there".
    pub(super) fn perhaps_elsewhere(&self, failure: &Failure) -> Option<Failure> {
        let unknown = *failure == Failure::SessionNotFound && self.mode == Mode::HandedOver;
        unknown.then_some(Failure::TooBusy(Busy::Replaced))
    }
}
