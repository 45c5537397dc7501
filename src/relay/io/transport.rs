//! Reading and writing one connection, plain or with TLS: nothing above this floor distinguishes them,
//! except that bytes encrypted here cannot be spliced.

use super::conn::{Conn, Flushed};
use super::sockopt;
use super::tls::{Handshake, KernelTls, Refusal, TlsSession};
use crate::splice::copy::{self, Read, Write};
use crate::splice::pipe::{Drain, Fill, Pipe};
use nix::errno::Errno;
use std::io::IoSlice;
use std::net::Shutdown;

/// Bytes discarded at once of what a peer sent last, such as its `close_notify`.
const LAST_BYTES: usize = 4096;

/// Maximum bytes of several slices that are put into one record.
const JOINED_MAX: usize = 16 << 10;

/// What encrypts the bytes of a connection.
#[derive(Debug)]
pub(super) enum Transport {
    /// Nothing.
    Plain,
    /// The relay.
    Tls(Box<TlsSession>),
    /// The kernel.
    Kernel(Box<KernelTls>),
}

impl Conn {
    /// Whether its bytes are encrypted.
    pub fn is_tls(&self) -> bool {
        match self.transport {
            Transport::Plain => false,
            Transport::Tls(_) | Transport::Kernel(_) => true,
        }
    }

    /// Whether its bytes can stay in the kernel.
    pub fn is_spliceable(&self) -> bool {
        match self.transport {
            Transport::Plain | Transport::Kernel(_) => true,
            Transport::Tls(_) => false,
        }
    }

    /// Whether the bytes in its socket are those of its peer: the kernel may hold decrypted ones.
    pub fn is_gatherable(&self) -> bool {
        match self.transport {
            Transport::Plain | Transport::Tls(_) => true,
            Transport::Kernel(_) => false,
        }
    }

    /// Whether its client uses TLS, here or at the proxy that declared it.
    pub fn is_secured(&self) -> bool {
        self.is_tls() || self.proxied.as_ref().is_some_and(|client| client.tls.is_some())
    }

