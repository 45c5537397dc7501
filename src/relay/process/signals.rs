//! Signals as events: those the relay handles are read from a descriptor (signalfd(2)) like all
//! other events. SIGPIPE is blocked, because splice(2) has no `MSG_NOSIGNAL`; the `EPIPE` is
//! enough.

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::AsRawFd;

/// How often reading a signal is tried.
const READ_ATTEMPTS: u32 = 4;

/// The descriptor signals are read from.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Blocks the signals for this thread and those it starts later, and reads them instead.
    ///
    /// # Errors
    /// Returns the error of `pthread_sigmask`(3), signalfd(2) or `epoll_ctl`(2).
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.add(Signal::SIGHUP);
        set.add(Signal::SIGQUIT);
        set.add(Signal::SIGUSR2);
        set.add(Signal::SIGUSR1);
        let mut blocked = set;
        blocked.add(Signal::SIGPIPE);
        blocked.thread_block()?;
        let descriptor =
            SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        registry.register(&mut SourceFd(&descriptor.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { descriptor })
    }

    /// Returns the next signal that was received, if any.
    pub fn next(&mut self) -> Option<Signal> {
        // A signal stays pending after an error, and no further event would report it.
        let mut attempts = 0..READ_ATTEMPTS;
        let info = attempts.find_map(|_| self.descriptor.read_signal().ok().flatten())?;
        i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok())
    }
}
