//! A session whose records the kernel encrypts and decrypts (kTLS,
//! <https://docs.kernel.org/networking/tls.html>): its bytes can be spliced like plain ones.
//!
//! Everything but application data stays visible here: a record of another type ends a read or a
//! splice with an error, and is read with its type. Keys are never updated: a client that updates
//! its own is cut off, and so is a connection that has used up those of the relay.

mod keys;
mod support;

use super::TlsSession;
use crate::splice::copy::{self, Read, Write};
use crate::splice::pipe::{Drain, Fill, Pipe};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{TcpTlsRx, TcpTlsTx, TcpUlp};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, TlsGetRecordType, recv, recvmsg, setsockopt,
};
use rustls::ProtocolVersion;
use socket2::{MsgHdr, Socket};
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

pub use support::kernel_encrypts;

/// Maximum records without a byte for the caller, one after the other.
const CONTROL_MAX: usize = 64;

/// Bytes that a record adds to what its key encrypts: a block for its nonce, one for its tag.
const RECORD_COST: u64 = 32;

/// Bytes of a record's payload.
const PAYLOAD_MAX: usize = 16 << 10;

/// Maximum pieces of a pipe in one record (`MAX_SKB_FRAGS` of the kernel).
const PIECES_MAX: u64 = 16;

/// The type of a record that is an alert (RFC 8446, section 5.1).
const ALERT: u8 = 21;

/// `close_notify`, as a warning (RFC 8446, section 6.1).
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// `user_canceled`, which means nothing by itself (RFC 8446, section 6.1).
const USER_CANCELED: u8 = 90;

/// A session whose keys the kernel has.
pub struct KernelTls {
    version: ProtocolVersion,
    client_subject: Option<Box<str>>,
    /// The peer sent `close_notify`: it sends nothing more.
    ended: bool,
    /// `close_notify` was sent.
    output_ended: bool,
    /// Bytes that the relay's key may still encrypt.
    sendable: u64,
}

/// Why the kernel did not take the keys of a session.
pub enum Refusal {
    /// It continues here.
    Continues(Box<TlsSession>),
    /// Its keys are lost.
    Lost,
}

impl KernelTls {
    /// Hands the keys of a session to the kernel.
    ///
    /// # Errors
    /// The session, if the kernel does not support it or it has unfinished records; nothing if the
    /// kernel refuses keys of a kind that it supports.
    pub fn take(session: Box<TlsSession>, socket: &Socket) -> Result<Self, Refusal> {
        let (Some(version), Some(suite)) =
            (session.session.protocol_version(), session.session.negotiated_cipher_suite())
        else {
            return Err(Refusal::Continues(session));
        };
        if !session.is_movable()
            || !support::takes(version, suite.suite())
            || setsockopt(socket, TcpUlp::default(), b"tls").is_err()
        {
            return Err(Refusal::Continues(session));
        }
        let TlsSession { session, client_subject, .. } = *session;
        let Ok((secrets, _)) = session.dangerous_into_kernel_connection() else {
            return Err(Refusal::Lost);
        };
        let (Some(sending), Some(receiving)) =
            (keys::sending(version, &secrets.tx), keys::receiving(version, &secrets.rx))
        else {
            return Err(Refusal::Lost);
        };
        if setsockopt(socket, TcpTlsTx, &sending).is_err()
            || setsockopt(socket, TcpTlsRx, &receiving).is_err()
        {
            return Err(Refusal::Lost);
        }
        let sendable = keys::sendable(suite);
        Ok(Self { version, client_subject, ended: false, output_ended: false, sendable })
    }

    /// Returns the subject of the client's certificate, if it has one.
    pub fn client_subject(&self) -> Option<&str> {
        self.client_subject.as_deref()
    }

