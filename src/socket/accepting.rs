//! The upgrade of an accepted connection (RFC 6455, section 4.2).

use crate::client::clock;
use crate::client::wire::{self, Wire};
use crate::http::head::{self, FieldSlots, HeadLimits};
use crate::http::response::{HeadWriter, reason, write_decimal};
use crate::mux::handshake::Dialect;
use crate::mux::upgrade::{self, OTHER_VERSION, SUBPROTOCOL};
use crate::splice::copy::{Read, Write};
use nix::poll::{PollFd, PollFlags};
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// How long a client may take to send its request.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const CROWDED: &str = "connection limit reached; try again later";

const LIMITS: HeadLimits = HeadLimits { bytes: 16 << 10, target_bytes: 8 << 10 };

/// The result of parsing an upgrade request.
enum UpgradeOutcome {
    /// The head is incomplete.
    More,
    /// A valid request: its length in bytes, the `Sec-WebSocket-Accept` value and the dialect.
    Upgrade(usize, String, Dialect),
    Refuse(u16, &'static str),
}

/// Reads the request and answers it. Returns the dialect and the bytes received after the request.
///
/// # Errors
/// The connection failed, or the upgrade was refused and the refusal sent.
pub(super) fn upgrade(wire: &Wire, has_room: bool) -> io::Result<(Dialect, Vec<u8>)> {
    let end = clock::now() + HANDSHAKE_TIMEOUT;
    let mut received = Vec::new();
    loop {
        match judge(&received) {
            UpgradeOutcome::More => receive(wire, &mut received, end)?,
            UpgradeOutcome::Upgrade(..) if !has_room => {
                send(wire, &refusal(503, CROWDED), end)?;
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, CROWDED));
            }
            UpgradeOutcome::Upgrade(bytes, accept, dialect) => {
                send(wire, &switch(&accept, dialect), end)?;
                return Ok((dialect, received.split_off(bytes)));
            }
            UpgradeOutcome::Refuse(status, why) => {
                send(wire, &refusal(status, why), end)?;
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }
}

fn judge(received: &[u8]) -> UpgradeOutcome {
    let mut slots = FieldSlots::new();
    let head = match head::parse(received, &mut slots, &LIMITS) {
        Ok(Some(head)) => head,
        Ok(None) => return UpgradeOutcome::More,
        Err(reject) => return UpgradeOutcome::Refuse(reject.status(), reject.message()),
    };
    match upgrade::asked(&head) {
        Ok(Some(asked)) => {
            let dialect = if asked.v1 { Dialect::V1 } else { Dialect::Text };
            UpgradeOutcome::Upgrade(head.len, asked.accept, dialect)
        }
        Ok(None) => UpgradeOutcome::Refuse(426, "connect with a WebSocket (Upgrade: websocket)"),
        Err(why) => UpgradeOutcome::Refuse(if why == OTHER_VERSION { 426 } else { 400 }, why),
    }
}

fn switch(accept: &str, dialect: Dialect) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
    let mut head = HeadWriter::following(&mut bytes)
        .field("Connection", b"Upgrade")
        .field("Upgrade", b"websocket")
        .field("Sec-WebSocket-Accept", accept.as_bytes());
    if dialect == Dialect::V1 {
        head = head.field("Sec-WebSocket-Protocol", SUBPROTOCOL.as_bytes());
    }
    head.end();
    bytes
}

fn refusal(status: u16, why: &str) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 ".to_vec();
    write_decimal(&mut bytes, status.into());
    bytes.extend_from_slice(format!(" {}\r\n", reason(status)).as_bytes());
    let mut head = HeadWriter::following(&mut bytes)
        .field("Connection", b"close")
        .field("Content-Type", b"text/plain")
        .content_length(why.len() as u64 + 1);
    if status == 426 {
        // RFC 6455, section 4.4, and RFC 9110, section 15.5.22.
        head = head.field("Upgrade", b"websocket").field("Sec-WebSocket-Version", b"13");
    }
    head.end();
    bytes.extend_from_slice(why.as_bytes());
    bytes.push(b'\n');
    bytes
}

fn wait(wire: &Wire, flags: PollFlags, end: Instant) -> io::Result<()> {
    let left = end.saturating_duration_since(clock::now());
    wire::wait(&mut [PollFd::new(wire.as_fd(), flags)], Some(left)).map(drop)
}

fn receive(wire: &Wire, received: &mut Vec<u8>, end: Instant) -> io::Result<()> {
    let mut buffer = [0; 4 << 10];
    match wire.read(&mut buffer)? {
        Read::Moved(count) => received.extend_from_slice(&buffer[..count]),
        Read::Eof => return Err(io::ErrorKind::UnexpectedEof.into()),
        Read::Blocked => wait(wire, PollFlags::POLLIN, end)?,
    }
    Ok(())
}

fn send(wire: &Wire, mut bytes: &[u8], end: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        match wire.write(bytes, false)? {
            Write::Moved(count) => bytes = &bytes[count..],
            Write::Blocked => wait(wire, PollFlags::POLLOUT, end)?,
        }
    }
    Ok(())
}
