//! The days descriptors or memory run out: accepting pauses, for no event would come to say that it
//! can go on, and one descriptor is kept, to be given up when no other is left.

use crate::relay::io::Io;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long accepting pauses; the connections that wait cost nothing meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// What one attempt to accept led to.
#[derive(Debug)]
pub enum Accepted<S> {
    /// A connection.
    One(S),
    /// That one failed; others may wait after it.
    Lost,
    /// None waits.
    None,
    /// Descriptors or memory are out, or something else is wrong that asking again will not fix.
    OutOf(io::Error),
}

/// Whether there were descriptors for all that was to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum DescriptorSupply {
    /// There were.
    Enough,
    /// There were not: what can be done without is to be closed.
    Short,
}

impl DescriptorSupply {
    /// Whether descriptors that can be done without are to be closed.
    pub fn is_short(self) -> bool {
        self == Self::Short
    }
}

/// The pauses of one kind of listener. It begins with the first failure, and is over once everything
/// that waited could be accepted.
#[derive(Debug)]
pub struct Shortage {
    /// Who cannot get in, as the log says it.
    listener: &'static str,
    /// Given up when no other descriptor is left.
    spare: Option<File>,
    paused_until: Option<Instant>,
    /// It was logged, and is not over.
    lasting: bool,
}

impl Shortage {
    /// None so far. `listener` is what the log calls it.
    pub fn none_yet(listener: &'static str) -> Self {
        Self { listener, spare: spare(), paused_until: None, lasting: false }
    }

    /// A turn begins: a pause whose time is over ends, and a spare that was given up is taken again,
    /// before the descriptor is used for something else.
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

    /// Whether something could not be accepted, and since then not everything could.
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// When the pause ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Nothing can be accepted for a while. Each pause is counted, and each shortage logged once.
    pub fn pause(&mut self, io: &mut Io, error: &io::Error) {
        self.paused_until = io.now.monotonic.checked_add(PAUSE);
        io.journal.metrics.accept_paused();
        if !std::mem::replace(&mut self.lasting, true) {
            let Self { listener, .. } = self;
            log::error!("accepting pauses for {} ms{listener}: {error}", PAUSE.as_millis());
        }
    }

    /// Everything that waited was accepted.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.lasting) {
            log::info!("accepting goes on{}", self.listener);
        }
        self.paused_until = None;
    }

    /// Gives the spare descriptor up; whether there was one.
    pub fn give_up_spare(&mut self) -> bool {
        self.spare.take().is_some()
    }

    /// Takes a spare descriptor again, if there is one to be had.
    pub fn keep_spare(&mut self) {
        self.spare = self.spare.take().or_else(spare);
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether a connection waits to be accepted: asking costs a tenth of an accept(2) in vain, which
/// makes a socket and a file before it looks.
pub fn waits(listener: &impl AsFd) -> bool {
    let mut question = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    // When in doubt, accepting will show.
    poll(&mut question, PollTimeout::ZERO).map_or(true, |answers| answers > 0)
}

/// What an accept(2) led to. Linux passes pending network errors of a new socket on as errors of
/// accept(2), and a firewall's refusal: they concern that connection only, and no event would come
/// for those after it.
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
