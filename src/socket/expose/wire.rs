//! A blocking TCP connection with a read-ahead buffer.

use crate::client::{Url, tcp};
use crate::socket::{Cancellation, OnCancel};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

/// poll(2), missing in nix: the peer has shut down writing, even if unread data remains.
const POLLRDHUP: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);

/// The requester that a read serves: once it disconnects, the data is unwanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Requester<'a> {
    /// The peer of this connection.
    Connection(&'a Arc<TcpStream>),
    /// The peer of this WebSocket exchange.
    Exchange(&'a Cancellation),
}

/// How a disconnected requester is detected.
#[derive(Debug)]
enum DisconnectWatch {
    Nobody,
    Connection(Arc<TcpStream>),
    Exchange(OnCancel),
}

/// The reading half of a connection. The writer shares its socket.
#[derive(Debug)]
pub(super) struct ApiReader {
    socket: Arc<TcpStream>,
    /// Bytes read ahead of the next read.
    ahead: Vec<u8>,
    /// Fails reads once the requester has disconnected.
    watch: DisconnectWatch,
}

impl ApiReader {
    /// Creates a reader of a connection from which nothing was read.
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket: Arc::new(socket), ahead: Vec::new(), watch: DisconnectWatch::Nobody }
    }

    /// Returns the socket.
    pub(super) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// Makes reads fail once `asker` has disconnected; with `None` they never do.
    pub(super) fn read_on_behalf_of(&mut self, asker: Option<Requester<'_>>) {
        self.watch = match asker {
            None => DisconnectWatch::Nobody,
            Some(Requester::Connection(socket)) => DisconnectWatch::Connection(Arc::clone(socket)),
            Some(Requester::Exchange(cancellation)) => {
                let socket = Arc::clone(&self.socket);
                // Fails if the connection has already ended.
                let end = move || drop(socket.shutdown(Shutdown::Both));
                DisconnectWatch::Exchange(cancellation.on_cancel(end))
            }
        };
    }

    /// Returns the bytes read ahead; the caller removes what it uses.
    pub(super) fn buffered(&mut self) -> &mut Vec<u8> {
        &mut self.ahead
    }

    /// Reads from the connection, bypassing the buffer, and blocks for data; returns 0 at its end.
    ///
    /// # Errors
    /// Error of recv(2), or `ConnectionAborted` if the requester has disconnected.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait()?;
        let read = loop {
            match (&*self.socket).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        if self.was_ended_here() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        read
    }

    /// Whether this end closed the connection because of a cancellation.
    fn was_ended_here(&self) -> bool {
        match &self.watch {
            DisconnectWatch::Nobody | DisconnectWatch::Connection(_) => false,
            DisconnectWatch::Exchange(on_cancel) => on_cancel.is_done(),
        }
    }

    /// Reads up to `most` more bytes into the buffer; returns 0 at the end of the connection.
    ///
    /// # Errors
    /// Like [`receive`](Self::receive).
    pub(super) fn read_ahead(&mut self, most: usize) -> io::Result<usize> {
        let before = self.ahead.len();
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.resize(before + most, 0);
        let read = self.receive(&mut ahead[before..]);
        ahead.truncate(before + *read.as_ref().unwrap_or(&0));
        self.ahead = ahead;
        read
    }

    /// Waits for data or the end while the requester's connection is watched; else returns at once.
    ///
    /// # Errors
    /// `ConnectionAborted` if the requester has disconnected.
    pub(super) fn wait(&self) -> io::Result<()> {
        let DisconnectWatch::Connection(asker) = &self.watch else { return Ok(()) };
        let mut both = [
            PollFd::new(asker.as_fd(), POLLRDHUP),
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
        ];
        loop {
            match poll(&mut both, PollTimeout::NONE) {
                // `any` returns `None` for flags unknown to nix, such as POLLRDHUP.
                Ok(_) if both[0].any() != Some(false) => {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Ok(_) if both[1].any() == Some(true) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether it can be reused: nothing was received and it was not closed.
    pub(super) fn is_quiet(&self) -> bool {
        let mut own = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        self.ahead.is_empty() && poll(&mut own, PollTimeout::ZERO) == Ok(0)
    }

    /// Shuts the connection down, also for the writer that shares the socket.
    pub(super) fn end(&self) {
        // Fails if the connection has already ended.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Connects to the host of this URL, trying its addresses in the resolver's order.
///
/// # Errors
/// Error of the last attempt; `TimedOut` if an address does not answer within `timeout`.
pub(super) fn connect(url: &Url, timeout: Duration) -> io::Result<TcpStream> {
    tcp::connect((url.host.as_str(), url.port).to_socket_addrs()?, timeout)
}
