//! The bytes of a connection, plain or over TLS. One thread can read while another one sends. Nothing
//! here blocks except [`Wire::wait`] and [`Wire::send`].

use super::clock;
use super::tls::Tls;
use crate::splice::copy::{self, Read, Write};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::TcpStream;
#[cfg(feature = "socket")]
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// poll(2), missing in nix: the peer has shut down writing, even if unread data remains.
#[cfg(feature = "socket")]
const POLLRDHUP: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);

/// An established connection.
#[derive(Debug)]
pub(crate) enum Wire {
    /// Plain TCP: the kernel can move its bytes.
    Plain(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS.
    Tls(Box<Tls>),
}

/// What to wait for, besides the connection's end.
#[derive(Clone, Copy, Debug)]
pub(super) enum WaitFor<'f> {
    /// Data was received.
    Readable,
    /// Data was received, or the connection is writable.
    Writable,
    /// Data was received, or this descriptor is readable. No timeout: the input may be typed.
    Input(BorrowedFd<'f>),
    /// Data was received, while the peer of this socket is connected.
    #[cfg(feature = "socket")]
    ReadableFor(BorrowedFd<'f>),
    /// This descriptor is writable. No timeout either.
    Output(BorrowedFd<'f>),
}

impl Wire {
    /// Returns the address of the peer.
    ///
    /// # Errors
    /// The error of getpeername(2); `Unsupported` for a Unix socket.
    #[cfg(feature = "socket")]
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(socket) => socket.peer_addr(),
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            Self::Tls(tls) => tls.socket().peer_addr(),
        }
    }

    /// Makes the connection end with a reset (`SO_LINGER` of 0, socket(7)), or with a FIN again.
    #[cfg(feature = "socket")]
    pub(crate) fn reset_on_close(&self, reset: bool) {
        // The kernel refuses it for sockets other than TCP.
        let linger = nix::libc::linger { l_onoff: reset.into(), l_linger: 0 };
        let _ = nix::sys::socket::setsockopt(self, nix::sys::socket::sockopt::Linger, &linger);
    }

    /// Shuts down the sending side of the socket.
    ///
    /// # Errors
    /// The error of shutdown(2): the connection has already ended.
    #[cfg(feature = "socket")]
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown(Shutdown::Write),
            Self::Unix(socket) => socket.shutdown(Shutdown::Write),
            Self::Tls(tls) => tls.shutdown_write(),
        }
    }

    /// Whether it has unread bytes, or has ended.
    #[cfg(any(feature = "connector", feature = "socket"))]
    pub(super) fn is_readable(&self) -> bool {
        let mut own = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        poll(&mut own, PollTimeout::ZERO) != Ok(0)
    }

    /// Sends as much as the socket accepts; with `more` it can be held back until the next bytes.
    pub(crate) fn write(&self, bytes: &[u8], more: bool) -> io::Result<Write> {
        match self {
            Self::Plain(socket) => Ok(copy::write(socket, bytes, more)?),
            Self::Unix(socket) => Ok(copy::write(socket, bytes, more)?),
            Self::Tls(tls) => tls.write(bytes, more),
        }
    }

    /// Sends all of these bytes, waiting for room; with `more` they can be held back until the next
    /// ones.
    ///
    /// # Errors
    /// The connection has ended.
    #[cfg(feature = "socket")]
    pub(crate) fn send(&self, mut bytes: &[u8], more: bool) -> io::Result<()> {
        let room = || wait(&mut [PollFd::new(self.as_fd(), PollFlags::POLLOUT)], None).map(drop);
        while !bytes.is_empty() {
            match self.write(bytes, more)? {
                Write::Moved(count) => bytes = &bytes[count..],
                Write::Blocked => room()?,
            }
        }
        while !more && !self.flush()? {
            room()?;
        }
        Ok(())
    }

    /// Ends the connection, also for the other threads that use it.
    #[cfg(feature = "socket")]
    pub(crate) fn end(&self) {
        // Fails if the connection has already ended.
        let _ = match self {
            Self::Plain(socket) => socket.shutdown(Shutdown::Both),
            Self::Unix(socket) => socket.shutdown(Shutdown::Both),
            Self::Tls(tls) => tls.socket().shutdown(Shutdown::Both),
        };
    }

    /// Flushes; returns whether no unsent bytes are left in user memory.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        match self {
            Self::Plain(_) | Self::Unix(_) => Ok(true),
            Self::Tls(tls) => tls.flush(),
        }
    }

    /// Reads available bytes into `buffer`, which must not be empty.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<Read> {
        match self {
            Self::Plain(socket) => Ok(copy::read(socket, buffer)?),
            Self::Unix(socket) => Ok(copy::read(socket, buffer)?),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// Waits for an event, with `timeout` for the server only. Returns whether the given
    /// descriptor, or else the connection, is ready.
    ///
    /// # Errors
    /// `TimedOut`, `ConnectionAborted` if the requester has disconnected, or the error of poll(2).
    pub(super) fn wait(&self, until: WaitFor<'_>, timeout: Duration) -> io::Result<bool> {
        let socket = self.as_fd();
        let own = |flags| PollFd::new(socket, flags);
        match until {
            WaitFor::Readable => wait(&mut [own(PollFlags::POLLIN)], Some(timeout)),
            WaitFor::Writable => {
                wait(&mut [own(PollFlags::POLLIN | PollFlags::POLLOUT)], Some(timeout))
            }
            WaitFor::Input(input) => {
                wait(&mut [PollFd::new(input, PollFlags::POLLIN), own(PollFlags::POLLIN)], None)
            }
            #[cfg(feature = "socket")]
            WaitFor::ReadableFor(requester) => {
                let mut both = [PollFd::new(requester, POLLRDHUP), own(PollFlags::POLLIN)];
                wait(&mut both, Some(timeout))?;
                // `any` returns `None` for flags unknown to nix, such as POLLRDHUP.
                match both[0].any() {
                    Some(false) => Ok(true),
                    Some(true) | None => Err(io::ErrorKind::ConnectionAborted.into()),
                }
            }
            WaitFor::Output(output) => wait(&mut [PollFd::new(output, PollFlags::POLLOUT)], None),
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Tls(tls) => tls.socket().as_fd(),
        }
    }
}

/// Waits for one of these descriptors, despite signals; returns whether the first one is ready.
///
/// # Errors
/// `TimedOut`, or the error of poll(2).
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
