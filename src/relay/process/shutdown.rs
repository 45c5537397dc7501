//! How a process ends: what each signal orders, and the progress of the shutdown. PURE: the event
//! loop carries out what is decided here.
//!
//! Ending is honest. Waiting clients are answered, running transfers end in time or are interrupted
//! visibly, and after a hand-over no request is lost to a closed connection.

use nix::sys::signal::Signal;
use std::time::Instant;

/// What a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownSignal {
    /// Shut down this process.
    End(ShutdownMode),
    /// Start a new process that takes over.
    HandOver,
    /// Reload the configuration.
    Reload,
    /// Reopen the access log, whose file was renamed.
    ReopenLogs,
}

/// How a process is to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownMode {
    /// Running transfers may use the drain time.
    Drain,
    /// Running transfers may take any time.
    DrainWithoutLimit,
    /// Everything is interrupted.
    Quickly,
}

/// The progress of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownPhase {
    /// Not shutting down.
    No,
    /// Running transfers may continue until then; without a limit if `None`.
    Draining(Option<Instant>),
    /// Interrupted clients may take their answers until then.
    Closing(Instant),
    /// The loop ends.
    Stopped,
}

/// What the loop has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum ShutdownAction {
    /// Nothing.
    Nothing,
    /// Accept nothing new, and show this status.
    Drain(&'static str),
    /// The same, and interrupt what still runs; then [`ShutdownPhase::Closing`] begins.
    BreakOff(&'static str),
}

impl ShutdownSignal {
    /// Returns what this signal requests, if anything.
    pub fn of(signal: Signal) -> Option<Self> {
        #[allow(clippy::wildcard_enum_match_arm, reason = "the signals are not ours")]
        match signal {
            Signal::SIGTERM => Some(Self::End(ShutdownMode::Drain)),
            Signal::SIGQUIT => Some(Self::End(ShutdownMode::DrainWithoutLimit)),
            Signal::SIGINT => Some(Self::End(ShutdownMode::Quickly)),
            Signal::SIGUSR1 => Some(Self::ReopenLogs),
            Signal::SIGHUP => Some(Self::Reload),
            Signal::SIGUSR2 => Some(Self::HandOver),
            _ => None,
        }
    }
}

impl ShutdownPhase {
    /// Returns the deadline of this phase.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::No | Self::Stopped | Self::Draining(None) => None,
            Self::Draining(Some(until)) | Self::Closing(until) => Some(until),
        }
    }

    /// Obeys an order to end. `until` is the end of a drain that begins now. A later order may
    /// change the drain limit; the second with a limit ends the drain, and any order while closing
    /// is final. After a hand-over the limit was not set by an order, so the first may shorten it.
    pub fn obey(
        &mut self,
        how: ShutdownMode,
        until: Option<Instant>,
        handed_over: bool,
    ) -> ShutdownAction {
        match (how, *self) {
            (_, Self::Closing(_) | Self::Stopped) => {
                *self = Self::Stopped;
                ShutdownAction::Nothing
            }
            (ShutdownMode::Drain, Self::Draining(Some(limit))) if handed_over => {
                *self = Self::Draining(Some(until.map_or(limit, |until| until.min(limit))));
                ShutdownAction::Drain("Draining")
            }
            (ShutdownMode::Quickly, Self::No | Self::Draining(_))
            | (ShutdownMode::Drain, Self::Draining(Some(_))) => {
                ShutdownAction::BreakOff("Stopping")
            }
            (ShutdownMode::Drain, Self::No | Self::Draining(None)) => {
                *self = Self::Draining(until);
                ShutdownAction::Drain("Draining")
            }
            (ShutdownMode::DrainWithoutLimit, Self::No | Self::Draining(_)) => {
                *self = Self::Draining(None);
                ShutdownAction::Drain("Draining without a limit")
            }
        }
    }

    /// Returns the next action at the end of a turn, with this many clients connected.
    pub fn next_action(&mut self, now: Instant, clients: usize) -> ShutdownAction {
        match *self {
            Self::Draining(_) | Self::Closing(_) if clients == 0 => *self = Self::Stopped,
            Self::Draining(Some(until)) if until <= now => {
                return ShutdownAction::BreakOff("Stopping");
            }
            Self::Closing(until) if until <= now => *self = Self::Stopped,
            Self::No | Self::Draining(_) | Self::Closing(_) | Self::Stopped => {}
        }
        ShutdownAction::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn each_shutdown_request_leads_to_its_phase() {
        let now = Instant::now();
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        let (drain, stop) =
            (ShutdownAction::Drain("Draining"), ShutdownAction::BreakOff("Stopping"));
        let unlimited = ShutdownAction::Drain("Draining without a limit");
        for (name, before, how, handed_over, act, after) in [
            (
                "drain",
                ShutdownPhase::No,
                ShutdownMode::Drain,
                false,
                drain,
                ShutdownPhase::Draining(Some(soon)),
            ),
            (
                "drain, again",
                ShutdownPhase::Draining(Some(late)),
                ShutdownMode::Drain,
                false,
                stop,
                ShutdownPhase::Draining(Some(late)),
            ),
            (
                "drain after a hand-over",
                ShutdownPhase::Draining(Some(late)),
                ShutdownMode::Drain,
                true,
                drain,
                ShutdownPhase::Draining(Some(soon)),
            ),
            (
                "a limit after all",
                ShutdownPhase::Draining(None),
                ShutdownMode::Drain,
                false,
                drain,
                ShutdownPhase::Draining(Some(soon)),
            ),
            (
                "no limit after all",
                ShutdownPhase::Draining(Some(late)),
                ShutdownMode::DrainWithoutLimit,
                false,
                unlimited,
                ShutdownPhase::Draining(None),
            ),
            ("at once", ShutdownPhase::No, ShutdownMode::Quickly, false, stop, ShutdownPhase::No),
            (
                "at once, from draining",
                ShutdownPhase::Draining(None),
                ShutdownMode::Quickly,
                false,
                stop,
                ShutdownPhase::Draining(None),
            ),
            (
                "any order while closing",
                ShutdownPhase::Closing(late),
                ShutdownMode::DrainWithoutLimit,
                false,
                ShutdownAction::Nothing,
                ShutdownPhase::Stopped,
            ),
        ] {
            let mut stopping = before;
            assert_eq!(stopping.obey(how, Some(soon), handed_over), act, "{name}");
            assert_eq!(stopping, after, "{name}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn the_process_ends_with_the_last_client_or_at_the_limit() {
        let now = Instant::now();
        let late = now + Duration::from_secs(9);
        let stop = ShutdownAction::BreakOff("Stopping");
        for (name, before, clients, act, after) in [
            ("serving", ShutdownPhase::No, 0, ShutdownAction::Nothing, ShutdownPhase::No),
            (
                "the last one left",
                ShutdownPhase::Draining(None),
                0,
                ShutdownAction::Nothing,
                ShutdownPhase::Stopped,
            ),
            (
                "one is left",
                ShutdownPhase::Draining(Some(late)),
                1,
                ShutdownAction::Nothing,
                ShutdownPhase::Draining(Some(late)),
            ),
            (
                "time is over",
                ShutdownPhase::Draining(Some(now)),
                1,
                stop,
                ShutdownPhase::Draining(Some(now)),
            ),
            (
                "answers are out",
                ShutdownPhase::Closing(late),
                0,
                ShutdownAction::Nothing,
                ShutdownPhase::Stopped,
            ),
            (
                "answers are not taken",
                ShutdownPhase::Closing(now),
                1,
                ShutdownAction::Nothing,
                ShutdownPhase::Stopped,
            ),
        ] {
            let mut stopping = before;
            assert_eq!(stopping.next_action(now, clients), act, "{name}");
            assert_eq!(stopping, after, "{name}");
        }
    }
}
