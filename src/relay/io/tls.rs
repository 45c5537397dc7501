//! TLS on a connection's socket: received records are decrypted into the caller's memory, sent
//! bytes are encrypted and handed to the socket. Nothing here waits, and nothing above knows it.
//!
//! A session keeps at most one incomplete record and what the caller had no room for (one record),
//! and the encrypted bytes that the socket did not take: those of one write.

mod handshake;
mod kernel;

pub use handshake::Handshake;
pub use kernel::{KernelTls, Refusal, kernel_encrypts};

use crate::ops::tls::Acceptor;
use crate::splice::copy::{self, Read, Write};
use nix::errno::Errno;
use rustls::ProtocolVersion;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use socket2::Socket;
use std::cell::RefCell;
use std::fmt;

/// Maximum bytes of one record on the wire (RFC 8446, section 5.2), its header included.
const RECORD_MAX: usize = (16 << 10) + 256 + 5;

/// Maximum bytes of a payload in one record.
const PAYLOAD_MAX: usize = 16 << 10;

/// Maximum bytes that encrypting adds to a record: header, nonce, type and tag.
const OVERHEAD_MAX: usize = 64;

/// Maximum bytes encrypted by one write: what a slow socket does not take stays in memory.
const SEAL_MAX: usize = 256 << 10;

/// The same for output that is kept until it is sent, and so is in memory twice.
const SEAL_OUTPUT_MAX: usize = 64 << 10;

/// Maximum received bytes without a byte for the caller: alerts, key updates, empty records.
const CONTROL_MAX: usize = 64 << 10;

/// Maximum bytes of an incomplete handshake: chains of certificates are smaller.
const HANDSHAKE_MAX: usize = 64 << 10;

/// Bytes of the shared memory: what one read receives, or one write encrypts.
const WIRE_BYTES: usize = SEAL_MAX + HANDSHAKE_MAX + RECORD_MAX;

thread_local! {
    /// Encrypted bytes between a socket and a session; nothing stays in it between calls.
    static WIRE: RefCell<Vec<u8>> = RefCell::new(vec![0; WIRE_BYTES]);
}

/// A TLS session.
#[allow(clippy::struct_excessive_bools, reason = "marks, independent of each other")]
pub struct TlsSession {
    session: UnbufferedServerConnection,
    /// Received bytes of an incomplete record.
    incomplete: Vec<u8>,
    /// Decrypted bytes that the last caller had no room for.
    plain: Vec<u8>,
    plain_taken: usize,
    /// Encrypted bytes that the socket has not taken.
    sealed: Vec<u8>,
    sealed_sent: usize,
    /// How many bytes of the connection's output they are.
    sealed_output: usize,
    /// The peer sent `close_notify`: it sends nothing more.
    ended: bool,
    phase: Phase,
    /// The session failed: nothing can be read or sent.
    failed: bool,
    client_subject: Option<Box<str>>,
    /// The last read returned less than it had room for: nothing more had been received.
    drained: bool,
    /// Whether the kernel is to take the keys: nothing is read beyond the handshake.
    for_kernel: bool,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was received.
    New,
    /// The handshake is incomplete.
    Handshake,
    /// Bytes can be sent.
    Open,
    /// `close_notify` was sent.
    Ended,
}

impl TlsSession {
    /// Begins the session of a new connection, with keys `for_kernel` if it can take them.
    pub fn new(acceptor: &Acceptor, for_kernel: bool) -> Option<Self> {
        let for_kernel = for_kernel && kernel_encrypts();
        let session = UnbufferedServerConnection::new(acceptor.config()).ok()?;
        Some(Self {
            session,
            incomplete: Vec::new(),
            plain: Vec::new(),
            plain_taken: 0,
            sealed: Vec::new(),
            sealed_sent: 0,
            sealed_output: 0,
            ended: false,
            phase: Phase::New,
            failed: false,
            client_subject: None,
            drained: false,
            for_kernel,
        })
    }