    /// Returns the version of TLS, such as `TLSv1.3`.
    pub fn version(&self) -> &'static str {
        super::version_name(self.version)
    }

    /// Reads decrypted bytes.
    ///
    /// # Errors
    /// As [`TlsSession::read`].
    pub fn read(&mut self, socket: &Socket, buffer: &mut [u8]) -> Result<Read, Errno> {
        for _ in 0..CONTROL_MAX {
            if self.ended {
                return Ok(Read::Eof);
            }
            match copy::read(socket, buffer) {
                Ok(Read::Eof) => return Err(Errno::ECONNRESET),
                Err(Errno::EIO) => self.read_control(socket)?,
                result => return result,
            }
        }
        Err(Errno::EPROTO)
    }

    /// Moves up to `max_bytes` (at least 1) decrypted bytes into a pipe.
    ///
    /// # Errors
    /// As [`TlsSession::read`], and any error of splice(2).
    pub fn fill(&mut self, socket: &Socket, pipe: &Pipe, max: usize) -> Result<Fill, Errno> {
        for _ in 0..CONTROL_MAX {
            if self.ended {
                return Ok(Fill::Eof);
            }
            match pipe.fill(socket, max) {
                // The end, an empty record, one of another type, or an invalid one.
                Ok(Fill::Eof) | Err(Errno::EINVAL | Errno::EIO) => {}
                result => return result,
            }
            match peek(socket) {
                Ok(0) => return Err(Errno::ECONNRESET),
                Ok(_) => {}
                Err(Errno::EAGAIN) => return Ok(Fill::Blocked),
                Err(Errno::EIO) => self.read_control(socket)?,
                Err(error) => return Err(error),
            }
        }
        Err(Errno::EPROTO)
    }

    /// Hands bytes to the kernel.
    ///
    /// # Errors
    /// `EPIPE` if nothing can be sent any more, any error of the socket.
    pub fn write(&mut self, socket: &Socket, bytes: &[u8], more: bool) -> Result<Write, Errno> {
        self.check_sendable()?;
        self.spent(copy::write(socket, bytes, more))
    }

    /// The same for several slices.
    ///
    /// # Errors
    /// As [`KernelTls::write`].
    pub fn gather(&mut self, socket: &Socket, slices: &[IoSlice<'_>]) -> Result<Write, Errno> {
        self.check_sendable()?;
        self.spent(copy::gather(socket, slices))
    }

    /// Moves up to `bytes` (at least 1) from a pipe to the peer.
    ///
    /// # Errors
    /// As [`KernelTls::write`].
    pub fn drain(&mut self, socket: &Socket, pipe: &Pipe, bytes: usize) -> Result<Drain, Errno> {
        self.check_sendable()?;
        let drained = pipe.drain(socket, bytes)?;
        if let Drain::Moved(count) = drained {
            self.spend(count, (count as u64).min(pipe.capacity_bytes() as u64 >> 12) / PIECES_MAX);
        }
        Ok(drained)
    }

    /// Whether TCP has taken every record. Closing the socket drops the part of the last one for which
    /// TCP had no room; it had, if the socket is writable. Otherwise an event follows once it is.
    #[allow(clippy::unused_self, reason = "the kernel holds it")]
    pub fn is_settled(&self, socket: &Socket) -> bool {
        let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        poll(&mut sockets, PollTimeout::ZERO) != Ok(0)
    }

    /// Sends `close_notify`; `false`: the socket has to be writable first.
    pub fn end(&mut self, socket: &Socket) -> bool {
        if self.output_ended {
            return true;
        }
        if !self.is_settled(socket) {
            return false;
        }
        self.output_ended = true;
        // Lost with a socket that failed.
        let control = record_type(ALERT);
        let slices = [IoSlice::new(&CLOSE_NOTIFY)];
        let message = MsgHdr::new().with_buffers(&slices).with_control(&control);
        let _ = socket.sendmsg(&message, libc::MSG_NOSIGNAL);
        true
    }

    /// Returns how many decrypted bytes the kernel has, up to those of one record.
    #[allow(clippy::unused_self, reason = "the kernel holds them")]
    pub fn held_input(&self, socket: &Socket) -> usize {
        let mut record = [0; PAYLOAD_MAX];
        recv(socket.as_raw_fd(), &mut record, MsgFlags::MSG_PEEK).unwrap_or(0)
    }

    /// Whether the kernel has nothing to read.
    #[allow(clippy::unused_self, reason = "the kernel holds it")]
    pub fn is_drained(&self, socket: &Socket) -> bool {
        peek(socket) == Err(Errno::EAGAIN)
    }

    /// Reads a record of another type than application data.
    fn read_control(&mut self, socket: &Socket) -> Result<(), Errno> {
        let mut control = cmsg_space!(u8);
        let mut record = [0; 2];
        let mut slices = [IoSliceMut::new(&mut record)];
        let flags = MsgFlags::empty();
        let received = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
        let of_type = received.cmsgs()?.find_map(|message| {
            let ControlMessageOwned::TlsGetRecordType(of_type) = message else { return None };
            Some(of_type)
        });
        let (bytes, warns) = (received.bytes, self.version == ProtocolVersion::TLSv1_2);
        match (of_type, record) {
            (Some(TlsGetRecordType::Alert), CLOSE_NOTIFY | [_, 0]) if bytes == 2 => {
                self.ended = true;
                Ok(())
            }
            (Some(TlsGetRecordType::Alert), [_, USER_CANCELED]) if bytes == 2 => Ok(()),
            (Some(TlsGetRecordType::Alert), [1, _]) if bytes == 2 && warns => Ok(()),
            _ => Err(Errno::EPROTO),
        }
    }

    fn check_sendable(&self) -> Result<(), Errno> {
        if self.output_ended || self.sendable == 0 { Err(Errno::EPIPE) } else { Ok(()) }
    }

    fn spent(&mut self, written: Result<Write, Errno>) -> Result<Write, Errno> {
        if let Ok(Write::Moved(count)) = written {
            self.spend(count, 0);
        }
        written
    }

    /// Counts what a key has encrypted, at most `extra` records more than full ones need.
    fn spend(&mut self, bytes: usize, extra: u64) {
        let records = (bytes / PAYLOAD_MAX) as u64 + 2 + extra;
        self.sendable = self.sendable.saturating_sub(bytes as u64 + records * RECORD_COST);
    }
}

/// Returns whether there is a decrypted byte to read (1) or the end (0).
fn peek(socket: &Socket) -> Result<usize, Errno> {
    recv(socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK)
}

/// Returns the control message `TLS_SET_RECORD_TYPE` (cmsg(3)), which nix cannot send: its length,
/// level, type and value, each aligned to a word.
fn record_type(of_type: u8) -> Vec<u8> {
    const WORD: usize = size_of::<usize>();
    let ints = [libc::SOL_TLS, libc::TLS_SET_RECORD_TYPE];
    let mut message = Vec::with_capacity(WORD * 3);
    let length = (WORD + size_of_val(&ints)).next_multiple_of(WORD) + 1;
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend(ints.iter().flat_map(|int| int.to_ne_bytes()));
    message.resize(length - 1, 0);
    message.push(of_type);
    message.resize(length.next_multiple_of(WORD), 0);
    message
}

impl fmt::Debug for KernelTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, ended, output_ended, .. } = self;
        write!(f, "KernelTls({version:?}, ended: {ended}, output_ended: {output_ended})")
    }
}
