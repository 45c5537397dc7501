//! How a process ends: what each signal orders, and how far the end has come. PURE: what is decided
//! here is carried out by the event loop.
//!
//! Ending is honest. Those who wait are answered, running transfers end in their time or are
//! interrupted visibly, and after a hand-over no request is lost to a closed connection.

use nix::sys::signal::Signal;
use std::time::Instant;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The process is to end.
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
pub enum How {
    /// Running transfers have the drain time.
    Drain,
    /// Running transfers may take any time.
    DrainWithoutLimit,
    /// Everything is broken off.
    Quickly,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// Not at all.
    No,
    /// Running transfers have until then; without a limit if there is none.
    Draining(Option<Instant>),
    /// Those that were broken off have until then to take their answers.
    Closing(Instant),
    /// The loop ends.
    Stopped,
}

/// What the loop has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Act {
    /// Nothing.
    Nothing,
    /// Take nothing on any more, and show this status.
    Drain(&'static str),
    /// The same, and interrupt what still runs; then [`Stopping::Closing`] begins.
    BreakOff(&'static str),
}

impl Order {
    /// What this signal asks for, if anything.
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

    /// An order to end. `until` is when a drain that begins now is over. A later order may change the
    /// limit of draining; the second with a limit ends it, and any order while closing is the last.
    /// After a hand-over the limit was not this order's, so the first may shorten it.
    pub fn obey(&mut self, how: How, until: Option<Instant>, handed_over: bool) -> Act {
        match (how, *self) {
            (_, Self::Closing(_) | Self::Stopped) => {
                *self = Self::Stopped;
                Act::Nothing
            }
            (How::Drain, Self::Draining(Some(limit))) if handed_over => {
                *self = Self::Draining(Some(until.map_or(limit, |until| until.min(limit))));
                Act::Drain("Draining")
            }
            (How::Quickly, Self::No | Self::Draining(_))
            | (How::Drain, Self::Draining(Some(_))) => Act::BreakOff("Stopping"),
            (How::Drain, Self::No | Self::Draining(None)) => {
                *self = Self::Draining(until);
                Act::Drain("Draining")
            }
            (How::DrainWithoutLimit, Self::No | Self::Draining(_)) => {
                *self = Self::Draining(None);
                Act::Drain("Draining without a limit")
            }
        }
    }

    /// A turn ends, and this many clients are connected.
    pub fn look(&mut self, now: Instant, clients: usize) -> Act {
        match *self {
            Self::Draining(_) | Self::Closing(_) if clients == 0 => *self = Self::Stopped,
            Self::Draining(Some(until)) if until <= now => return Act::BreakOff("Stopping"),
            Self::Closing(until) if until <= now => *self = Self::Stopped,
            Self::No | Self::Draining(_) | Self::Closing(_) | Self::Stopped => {}
        }
        Act::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn each_order_leads_where_it_should() {
        let now = Instant::now();
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        let (drain, stop) = (Act::Drain("Draining"), Act::BreakOff("Stopping"));
        let unlimited = Act::Drain("Draining without a limit");
        for (name, before, how, handed_over, act, after) in [
            ("drain", Stopping::No, How::Drain, false, drain, Stopping::Draining(Some(soon))),
            (
                "drain, again",
                Stopping::Draining(Some(late)),
                How::Drain,
                false,
                stop,
                Stopping::Draining(Some(late)),
            ),
            (
                "drain after a hand-over",
                Stopping::Draining(Some(late)),
                How::Drain,
                true,
                drain,
                Stopping::Draining(Some(soon)),
            ),
            (
                "a limit after all",
                Stopping::Draining(None),
                How::Drain,
                false,
                drain,
                Stopping::Draining(Some(soon)),
            ),
            (
                "no limit after all",
                Stopping::Draining(Some(late)),
                How::DrainWithoutLimit,
                false,
                unlimited,
                Stopping::Draining(None),
            ),
            ("at once", Stopping::No, How::Quickly, false, stop, Stopping::No),
            (
                "at once, from draining",
                Stopping::Draining(None),
                How::Quickly,
                false,
                stop,
                Stopping::Draining(None),
            ),
            (
                "any order while closing",
                Stopping::Closing(late),
                How::DrainWithoutLimit,
                false,
                Act::Nothing,
                Stopping::Stopped,
            ),
        ] {
            let mut stopping = before;
            assert_eq!(stopping.obey(how, Some(soon), handed_over), act, "{name}");
            assert_eq!(stopping, after, "{name}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn the_end_comes_with_the_last_client_or_the_limit() {
        let now = Instant::now();
        let late = now + Duration::from_secs(9);
        let stop = Act::BreakOff("Stopping");
        for (name, before, clients, act, after) in [
            ("serving", Stopping::No, 0, Act::Nothing, Stopping::No),
            ("the last one left", Stopping::Draining(None), 0, Act::Nothing, Stopping::Stopped),
            (
                "one is left",
                Stopping::Draining(Some(late)),
                1,
                Act::Nothing,
                Stopping::Draining(Some(late)),
            ),
            ("time is over", Stopping::Draining(Some(now)), 1, stop, Stopping::Draining(Some(now))),
            ("answers are out", Stopping::Closing(late), 0, Act::Nothing, Stopping::Stopped),
            ("answers are not taken", Stopping::Closing(now), 1, Act::Nothing, Stopping::Stopped),
        ] {
            let mut stopping = before;
            assert_eq!(stopping.look(now, clients), act, "{name}");
            assert_eq!(stopping, after, "{name}");
        }
    }
}
