//! One connection that never blocks: exact bytes out, responses in, one after the other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::chunks::Chunks;
use crate::support::{Ending, Head};

/// A connection, and the response that is being received on it.
pub(crate) struct Link {
    stream: TcpStream,
    /// Bytes of a head, or of a response that was not requested yet.
    pending: Vec<u8>,
    head: Option<Head>,
    framing: Framing,
    /// How the response ended.
    ending: Option<Ending>,
    /// Whether 100 was received before the response.
    continued: bool,
    /// Whether an earlier exchange used it.
    pub(crate) reused: bool,
}

/// The rest of the body.
enum Framing {
    /// This number of bytes.
    Length(u64),
    Chunked(Chunks),
    UntilClose,
}

impl Link {
    /// Connects; `narrow` with the smallest receive buffer, so that unread bytes stay in the relay.
    pub(crate) fn connect(address: SocketAddr, narrow: bool) -> io::Result<Link> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if narrow {
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(&address.into())?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        Ok(Link {
            stream: socket.into(),
            pending: Vec::new(),
            head: None,
            framing: Framing::UntilClose,
            ending: None,
            continued: false,
            reused: false,
        })
    }

    /// The head of the response, once it is complete.
    pub(crate) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// How the response, or the connection before it, ended.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending
    }

    pub(crate) fn continued(&self) -> bool {
        self.continued
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Writes what fits; 0 if nothing does.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if is_temporary(&error) => Ok(0),
            result => result,
        }
    }

    /// Sends FIN.
    pub(crate) fn half_close(&self) {
        // The relay can have reset it before.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Makes one read; returns whether anything was received. `body` is given the payload.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], body: &mut dyn FnMut(&[u8])) -> bool {
        if self.ending.is_some() {
            return false;
        }
        match self.stream.read(buffer) {
            Ok(0) => self.ending = Some(self.closed()),
            Ok(count) => self.take(&buffer[..count], body),
            Err(error) if is_temporary(&error) => return false,
            Err(_) => self.ending = Some(Ending::Reset),
        }
        true
    }

    /// Prepares for the response to the next request, part of which can be received already.
    pub(crate) fn next(&mut self, body: &mut dyn FnMut(&[u8])) {
        (self.head, self.ending, self.continued) = (None, None, false);
        let pending = std::mem::take(&mut self.pending);
        self.take(&pending, body);
    }

    /// Whether nothing was received after the response.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    fn closed(&self) -> Ending {
        match (&self.head, &self.framing) {
            (Some(_), Framing::UntilClose) => Ending::Complete,
            _ => Ending::Closed,
        }
    }

    fn take(&mut self, bytes: &[u8], body: &mut dyn FnMut(&[u8])) {
        if self.head.is_some() {
            return self.take_body(bytes, body);
        }
        self.pending.extend_from_slice(bytes);
        while let Some(end) = memchr::memmem::find(&self.pending, b"\r\n\r\n") {
            let rest = self.pending.split_off(end + 4);
            let head = Head::parse(&self.pending[..end]);
            self.pending = rest;
            if head.status == 100 {
                self.continued = true;
                continue;
            }
            self.framing = framing(&head);
            self.head = Some(head);
            let rest = std::mem::take(&mut self.pending);
            return self.take_body(&rest, body);
        }
    }

    fn take_body(&mut self, bytes: &[u8], body: &mut dyn FnMut(&[u8])) {
        let used = match &mut self.framing {
            Framing::UntilClose => {
                body(bytes);
                bytes.len()
            }
            Framing::Length(left) => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                body(&bytes[..count]);
                *left -= count as u64;
                self.ending = (*left == 0).then_some(Ending::Complete);
                count
            }
            Framing::Chunked(chunks) => {
                let used = chunks.take(bytes, body);
                self.ending = chunks.ended().then_some(Ending::Complete);
                used
            }
        };
        self.pending.extend_from_slice(&bytes[used..]);
    }
}

/// How the body of a response ends; no request of these exchanges but `HEAD` has one without.
fn framing(head: &Head) -> Framing {
    if head.list("Transfer-Encoding") == ["CHUNKED"] {
        return Framing::Chunked(Chunks::new());
    }
    let length = head.get("Content-Length").map(|text| text.parse().expect("a length"));
    match (length, head.status) {
        (_, 204 | 304) => Framing::Length(0),
        (Some(length), _) => Framing::Length(length),
        (None, _) => Framing::UntilClose,
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
