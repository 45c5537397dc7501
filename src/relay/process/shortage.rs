//! Shortages of descriptors or memory: accepting pauses for a fixed time, since no event would
//! report that it can continue, and one spare descriptor is kept, to be given up when no other is
//! left.

use crate::ops::cause;
use crate::relay::io::Io;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long accepting pauses; waiting connections cost nothing meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// The result of one attempt to accept.
#[derive(Debug)]
pub enum Accepted<S> {
    /// A connection.
    One(S),
    /// That one failed; others may wait after it.
    Lost,
    /// None waits.
    None,
    /// Descriptors or memory are exhausted, or another error that retrying will not fix.
    OutOf(io::Error),
}

/// Whether there were enough descriptors to accept everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum DescriptorSupply {
    /// There were enough.
    Enough,
    /// There were too few: dispensable ones are to be closed.
    Short,
}

impl DescriptorSupply {
    /// Whether dispensable descriptors are to be closed.
    pub fn is_short(self) -> bool {
        self == Self::Short
    }
}

/// The pauses of one kind of listener. A shortage begins with the first failure, and is over once
/// all waiting connections were accepted.
#[derive(Debug)]
pub struct Shortage {
    /// The listener's name in the log.
    listener: &'static str,
    /// Given up when no other descriptor is left.
    spare: Option<File>,
    paused_until: Option<Instant>,
    /// The shortage was logged, and is not over.
    lasting: bool,
}

impl Shortage {
    /// Creates it without a shortage. `listener` is its name in the log.
    pub fn none_yet(listener: &'static str) -> Self {
        Self { listener, spare: spare(), paused_until: None, lasting: false }
    }

    /// Begins a turn: a pause whose time is over ends, and a spare that was given up is opened
    /// again, before its descriptor is used for something else.
    pub fn begin_turn(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
        self.keep_spare();
    }

    /// Whether accepting pauses.
    pub fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Whether a shortage is not over yet.
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// Returns when the pause ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Pauses accepting for a while. Each pause is counted, and each shortage logged once.
    pub fn pause(&mut self, io: &mut Io, error: &io::Error) {
        self.paused_until = io.now.monotonic.checked_add(PAUSE);
        io.journal.metrics.accept_paused();
        if !std::mem::replace(&mut self.lasting, true) {
            let Self { listener, .. } = self;
            log::error!(
                "accepting pauses for {} ms{listener}: {}",
                PAUSE.as_millis(),
                cause(error)
            );
        }
    }

    /// Ends the shortage: all waiting connections were accepted.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.lasting) {
            log::info!("accepting goes on{}", self.listener);
        }
        self.paused_until = None;
    }

    /// Gives up the spare descriptor; whether there was one.
    pub fn give_up_spare(&mut self) -> bool {
        self.spare.take().is_some()
    }

    /// Opens the spare descriptor again, if possible.
    pub fn keep_spare(&mut self) {
        self.spare = self.spare.take().or_else(spare);
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether a connection waits to be accepted: this costs a tenth of a failing accept(2), which
/// creates a socket and a file before it looks.
pub fn waits(listener: &impl AsFd) -> bool {
    let mut question = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    // When in doubt, accept(2) decides.
    poll(&mut question, PollTimeout::ZERO).map_or(true, |answers| answers > 0)
}

/// Classifies the result of accept(2). Linux reports pending network errors of a new socket, and a
/// firewall's refusal, as errors of accept(2): they concern that connection only, and no event
/// would follow for those after it.
pub fn accepted<S>(result: io::Result<S>) -> Accepted<S> {
    match result {
        Ok(connection) => Accepted::One(connection),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => Accepted::None,
            Some(
                Errno::EINTR
                | Errno::ECONNABORTED
                | Errno::EPERM
                | Errno::EPROTO
                | Errno::ENOPROTOOPT
                | Errno::EOPNOTSUPP
                | Errno::ENONET
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::ETIMEDOUT,
            ) => Accepted::Lost,
            Some(_) | None => Accepted::OutOf(error),
        },
    }
}
