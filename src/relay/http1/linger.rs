//! Closing without losing the answer. A kernel that has unread bytes when a socket is closed sends
//! a reset, and a reset can destroy the answer on its way to the client. So: answer, half-close,
//! discard what still comes, then close.

use super::conn::{PeerEnd, Phase};
use super::relay::Relay;
use super::token::ConnId;
use crate::splice::copy::{self, Read};

/// One discarding read, in bytes; nothing is copied.
const DISCARD_BYTES: usize = 256 << 10;

impl Relay {
    /// Everything the client sent was read, as far as is known; if not, there is more to discard.
    pub(super) fn close_or_linger(&mut self, id: ConnId) {
        match self.conn(id) {
            Some(conn) if conn.readable || !conn.carry.is_empty() => self.linger(id),
            Some(_) => self.close(id),
            None => {}
        }
    }

    /// The answer is out; the client may still be sending.
    pub(super) fn linger(&mut self, id: ConnId) {
        let patience = self.settings.linger_timeout;
        let discard_left = self.settings.linger_bytes;
        let room = self.lingering < self.settings.max_lingering;
        let Some(conn) = self.conn(id) else { return };
        if conn.is_lingering() {
            return;
        }
        if !room || conn.socket.shutdown(std::net::Shutdown::Write).is_err() {
            return self.close(id);
        }
        conn.phase = Phase::Lingering { discard_left };
        conn.carry = Vec::new();
        self.stop_serving(id);
        self.lingering += 1;
        self.set_deadline(id, patience);
        self.enqueue(id);
    }

    /// Discards what came. Beyond the limit the rest stays unread, so that TCP holds the client
    /// back while it can still find the answer; the deadline ends it.
    pub(super) fn discard(&mut self, id: ConnId) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(conn) = self.conn(id)
            && conn.readable
            && let Phase::Lingering { discard_left } = &mut conn.phase
            && *discard_left > 0
        {
            let most = DISCARD_BYTES.min(scratch.len()).min(*discard_left);
            match copy::discard(&conn.socket, &mut scratch[..most]) {
                Ok(Read::Moved(count)) => *discard_left -= count,
                Ok(Read::Blocked) => conn.readable = false,
                Ok(Read::Eof) | Err(_) => self.close(id),
            }
        }
        self.scratch = scratch;
        if self
            .conn(id)
            .is_some_and(|conn| conn.peer_end > PeerEnd::Open && conn.has_discarded_all())
        {
            self.close(id);
        }
    }
}
