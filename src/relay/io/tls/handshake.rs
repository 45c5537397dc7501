//! The handshake of a session, as far as the client has sent its part.

use super::{HANDSHAKE_MAX, Phase, RECORD_MAX, TlsSession, WIRE};
use crate::ops::tls;
use crate::splice::copy::{self, Read};
use socket2::Socket;

/// Maximum reads of a handshake before others have their turn.
const PIECES_MAX: usize = 16;

/// Bytes of a record's header, of which the last two are its length (RFC 8446, section 5.1).
const HEADER_BYTES: usize = 5;

/// How far a handshake is.
#[derive(Debug)]
pub enum Handshake {
    /// It waits for the client.
    Blocked,
    /// It is complete.
    Done,
    /// The client does not speak TLS: the bytes it sent.
    Plain(Vec<u8>),
    /// It failed, or the client left.
    Failed,
}

impl TlsSession {
    /// Continues the handshake as far as the client has sent its part, or [`PIECES_MAX`] reads.
    pub fn handshake(&mut self, socket: &Socket) -> Handshake {
        for _ in 0..PIECES_MAX {
            let result = self.handshake_once(socket);
            if self.drained || !matches!(result, Handshake::Blocked) {
                return result;
            }
        }
        Handshake::Blocked
    }

    /// The same with one read.
    fn handshake_once(&mut self, socket: &Socket) -> Handshake {
        let begins = self.phase == Phase::New;
        let fed = begins && !self.incomplete.is_empty();
        // The kernel continues with the first record after the handshake. A client waits for the
        // answer to its first message, so that may be read at once.
        let exact = self.for_kernel && !begins;
        let most = if exact { missing(&self.incomplete) } else { RECORD_MAX };
        let room = self.incomplete.len() + most;
        let received = WIRE.with_borrow_mut(|wire| {
            let filled = self.begin_receiving(wire);
            let result = copy::read(socket, &mut wire[filled..room]);
            let count = match result {
                Ok(Read::Moved(count)) => count,
                Ok(Read::Blocked) if fed => 0,
                Ok(Read::Blocked | Read::Eof) | Err(_) => {
                    self.incomplete = wire[..filled].to_vec();
                    return Err(result);
                }
            };
            self.drained = count < most;
            let first = wire[0];
            if begins && (first.is_ascii_uppercase() || first == b'\n' || first == b'\r') {
                return Ok(Some(wire[..filled + count].to_vec()));
            }
            self.phase = Phase::Handshake;
            self.open_records(&mut wire[..filled + count], &mut []);
            Ok(None)
        });
        match received {
            Err(Ok(Read::Blocked)) => {
                self.drained = true;
                return Handshake::Blocked;
            }
            Err(_) => return Handshake::Failed,
            Ok(Some(bytes)) => return Handshake::Plain(bytes),
            Ok(None) => {}
        }
        let sent = self.flush(socket);
        if self.failed || sent.is_err() || self.incomplete.len() > HANDSHAKE_MAX {
            return Handshake::Failed;
        }
        if self.phase != Phase::Open {
            return Handshake::Blocked;
        }
        let certificate = self.session.peer_certificates().and_then(|chain| chain.first());
        self.client_subject = certificate.and_then(tls::subject);
        Handshake::Done
    }
}

/// Returns how many bytes to read of an incomplete record: to the end of its header, or to its own.
fn missing(incomplete: &[u8]) -> usize {
    let length = match *incomplete {
        [_, _, _, high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
        _ => 0,
    };
    (HEADER_BYTES + length).saturating_sub(incomplete.len()).max(1)
}
