//! The list of streams, written piece by piece as its reader takes it, so that a long one neither
//! blocks the loop nor fills memory. It shows each stream as it is when its turn comes.

use super::conn::{After, Phase, Reply};
use super::note::identify;
use super::relay::Relay;
use super::token::ConnId;
use crate::api::status;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::http::head::{RequestHead, Version};
use crate::http::response::HeadWriter;

/// One piece of the list ends behind the stream that fills it up to so many bytes.
const PIECE_BYTES: usize = 32 << 10;

/// One piece looks at so many streams at most, shown or not.
const VISITS: usize = 1024;

/// Where in the list we are.
#[derive(Debug)]
pub(super) struct Listing {
    next: u64,
    /// Streams made after the request are not shown, so that the list has an end.
    end: u64,
    active_only: bool,
    first: bool,
    chunked: bool,
    after: After,
}

impl Relay {
    /// Begins the list.
    pub(super) fn list(
        &mut self,
        id: ConnId,
        active_only: bool,
        head: &RequestHead<'_, '_>,
        read: bool,
    ) {
        let chunked = head.version == Version::Http11;
        let Reply { version, after, head_only, .. } = Reply::to(head);
        let after = self.after(if chunked || head_only { after } else { After::Whole }, read);
        let (date, end, patience) =
            (self.date, self.registry.next_sequence(), self.settings.keep_alive_timeout);
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.id == id) else {
            return;
        };
        let writer = HeadWriter::new(conn.output.buffer(), 200, &date);
        let mut writer = identify(writer, self.request_ids.as_ref(), conn.note.as_deref())
            .field("Content-Type", b"application/json");
        if chunked {
            writer = writer.chunked();
        }
        writer.connection(after.keeps_alive(), version).end();
        if let Some(note) = &mut conn.note {
            note.answered(200, conn.output.rest().len());
        }
        conn.phase = if head_only {
            Phase::Answering(after)
        } else {
            if !chunked {
                conn.look_broken_until_whole();
            }
            let listing = Listing { next: 0, end, active_only, first: true, chunked, after };
            Phase::Listing(Box::new(listing))
        };
        self.answered(id, 200);
        self.set_deadline(id, patience);
        self.flush(id);
        self.enqueue(id);
    }

    /// Writes one more piece once the last one is out.
    pub(super) fn list_more(&mut self, id: ConnId) {
        self.flush(id);
        let patience = self.settings.keep_alive_timeout;
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.id == id) else {
            return;
        };
        let Phase::Listing(listing) = &mut conn.phase else { return };
        if !conn.output.is_empty() {
            return;
        }
        let mut piece = Vec::with_capacity(PIECE_BYTES + 1024);
        let more = listing.write_piece(&self.registry, &mut piece);
        let body_bytes = piece.len();
        let output = conn.output.buffer();
        write_framed(output, &piece, listing.chunked);
        if !more && listing.chunked {
            output.extend_from_slice(LAST_CHUNK);
        }
        if let Some(note) = &mut conn.note {
            note.framed(output.len() - body_bytes);
        }
        if !more {
            conn.phase = Phase::Answering(listing.after);
        }
        self.set_deadline(id, patience);
        self.flush(id);
        self.enqueue_if_writable(id);
    }

    fn enqueue_if_writable(&mut self, id: ConnId) {
        if self.conn(id).is_some_and(|conn| conn.writable) {
            self.enqueue(id);
        }
    }
}

impl Listing {
    /// Writes the next streams; whether there are more.
    fn write_piece(&mut self, registry: &crate::rendezvous::Registry, out: &mut Vec<u8>) -> bool {
        for (visited, stream) in registry.from_sequence(self.next).enumerate() {
            if stream.sequence() >= self.end {
                break;
            }
            if visited == VISITS {
                return true;
            }
            self.next = stream.sequence() + 1;
            if self.active_only && !stream.is_active() {
                continue;
            }
            out.extend_from_slice(if self.first { b"[" } else { b",\n" });
            self.first = false;
            out.extend_from_slice(status::object(stream).to_string().as_bytes());
            if out.len() >= PIECE_BYTES {
                return true;
            }
        }
        out.extend_from_slice(if self.first { b"[]\n" } else { b"]\n" });
        false
    }
}
