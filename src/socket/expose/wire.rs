//! A blocking TCP connection, and what was read of it before somebody wanted it.

use crate::client::{Url, tcp};
use crate::socket::{Cancellation, OnCancel};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

/// poll(2); nix does not name it: the other end sends no more, whatever is still to be read.
const POLLRDHUP: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);

/// On whose behalf something is read: when they have gone, nobody wants what it brings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Requester<'a> {
    /// Whoever is at the other end of this connection.
    Connection(&'a Arc<TcpStream>),
    /// Whoever is at the other end of this exchange of a WebSocket.
    Exchange(&'a Cancellation),
}

/// How it is found out that the asker has gone.
#[derive(Debug)]
enum DisconnectWatch {
    Nobody,
    Connection(Arc<TcpStream>),
    Exchange(OnCancel),
}

/// The reading end of a connection. Its socket is shared with whoever writes.
#[derive(Debug)]
pub(super) struct ApiReader {
    socket: Arc<TcpStream>,
    /// Bytes that were read, and belong to what comes next.
    ahead: Vec<u8>,
    /// Reads fail once the asker has gone.
    watch: DisconnectWatch,
}

impl ApiReader {
    /// Of a connection of which nothing was read.
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket: Arc::new(socket), ahead: Vec::new(), watch: DisconnectWatch::Nobody }
    }

    /// The socket.
    pub(super) fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// From now on reads fail once this asker has gone; `None`: never.
    pub(super) fn read_on_behalf_of(&mut self, asker: Option<Requester<'_>>) {
        self.watch = match asker {
            None => DisconnectWatch::Nobody,
            Some(Requester::Connection(socket)) => DisconnectWatch::Connection(Arc::clone(socket)),
            Some(Requester::Exchange(cancellation)) => {
                let socket = Arc::clone(&self.socket);
                // It fails where the connection has ended already.
                let end = move || drop(socket.shutdown(Shutdown::Both));
                DisconnectWatch::Exchange(cancellation.on_cancel(end))
            }
        };
    }

    /// What was read ahead; the caller takes it away.
    pub(super) fn buffered(&mut self) -> &mut Vec<u8> {
        &mut self.ahead
    }

    /// Reads past what was read ahead, waiting for bytes; 0 at the end of the connection.
    ///
    /// # Errors
    /// What recv(2) says; `ConnectionAborted` when nobody wants the bytes any more.
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

    /// Whether what is read is not the end that the other end made.
    fn was_ended_here(&self) -> bool {
        match &self.watch {
            DisconnectWatch::Nobody | DisconnectWatch::Connection(_) => false,
            DisconnectWatch::Exchange(on_cancel) => on_cancel.is_done(),
        }
    }

    /// Reads more ahead, at most so many bytes; 0 at the end of the connection.
    ///
    /// # Errors
    /// As of [`receive`](Self::receive).
    pub(super) fn read_ahead(&mut self, most: usize) -> io::Result<usize> {
        let before = self.ahead.len();
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.resize(before + most, 0);
        let read = self.receive(&mut ahead[before..]);
        ahead.truncate(before + *read.as_ref().unwrap_or(&0));
        self.ahead = ahead;
        read
    }

    /// Waits for bytes or the end, where somebody else may lose interest meanwhile.
    ///
    /// # Errors
    /// `ConnectionAborted` when that happened.
    pub(super) fn wait(&self) -> io::Result<()> {
        let DisconnectWatch::Connection(asker) = &self.watch else { return Ok(()) };
        let mut both = [
            PollFd::new(asker.as_fd(), POLLRDHUP),
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
        ];
        loop {
            match poll(&mut both, PollTimeout::NONE) {
                // What nix has no name for makes it say nothing.
                Ok(_) if both[0].any() != Some(false) => {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Ok(_) if both[1].any() == Some(true) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether it can be used for another request: nothing came, and it was not closed.
    pub(super) fn is_quiet(&self) -> bool {
        let mut own = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        self.ahead.is_empty() && poll(&mut own, PollTimeout::ZERO) == Ok(0)
    }

    /// Ends the connection for whoever shares the socket, too.
    pub(super) fn end(&self) {
        // It fails where the connection has ended already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Connects to the host of this URL, trying its addresses in the resolver's order.
///
/// # Errors
/// What the last attempt said; `TimedOut` if an address does not answer within `timeout`.
pub(super) fn connect(url: &Url, timeout: Duration) -> io::Result<TcpStream> {
    tcp::connect((url.host.as_str(), url.port).to_socket_addrs()?, timeout)
}
