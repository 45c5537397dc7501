//! The thread that owns a connection's wire: it transfers bytes between the wire and the session,
//! and keeps the heartbeat. It waits in poll(2) for the socket and for the eventfd of the other
//! threads.

use super::link::Link;
use super::pings::PingHandlers;
use crate::client::clock;
use crate::client::wire::Wire;
use crate::mux::session::Closed;
use crate::splice::copy::{Read, Write};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum bytes per read.
const READ_BYTES: usize = 64 << 10;

/// Timeout after the close for sending the rest and receiving the other end's close.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// The wire and its pending output.
pub(super) struct Pump {
    link: Arc<Link>,
    wire: Arc<Wire>,
    pending: Vec<u8>,
    /// Bytes of `pending` already sent.
    sent: usize,
    buffer: Vec<u8>,
    on_open: Option<Box<dyn FnOnce() + Send>>,
    handlers: PingHandlers,
}

impl Pump {
    pub(super) fn new(link: Arc<Link>, wire: Arc<Wire>) -> Self {
        let buffer = vec![0; READ_BYTES];
        let handlers = PingHandlers::default();
        Self { link, wire, pending: Vec::new(), sent: 0, buffer, on_open: None, handlers }
    }

    /// Sets a callback that runs once the handshake is complete.
    pub(super) fn on_open(mut self, act: impl FnOnce() + Send + 'static) -> Self {
        self.on_open = Some(Box::new(act));
        self
    }

    /// Sets what is called for pings and pongs.
    pub(super) fn with_handlers(mut self, handlers: &PingHandlers) -> Self {
        self.handlers = handlers.clone();
        self
    }

    /// Calls the handlers of pings and pongs, which run arbitrary code, without the lock.
    fn report_pings(&self) {
        let received = std::mem::take(&mut self.link.lock().pings);
        for one in &received {
            self.handlers.call(one);
        }
    }

    /// Transfers bytes until the connection is over, and returns how it ended.
    pub(super) fn run(mut self) -> Closed {
        while !self.link.lock().session.is_closed() {
            self.announce();
            self.link.notify_servers();
            self.report_pings();
            if let Err(error) = self.turn() {
                log::debug!("a socket failed: {error}");
                self.link.change(|state| state.session.eof());
            }
        }
        self.announce();
        let ended = self.link.change(|state| state.ended.clone()).unwrap_or(Closed::Lost);
        self.link.notify_servers();
        let (resets, responded) = {
            let state = self.link.lock();
            (state.session.ends_with_reset(), state.session.has_responded())
        };
        if !matches!(ended, Closed::Silent | Closed::Lost) && (!resets || responded) {
            self.disconnect();
        }
        if resets {
            self.wire.reset_on_close(true);
        }
        self.link.disconnect();
        ended
    }

    fn announce(&mut self) {
        let opened = self.on_open.is_some() && self.link.lock().welcome.is_some();
        if let Some(act) = self.on_open.take_if(|_| opened) {
            act();
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        let all_sent = self.write()?;
        if self.read()? {
            return Ok(());
        }
        let (wants, timeout) = {
            let mut state = self.link.lock();
            let now = clock::now();
            if !state.wants_input() {
                state.session.was_held_up(now);
            }
            state.session.tick(now);
            state.update();
            if state.session.is_closed() || (all_sent && !state.session.output().is_empty()) {
                return Ok(());
            }
            state.asleep = true;
            (state.wants_input(), state.session.next_deadline().map(|at| at - now))
        };
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, wants);
        flags.set(PollFlags::POLLOUT, !all_sent);
        let found = self.wait(flags, timeout)?;
        let closed = PollFlags::POLLERR | PollFlags::POLLHUP;
        if !wants && found.intersects(closed) {
            // The socket is not read, so the error would go unnoticed.
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    /// Waits for the socket, the eventfd or the timeout, and returns the socket's events.
    fn wait(&self, flags: PollFlags, timeout: Option<Duration>) -> io::Result<PollFlags> {
        let waker = self.link.wake_fd();
        let mut both =
            [PollFd::new(self.wire.as_fd(), flags), PollFd::new(waker, PollFlags::POLLIN)];
        // Rounded up: a wait of less than a millisecond must not become a busy loop.
        let timeout = timeout.map(|left| left.saturating_add(Duration::from_micros(999)));
        let most = |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut both, timeout.map_or(PollTimeout::NONE, most)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if both[1].any().unwrap_or(false) {
            self.link.silence_bell();
        }
        self.link.lock().asleep = false;
        Ok(both[0].revents().unwrap_or(PollFlags::empty()))
    }

    /// Sends as much as the socket takes, and returns whether nothing is left.
    fn write(&mut self) -> io::Result<bool> {
        loop {
            if self.sent == self.pending.len() && !self.take_output() {
                return self.wire.flush();
            }
            match self.wire.write(&self.pending[self.sent..], false)? {
                Write::Blocked => return Ok(false),
                Write::Moved(bytes) => {
                    self.sent += bytes;
                    self.link.lock().sent(bytes);
                }
            }
        }
    }

    /// Takes the next output of the session, and returns whether there was any.
    fn take_output(&mut self) -> bool {
        let mut state = self.link.lock();
        self.pending = std::mem::take(state.session.output());
        self.sent = 0;
        state.in_flight = self.pending.len();
        !self.pending.is_empty()
    }

    /// Reads once, and returns whether anything was received.
    fn read(&mut self) -> io::Result<bool> {
        if !self.link.lock().wants_input() {
            return Ok(false);
        }
        let found = self.wire.read(&mut self.buffer)?;
        let mut state = self.link.lock();
        match found {
            Read::Blocked => return Ok(false),
            Read::Eof => state.session.eof(),
            Read::Moved(bytes) => state.session.received(&self.buffer[..bytes], clock::now()),
        }
        state.update();
        Ok(true)
    }

    /// Sends the rest and waits for the other end to close: otherwise unread input would make the
    /// kernel reset the connection and discard what it has not read yet (RFC 6455, section 7.1.1).
    fn disconnect(&mut self) {
        let end = clock::now() + FAREWELL;
        while let Ok(false) = self.write() {
            if !self.await_until(PollFlags::POLLOUT, end) {
                return;
            }
        }
        let _ = self.wire.shutdown_write();
        loop {
            match self.wire.read(&mut self.buffer) {
                Ok(Read::Moved(_)) => {}
                Ok(Read::Blocked) if self.await_until(PollFlags::POLLIN, end) => {}
                Ok(Read::Blocked | Read::Eof) | Err(_) => return,
            }
            if clock::now() >= end {
                return;
            }
        }
    }

    fn await_until(&self, flags: PollFlags, end: Instant) -> bool {
        let left = end.saturating_duration_since(clock::now());
        !left.is_zero() && self.wait(flags, Some(left)).is_ok()
    }
}
