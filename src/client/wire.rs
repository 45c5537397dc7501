//! A connection's bytes, plain or through TLS. Nothing here blocks but [`Wire::wait`].

use super::clock;
use super::tls::Tls;
use crate::splice::copy::{self, Read, Write};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A connection that was made.
#[derive(Debug)]
pub(crate) enum Wire {
    /// TCP, and nothing above it: the kernel can move its bytes.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<Tls>),
}

/// What somebody waits for, besides the connection's end.
#[derive(Clone, Copy, Debug)]
pub(super) enum WaitFor<'f> {
    /// Something came.
    Readable,
    /// Something came, or there is room to send.
    Writable,
    /// Something came, or this descriptor can be read. It has no limit: it may be a person's.
    Input(BorrowedFd<'f>),
    /// This descriptor can be written. It has no limit either.
    Output(BorrowedFd<'f>),
}

impl Wire {
    /// The TCP socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.socket(),
        }
    }

    /// Sends what there is room for; with `more` it may wait for what follows at once.
    pub(crate) fn write(&mut self, bytes: &[u8], more: bool) -> io::Result<Write> {
        match self {
            Self::Plain(socket) => Ok(copy::write(socket, bytes, more)?),
            Self::Tls(tls) => tls.write(bytes, more),
        }
    }

    /// Whether nothing is left in user memory to be sent.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tls) => tls.flush(),
        }
    }

    /// Reads what has come into `buffer`, which is not empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        match self {
            Self::Plain(socket) => Ok(copy::read(socket, buffer)?),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// Waits until something can be done, where the server is waited for at most for `timeout`.
    /// Whether the descriptor that was named, or the connection if none was, is ready.
    ///
    /// # Errors
    /// `TimedOut`, or what poll(2) says.
    pub(super) fn wait(&self, until: WaitFor<'_>, timeout: Duration) -> io::Result<bool> {
        let socket = self.socket().as_fd();
        let own = |flags| PollFd::new(socket, flags);
        match until {
            WaitFor::Readable => wait(&mut [own(PollFlags::POLLIN)], Some(timeout)),
            WaitFor::Writable => {
                wait(&mut [own(PollFlags::POLLIN | PollFlags::POLLOUT)], Some(timeout))
            }
            WaitFor::Input(input) => {
                wait(&mut [PollFd::new(input, PollFlags::POLLIN), own(PollFlags::POLLIN)], None)
            }
            WaitFor::Output(output) => wait(&mut [PollFd::new(output, PollFlags::POLLOUT)], None),
        }
    }
}

/// Waits for one of these, whatever signals come; whether the first one is ready.
///
/// # Errors
/// `TimedOut`, or what poll(2) says.
pub(crate) fn wait(descriptors: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    let end = timeout.map(|timeout| clock::now() + timeout);
    loop {
        let left = end.map(|end| end.saturating_duration_since(clock::now()));
        // Rounded up: a wait of less than a millisecond must not become a busy loop.
        let left = left.map(|left| left.saturating_add(Duration::from_micros(999)));
        let most = |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(descriptors, left.map_or(PollTimeout::NONE, most)) {
            Ok(0) if end.is_some_and(|end| clock::now() >= end) => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(descriptors[0].any().unwrap_or(true)),
            Err(error) => return Err(error.into()),
        }
    }
}