    /// Returns the scheme of its URLs.
    pub fn scheme(&self) -> &'static str {
        if self.is_secured() { "https" } else { "http" }
    }

    /// Returns the version of TLS, such as `TLSv1.3`.
    pub fn tls_version(&self) -> Option<&'static str> {
        match &self.transport {
            Transport::Plain => None,
            Transport::Tls(tls) => Some(tls.version()),
            Transport::Kernel(tls) => Some(tls.version()),
        }
    }

    /// Returns the subject of the client's certificate, if it has one.
    pub fn client_subject(&self) -> Option<&str> {
        match &self.transport {
            Transport::Plain => None,
            Transport::Tls(tls) => tls.client_subject(),
            Transport::Kernel(tls) => tls.client_subject(),
        }
    }

    /// Makes it a connection with TLS, before any byte was exchanged.
    pub fn begin_tls(&mut self, session: TlsSession) {
        self.transport = Transport::Tls(Box::new(session));
    }

    /// Continues the TLS handshake. A client that does not speak TLS is served without, so that it
    /// can be answered: its bytes are in `carry`.
    pub fn handshake(&mut self) -> Handshake {
        let Transport::Tls(tls) = &mut self.transport else { return Handshake::Done };
        if !self.carry.is_empty() {
            tls.feed(std::mem::take(&mut self.carry));
        }
        let result = tls.handshake(&self.socket);
        match &result {
            // A flight may be longer than what was read of it.
            Handshake::Blocked => self.drained_of_input(),
            Handshake::Plain(bytes) => {
                self.carry.clone_from(bytes);
                self.transport = Transport::Plain;
            }
            Handshake::Done => return self.hand_to_kernel(),
            Handshake::Failed => {}
        }
        result
    }

    /// Hands the keys of a completed handshake to the kernel, if it takes them.
    fn hand_to_kernel(&mut self) -> Handshake {
        self.transport = match std::mem::replace(&mut self.transport, Transport::Plain) {
            Transport::Tls(session) => match KernelTls::take(session, &self.socket) {
                Ok(tls) => Transport::Kernel(Box::new(tls)),
                Err(Refusal::Continues(session)) => Transport::Tls(session),
                Err(Refusal::Lost) => return Handshake::Failed,
            },
            transport @ (Transport::Plain | Transport::Kernel(_)) => transport,
        };
        Handshake::Done
    }

    /// Reads once into `buffer`, which must not be empty.
    ///
    /// # Errors
    /// Any error of the socket; with TLS, `ECONNRESET` for an end without `close_notify`, and
    /// `EPROTO` for a violation of the protocol.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Errno> {
        match &mut self.transport {
            Transport::Plain => copy::read(&self.socket, buffer),
            Transport::Tls(tls) => tls.read(&self.socket, buffer),
            Transport::Kernel(tls) => tls.read(&self.socket, buffer),
        }
    }

    /// Moves up to `max_bytes` (at least 1) into a pipe, if it is spliceable.
    ///
    /// # Errors
    /// As [`Conn::read`], and any error of splice(2).
    pub fn fill(&mut self, pipe: &Pipe, max_bytes: usize) -> Result<Fill, Errno> {
        match &mut self.transport {
            Transport::Plain => pipe.fill(&self.socket, max_bytes),
            Transport::Tls(_) => Err(Errno::EINVAL),
            Transport::Kernel(tls) => tls.fill(&self.socket, pipe, max_bytes),
        }
    }

    /// Moves up to `bytes` (at least 1, at most what the pipe holds) from a pipe to the peer, if it
    /// is spliceable.
    ///
    /// # Errors
    /// As [`Conn::write`], and any error of splice(2).
    pub fn drain(&mut self, pipe: &Pipe, bytes: usize) -> Result<Drain, Errno> {
        match &mut self.transport {
            Transport::Plain => pipe.drain(&self.socket, bytes),
            Transport::Tls(_) => Err(Errno::EINVAL),
            Transport::Kernel(tls) => tls.drain(&self.socket, pipe, bytes),
        }
    }

    /// Discards received bytes, at most as many as `scratch` has. They are not decrypted here.
    ///
    /// # Errors
    /// Any error of the socket.
    pub fn discard(&mut self, scratch: &mut [u8]) -> Result<Read, Errno> {
        match &mut self.transport {
            Transport::Plain | Transport::Tls(_) => copy::discard(&self.socket, scratch),
            Transport::Kernel(tls) => tls.read(&self.socket, scratch),
        }
    }

    /// Writes `bytes` once; with `more`, the kernel may delay them until more data follows. With TLS
    /// the bytes count once they are encrypted: see [`Conn::is_unsent`].
    ///
    /// # Errors
    /// Any error of the socket; with TLS, `EPIPE` after its end.
    pub fn write(&mut self, bytes: &[u8], more: bool) -> Result<Write, Errno> {
        match &mut self.transport {
            Transport::Plain => copy::write(&self.socket, bytes, more),
            Transport::Tls(tls) => tls.write(&self.socket, bytes),
            Transport::Kernel(tls) => tls.write(&self.socket, bytes, more),
        }
    }

    /// Writes several slices at once.
    ///
    /// # Errors
    /// As [`Conn::write`].
    pub fn gather(&mut self, slices: &[IoSlice<'_>]) -> Result<Write, Errno> {
        let tls = match &mut self.transport {
            Transport::Plain => return copy::gather(&self.socket, slices),
            Transport::Kernel(tls) => return tls.gather(&self.socket, slices),
            Transport::Tls(tls) => tls,
        };
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total <= JOINED_MAX {
            let slices: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
            return tls.write(&self.socket, &slices.concat());
        }
        let mut written = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            match tls.write(&self.socket, slice)? {
                Write::Moved(count) => written += count,
                Write::Blocked => break,
            }
        }
        Ok(if written == 0 { Write::Blocked } else { Write::Moved(written) })
    }

    /// Writes what was encrypted before and not taken by the socket; whether nothing is left.
    ///
    /// # Errors
    /// Any error of the socket.
    pub fn flush_encrypted(&mut self) -> Result<bool, Errno> {
        let Transport::Tls(tls) = &mut self.transport else { return Ok(true) };
        if tls.unsent() == 0 {
            return Ok(true);
        }
        self.writable = self.writable && tls.flush(&self.socket)?;
        Ok(self.writable)
    }

    /// Whether TCP has taken all bytes that were handed to the kernel for encryption: what it has not
    /// would be lost at the end of the connection.
    pub fn is_settled(&mut self) -> bool {
        match &self.transport {
            Transport::Plain | Transport::Tls(_) => true,
            Transport::Kernel(tls) => {
                self.writable = tls.is_settled(&self.socket);
                self.writable
            }
        }
    }

    /// Returns how many encrypted bytes were not taken by the socket.
    pub fn unsent_bytes(&self) -> usize {
        match &self.transport {
            Transport::Plain | Transport::Kernel(_) => 0,
            Transport::Tls(tls) => tls.unsent(),
        }
    }

    /// Writes the pending output as far as the socket takes it.
    pub fn flush(&mut self) -> Flushed {
        if self.output.is_empty() && self.flush_encrypted().is_err() {
            return Flushed::Failed;
        }
        while self.writable && !self.output.is_empty() {
            let output = self.output.rest();
            let written = match &mut self.transport {
                Transport::Plain => copy::write(&self.socket, output, false),
                Transport::Tls(tls) => tls.write_output(&self.socket, output),
                Transport::Kernel(tls) => tls.write(&self.socket, output, false),
            };
            match written {
                Ok(Write::Moved(count)) => {
                    self.output.sent(count);
                    if let Some(note) = &mut self.note {
                        note.sent(count);
                    }
                }
                Ok(Write::Blocked) => self.writable = false,
                Err(_) => return Flushed::Failed,
            }
        }
        if self.output.is_empty() { Flushed::Out } else { Flushed::Blocked }
    }

    /// Declares that what was sent is complete: with TLS by `close_notify`, without which the client
    /// takes it as cut off. It changes nothing on a plain connection. `false`: the socket has to be
    /// writable first.
    pub fn end_output(&mut self) -> bool {
        match &mut self.transport {
            Transport::Plain => true,
            Transport::Tls(tls) => {
                let taken = tls.end(&self.socket);
                self.writable &= taken;
                taken
            }
            Transport::Kernel(tls) => {
                self.writable = tls.end(&self.socket);
                self.writable
            }
        }
    }

    /// Ends the sending side of the socket.
    ///
    /// # Errors
    /// Returns the error of shutdown(2).
    pub fn shut_down_write(&self) -> std::io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Returns how many received bytes were not read. With TLS those in the socket are encrypted:
    /// the caller will read as many at most.
    pub fn unread_bytes(&self) -> u64 {
        let held = self.held_input();
        sockopt::unread_bytes(&self.socket) + held as u64
    }

    /// Decrypts what was received, at most `max` bytes, so that it can be counted; it is kept in
    /// `carry`. Nothing is read from a plain connection.
    pub fn decrypt_input(&mut self, max: usize) {
        while self.is_tls() && self.carry.len() < max {
            let filled = self.carry.len();
            let mut carry = std::mem::take(&mut self.carry);
            carry.resize(max, 0);
            let read = self.read(&mut carry[filled..]);
            let count = if let Ok(Read::Moved(count)) = read { count } else { 0 };
            carry.truncate(filled + count);
            self.carry = carry;
            if count == 0 {
                return;
            }
        }
    }

    /// Reads what an encrypted peer sent last, as far as it is here: closing with it unread would
    /// send a reset, which can destroy what was sent to the peer.
    pub(super) fn discard_last(&mut self) {
        if self.is_tls() {
            let _ = self.discard(&mut [0; LAST_BYTES]);
        }
    }

    /// Returns how many received bytes were taken from the socket, and not read.
    pub fn held_input(&self) -> usize {
        match &self.transport {
            Transport::Plain => 0,
            Transport::Tls(tls) => tls.held_input(),
            Transport::Kernel(tls) => tls.held_input(&self.socket),
        }
    }

    /// Clears the latch after a read or splice that returned nothing, or less than requested: new
    /// bytes raise a new event, and a FIN has raised one already.
    pub fn drained_of_input(&mut self) {
        let drained = match &self.transport {
            Transport::Plain => true,
            Transport::Tls(tls) => tls.is_drained(),
            // A read ends with a record.
            Transport::Kernel(tls) => tls.is_drained(&self.socket),
        };
        self.readable = self.peer_ended() || !drained;
    }
}
