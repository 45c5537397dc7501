//! How a process ends: what each signal orders, and what becomes of those who are here.
//!
//! Ending is honest. Those who wait are answered, running transfers end in their time or are broken
//! off visibly, and after a hand-over nobody loses a request to a closed connection.

use super::admin::Realm;
use super::conn::{Conn, Phase};
use super::event_loop::EventLoop;
use super::relay::{Mode, Relay};
use super::token::ConnId;
use crate::api::{Busy, Failure};
use crate::rendezvous::Ending;
use nix::sys::signal::Signal;
use std::time::Instant;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    End(How),
    /// A new process is to take over.
    HandOver,
    /// The configuration is to be read again.
    Reload,
    /// The access log's file was renamed.
    ReopenLogs,
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
            Signal::SIGUSR1 => Some(Self::ReopenLogs),
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
        let handed_over = self.relay.mode == Mode::HandedOver;
        match (how, self.stopping) {
            (_, Stopping::Closing(_) | Stopping::Stopped) => self.stopping = Stopping::Stopped,
            (How::Drain, Stopping::Draining(Some(limit))) if handed_over => {
                log::info!("{order}: draining");
                self.leave(Mode::Draining, "Draining");
                self.stopping = Stopping::Draining(Some(until.min(limit)));
            }
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
    pub(super) fn leave(&mut self, mode: Mode, status: &str) {
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
        let over = self.relay.intake.as_ref().is_some_and(|intake| intake.is_over());
        if over && self.stopping == Stopping::No {
            self.end(How::Drain, "no consumer is left");
        }
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
                | Phase::Pushing(_)
                | Phase::Handing
                | Phase::Streaming { .. }
                | Phase::Answering(_)
                | Phase::Listing(_)
                | Phase::Following(_)
                | Phase::Agent(_)
                | Phase::Calling(_)
                | Phase::Carried(_)
                | Phase::Asking(_)
                | Phase::Lingering { .. } => {}
                Phase::Spare(_) | Phase::Watching(_) => self.close(id),
            }
        }
        self.dismiss_agents();
    }

    /// No more time: running transfers are broken off, and everybody is told.
    pub(super) fn break_off_all(&mut self) {
        self.break_off_pushes();
        self.break_off_calls();
        for id in self.clients_ids() {
            self.break_off(id, Failure::stopping(), &Failure::TooBusy(Busy::Stopping));
        }
        self.tell_followers();
        for id in self.clients_ids() {
            let told = |conn: &mut Conn| !conn.is_lingering() && !conn.awaits_verdict();
            if self.conn(id).is_some_and(told) {
                self.close_or_linger(id);
            }
        }
    }

    /// Operators are served to the end, and hold nobody back.
    fn clients_ids(&self) -> Vec<ConnId> {
        let clients = self.conns.iter().filter(|(_, conn)| conn.realm != Realm::Admin);
        clients.map(|(_, conn)| conn.id).collect()
    }
}
