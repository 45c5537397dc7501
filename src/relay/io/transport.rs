//! Reading and writing one connection, plain or with TLS: nothing above this floor distinguishes them,
//! except that only plain bytes can be spliced.

use super::conn::{Conn, Flushed};
use super::sockopt;
use super::tls::{Handshake, TlsSession};
use crate::splice::copy::{self, Read, Write};
use nix::errno::Errno;
use std::io::IoSlice;
use std::net::Shutdown;

/// Bytes discarded at once of what a peer sent last, such as its `close_notify`.
const LAST_BYTES: usize = 4096;

/// Maximum bytes of several slices that are put into one record.
const JOINED_MAX: usize = 16 << 10;

impl Conn {
    /// Whether its bytes are encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether its client uses TLS, here or at the proxy that declared it.
    pub fn is_secured(&self) -> bool {
        self.is_tls() || self.proxied.as_ref().is_some_and(|client| client.tls.is_some())
    }

    /// Returns the scheme of its URLs.
    pub fn scheme(&self) -> &'static str {
        if self.is_secured() { "https" } else { "http" }
    }

    /// Returns the TLS session, if it has one.
    pub fn tls(&self) -> Option<&TlsSession> {
        self.tls.as_deref()
    }

    /// Makes it a connection with TLS, before any byte was exchanged.
    pub fn encrypt(&mut self, session: TlsSession) {
        self.tls = Some(Box::new(session));
    }

    /// Continues the TLS handshake. A client that does not speak TLS is served without, so that it
    /// can be answered: its bytes are in `carry`.
    pub fn handshake(&mut self) -> Handshake {
        let Some(tls) = &mut self.tls else { return Handshake::Done };
        if !self.carry.is_empty() {
            tls.feed(std::mem::take(&mut self.carry));
        }
        let result = tls.handshake(&self.socket);
        match &result {
            // A flight may be longer than what was read of it.
            Handshake::Blocked => self.drained_of_input(),
            Handshake::Plain(bytes) => {
                self.carry.clone_from(bytes);
                self.tls = None;
            }
            Handshake::Done | Handshake::Failed => {}
        }
        result
    }

    /// Reads once into `buffer`, which must not be empty.
    ///
    /// # Errors
    /// Any error of the socket; with TLS, `ECONNRESET` for an end without `close_notify`, and
    /// `EPROTO` for a violation of the protocol.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Errno> {
        match &mut self.tls {
            None => copy::read(&self.socket, buffer),
            Some(tls) => tls.read(&self.socket, buffer),
        }
    }

    /// Discards received bytes, at most as many as `scratch` has. They are not decrypted.
    ///
    /// # Errors
    /// Any error of the socket.
    pub fn discard(&mut self, scratch: &mut [u8]) -> Result<Read, Errno> {
        copy::discard(&self.socket, scratch)
    }

    /// Writes `bytes` once; with `more`, the kernel may delay them until more data follows. With TLS
    /// the bytes count once they are encrypted: see [`Conn::is_unsent`].
    ///
    /// # Errors
    /// Any error of the socket; with TLS, `EPIPE` after its end.
    pub fn write(&mut self, bytes: &[u8], more: bool) -> Result<Write, Errno> {
        match &mut self.tls {
            None => copy::write(&self.socket, bytes, more),
            Some(tls) => tls.write(&self.socket, bytes),
        }
    }

    /// Writes several slices at once.
    ///
    /// # Errors
    /// As [`Conn::write`].
    pub fn gather(&mut self, slices: &[IoSlice<'_>]) -> Result<Write, Errno> {
        let Some(tls) = &mut self.tls else { return copy::gather(&self.socket, slices) };
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
        let Some(tls) = &mut self.tls else { return Ok(true) };
        if tls.unsent() == 0 {
            return Ok(true);
        }
        self.writable = self.writable && tls.flush(&self.socket)?;
        Ok(self.writable)
    }

    /// Returns how many encrypted bytes were not taken by the socket.
    pub fn unsent_bytes(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.unsent())
    }

    /// Writes the pending output as far as the socket takes it.
    pub fn flush(&mut self) -> Flushed {
        if self.output.is_empty() && self.flush_encrypted().is_err() {
            return Flushed::Failed;
        }
        while self.writable && !self.output.is_empty() {
            let written = match &mut self.tls {
                None => copy::write(&self.socket, self.output.rest(), false),
                Some(tls) => tls.write_output(&self.socket, self.output.rest()),
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
    /// takes it as cut off. It changes nothing on a plain connection.
    pub fn end_output(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.end(&self.socket);
        }
    }

    /// Ends the sending side of the socket.
    ///
    /// # Errors
    /// Returns the error of shutdown(2).
    pub fn shut_down_write(&self) -> std::io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Returns how many received bytes were not read. With TLS those in the kernel are encrypted:
    /// the caller will read as many at most.
    pub fn unread_bytes(&self) -> u64 {
        sockopt::unread_bytes(&self.socket) + self.held_input() as u64
    }

    /// Decrypts what was received, at most `max` bytes, so that it can be counted; it is kept in
    /// `carry`. Nothing is read from a plain connection.
    pub fn decrypt_input(&mut self, max: usize) {
        while let Some(tls) = &mut self.tls
            && self.carry.len() < max
        {
            let filled = self.carry.len();
            self.carry.resize(max, 0);
            let read = tls.read(&self.socket, &mut self.carry[filled..]);
            let count = if let Ok(Read::Moved(count)) = read { count } else { 0 };
            self.carry.truncate(filled + count);
            if count == 0 {
                return;
            }
        }
    }

    /// Reads what an encrypted peer sent last, as far as it is here: closing with it unread would
    /// send a reset, which can destroy what was sent to the peer.
    pub(super) fn discard_last(&mut self) {
        if self.is_tls() {
            let _ = copy::discard(&self.socket, &mut [0; LAST_BYTES]);
        }
    }

    /// Returns how many received bytes were taken from the socket, and not read.
    pub fn held_input(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.held_input())
    }

    /// Clears the latch after a read or splice that returned nothing, or less than requested: new
    /// bytes raise a new event, and a FIN has raised one already.
    pub fn drained_of_input(&mut self) {
        let drained = self.tls.as_ref().is_none_or(|tls| tls.is_drained());
        self.readable = self.peer_ended() || !drained;
    }
}