    /// Returns the subject of the client's certificate, if it has one.
    pub fn client_subject(&self) -> Option<&str> {
        self.client_subject.as_deref()
    }

    /// Returns the version of TLS, such as `TLSv1.3`.
    pub fn version(&self) -> &'static str {
        self.session.protocol_version().map_or("TLSv1.2", version_name)
    }

    /// Returns how many received bytes the session holds.
    pub fn held_input(&self) -> usize {
        self.incomplete.len() + self.plain.len() - self.plain_taken
    }

    /// Whether neither the socket nor the session had more bytes after the last read, nor an end.
    pub fn is_drained(&self) -> bool {
        self.drained && self.plain.is_empty() && !self.ended
    }

    /// Returns how many encrypted bytes the socket has not taken.
    pub fn unsent(&self) -> usize {
        self.sealed.len() - self.sealed_sent
    }

    /// Takes the first bytes of the client, which were read before.
    pub fn feed(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.phase == Phase::New, "only the first bytes are read before");
        self.incomplete = bytes;
    }

    /// Reads decrypted bytes. The end is [`Read::Eof`] only after `close_notify` (RFC 8446, section
    /// 6.1): otherwise an attacker on the path could cut off a body.
    ///
    /// # Errors
    /// `ECONNRESET` if the connection was cut, `EPROTO` if the peer violates the protocol, any
    /// error of the socket.
    pub fn read(&mut self, socket: &Socket, buffer: &mut [u8]) -> Result<Read, Errno> {
        // What was read before proves nothing of the socket now.
        self.drained = false;
        if self.plain_taken < self.plain.len() {
            return Ok(Read::Moved(self.take_plain(buffer)));
        }
        let mut control = 0;
        while control < CONTROL_MAX {
            if self.failed || self.incomplete.len() > HANDSHAKE_MAX {
                return Err(Errno::EPROTO);
            }
            if self.ended {
                return Ok(Read::Eof);
            }
            // Records for more than the caller has room for would have to be kept here.
            let room = buffer.len().clamp(RECORD_MAX, SEAL_MAX);
            let kept = self.incomplete.len();
            // More than a record is kept of a handshake message in pieces only.
            let room = if kept < room { room } else { kept + RECORD_MAX };
            let (received, moved) = WIRE.with_borrow_mut(|wire| {
                let filled = self.begin_receiving(wire);
                let received = copy::read(socket, &mut wire[filled..room]);
                match received {
                    Ok(Read::Moved(count)) => {
                        self.drained = filled + count < room;
                        (received, self.open_records(&mut wire[..filled + count], buffer))
                    }
                    Ok(Read::Blocked | Read::Eof) | Err(_) => {
                        self.incomplete = wire[..filled].to_vec();
                        (received, 0)
                    }
                }
            });
            // What the session has to send in response, such as an alert.
            self.flush(socket)?;
            match received? {
                Read::Moved(_) if moved > 0 => return Ok(Read::Moved(moved)),
                Read::Moved(count) => control += count,
                Read::Blocked => return Ok(Read::Blocked),
                Read::Eof => return Err(Errno::ECONNRESET),
            }
        }
        self.failed = true;
        Err(Errno::EPROTO)
    }

    /// Encrypts bytes and hands them to the socket. They count as sent once they are encrypted:
    /// [`TlsSession::unsent`] is what the socket has not taken. Blocked while there is any.
    ///
    /// # Errors
    /// `EPIPE` if nothing can be sent any more, any error of the socket.
    pub fn write(&mut self, socket: &Socket, bytes: &[u8]) -> Result<Write, Errno> {
        if !self.flush(socket)? {
            return Ok(Write::Blocked);
        }
        let bytes = &bytes[..bytes.len().min(SEAL_MAX)];
        self.seal(socket, bytes)?;
        Ok(Write::Moved(bytes.len()))
    }

    /// The same for a connection's output, which counts as sent only once the socket took it: the
    /// caller keeps it, and calls again with the same bytes.
    ///
    /// # Errors
    /// As [`TlsSession::write`].
    pub fn write_output(&mut self, socket: &Socket, output: &[u8]) -> Result<Write, Errno> {
        if !self.flush(socket)? {
            return Ok(Write::Blocked);
        }
        if self.sealed_output == 0 {
            let bytes = &output[..output.len().min(SEAL_OUTPUT_MAX)];
            self.sealed_output = bytes.len();
            self.seal(socket, bytes)?;
            if self.unsent() > 0 {
                return Ok(Write::Blocked);
            }
        }
        Ok(Write::Moved(std::mem::take(&mut self.sealed_output)))
    }

    /// Hands encrypted bytes to the socket; whether it took all of them.
    ///
    /// # Errors
    /// Any error of the socket.
    pub fn flush(&mut self, socket: &Socket) -> Result<bool, Errno> {
        while self.unsent() > 0 {
            match copy::write(socket, &self.sealed[self.sealed_sent..], false)? {
                Write::Moved(count) => self.sealed_sent += count,
                Write::Blocked => return Ok(false),
            }
        }
        // A connection that waits keeps no memory for it.
        (self.sealed, self.sealed_sent) = (Vec::new(), 0);
        Ok(true)
    }

    /// Sends `close_notify`: what was sent is complete. `false`: the socket has not taken it, and has
    /// to be writable first.
    pub fn end(&mut self, socket: &Socket) -> bool {
        self.queue_close_notify();
        // It is lost with a socket that failed.
        self.flush(socket).unwrap_or(true)
    }

    fn queue_close_notify(&mut self) {
        self.advance();
        let Self { session, sealed, phase, failed, incomplete, .. } = self;
        if *phase != Phase::Open || *failed {
            return;
        }
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
            session.process_tls_records(incomplete).state
        {
            let from = sealed.len();
            sealed.resize(from + RECORD_MAX.min(OVERHEAD_MAX * 2), 0);
            let count = traffic.queue_close_notify(&mut sealed[from..]).unwrap_or(0);
            sealed.truncate(from + count);
        }
        *phase = Phase::Ended;
    }

    /// Whether the kernel can continue: no byte is held here.
    fn is_movable(&self) -> bool {
        let held = self.held_input() + self.unsent();
        self.phase == Phase::Open && !self.failed && !self.ended && held == 0
    }

    /// Puts what is incomplete in front of what is received next; returns its length.
    fn begin_receiving(&mut self, wire: &mut [u8]) -> usize {
        let incomplete = std::mem::take(&mut self.incomplete);
        wire[..incomplete.len()].copy_from_slice(&incomplete);
        incomplete.len()
    }

    /// Decrypts the complete records of `wire` into `buffer`, and keeps the rest; returns how many
    /// bytes `buffer` got.
    fn open_records(&mut self, wire: &mut [u8], buffer: &mut [u8]) -> usize {
        let mut sink = Sink { buffer, filled: 0, rest: std::mem::take(&mut self.plain) };
        sink.rest.clear();
        let used = self.process(wire, &mut sink);
        (self.plain, self.plain_taken) = (sink.rest, 0);
        self.incomplete = wire[used..].to_vec();
        sink.filled
    }

    /// Completes what the session has to do without new input. It refers to the pieces of an
    /// incomplete handshake message by their places in `incomplete`, and panics without these bytes.
    fn advance(&mut self) {
        let mut incomplete = std::mem::take(&mut self.incomplete);
        let mut nowhere = Sink { buffer: &mut [], filled: 0, rest: Vec::new() };
        let used = self.process(&mut incomplete, &mut nowhere);
        debug_assert!(nowhere.rest.is_empty(), "without input there is nothing to decrypt");
        incomplete.drain(..used);
        self.incomplete = incomplete;
    }

    /// Processes records until more input is needed; returns how many bytes of them are done.
    fn process(&mut self, wire: &mut [u8], sink: &mut Sink<'_>) -> usize {
        if self.failed {
            return wire.len();
        }
        let mut used = 0;
        loop {
            // After an error the alert that explains it is left, and nothing else: a session that
            // failed must not see a record again.
            let last = self.failed;
            let UnbufferedStatus { discard, state } =
                self.session.process_tls_records(&mut wire[used..]);
            let more = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        sink.take(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let result = append(&mut self.sealed, |room| {
                        data.encode(room).map_err(|error| match error {
                            EncodeError::InsufficientSize(size) => Some(size),
                            EncodeError::AlreadyEncoded => None,
                        })
                    });
                    self.failed |= result.is_err();
                    result.is_ok()
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.ended = true;
                    true
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    if self.phase == Phase::Handshake {
                        self.phase = Phase::Open;
                    }
                    false
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => false,
                // Early data is off, and nothing else is known.
                Ok(_) => {
                    self.failed = true;
                    false
                }
                Err(_) => {
                    self.failed = true;
                    true
                }
            };
            used += discard;
            if !more || last {
                return used;
            }
        }
    }

    /// Encrypts bytes, sends them, and keeps what the socket does not take.
    fn seal(&mut self, socket: &Socket, bytes: &[u8]) -> Result<(), Errno> {
        // Key updates are sent first.
        self.advance();
        let Self { session, sealed, phase, failed, incomplete, .. } = self;
        if *phase != Phase::Open || *failed {
            return Err(Errno::EPIPE);
        }
        let ConnectionState::WriteTraffic(mut traffic) =
            session.process_tls_records(incomplete).state.map_err(|_| Errno::EPROTO)?
        else {
            return Err(Errno::EPIPE);
        };
        WIRE.with_borrow_mut(|wire| {
            debug_assert!(
                bytes.len() + (bytes.len() / PAYLOAD_MAX + 1) * OVERHEAD_MAX <= wire.len(),
                "one write fits into the shared memory"
            );
            let count = traffic.encrypt(bytes, wire).map_err(|error| match error {
                EncryptError::InsufficientSize(_) => Errno::ENOBUFS,
                // The keys are used up (RFC 8446, section 5.5).
                EncryptError::EncryptExhausted => Errno::EPIPE,
            })?;
            let sent = if sealed.is_empty() {
                match copy::write(socket, &wire[..count], false)? {
                    Write::Moved(sent) => sent,
                    Write::Blocked => 0,
                }
            } else {
                0
            };
            sealed.extend_from_slice(&wire[sent..count]);
            Ok(())
        })
    }

    fn take_plain(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.plain[self.plain_taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.plain_taken += count;
        if self.plain_taken == self.plain.len() {
            (self.plain, self.plain_taken) = (Vec::new(), 0);
        }
        count
    }
}

/// Returns the name of a version, as in OpenSSL.
fn version_name(version: ProtocolVersion) -> &'static str {
    if version == ProtocolVersion::TLSv1_3 { "TLSv1.3" } else { "TLSv1.2" }
}

/// Where decrypted bytes go: the caller's memory, and what it has no room for.
struct Sink<'b> {
    buffer: &'b mut [u8],
    filled: usize,
    rest: Vec<u8>,
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(self.buffer.len() - self.filled);
        self.buffer[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        self.rest.extend_from_slice(&bytes[count..]);
    }
}

/// Appends what `write` writes, with as much room as it needs.
fn append(
    bytes: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> Result<(), ()> {
    let from = bytes.len();
    let mut room = 0;
    loop {
        bytes.resize(from + room, 0);
        match write(&mut bytes[from..]) {
            Ok(count) => {
                bytes.truncate(from + count);
                return Ok(());
            }
            Err(Some(InsufficientSizeError { required_size })) if required_size > room => {
                room = required_size;
            }
            Err(_) => {
                bytes.truncate(from);
                return Err(());
            }
        }
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, ended, failed, .. } = self;
        write!(f, "TlsSession({phase:?}, ended: {ended}, failed: {failed})")
    }
}

#[cfg(test)]
mod tests;
