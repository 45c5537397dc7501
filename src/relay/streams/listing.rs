//! The list of streams, written piece by piece as its reader takes it, so that a long one neither
//! blocks the loop nor fills memory. It shows each stream as it is when its turn comes.

use crate::api::status;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::relay::http1::answer::Streamed;
use crate::relay::io::OnFlushed;
use crate::rendezvous::Registry;

/// What making a byte of the list costs, in bytes that are read.
const BYTE_COST: usize = 64;

/// One piece looks at this many streams at most, shown or not.
const VISITS: usize = 1024;

/// Where in the list we are.
#[derive(Debug)]
pub(super) struct StreamListing {
    next: u64,
    /// Streams made after the request are not shown, so that the list has an end.
    end: u64,
    active_only: bool,
    first: bool,
    over: bool,
    streamed: Streamed,
}

impl StreamListing {
    /// From the oldest stream on; `end` is the place of the first one that is not shown.
    pub fn new(end: u64, active_only: bool, streamed: Streamed) -> Self {
        Self { next: 0, end, active_only, first: true, over: false, streamed }
    }

    /// What follows once all of it is written; `None`: there is more.
    pub fn over(&self) -> Option<OnFlushed> {
        self.over.then_some(self.streamed.after)
    }

    /// Writes the next streams as the response's framing wants them, as many as a share of a turn is
    /// enough for; returns how many bytes of framing.
    pub fn write_piece(&mut self, registry: &Registry, share: usize, out: &mut Vec<u8>) -> usize {
        let most = share / BYTE_COST;
        let mut piece = Vec::with_capacity(most + 1024);
        self.over = !self.fill(registry, most, &mut piece);
        let mut framing = write_framed(out, &piece, self.streamed.chunked);
        if self.over && self.streamed.chunked {
            out.extend_from_slice(LAST_CHUNK);
            framing += LAST_CHUNK.len();
        }
        framing
    }

    /// Fills a piece until it has `most` bytes; whether there are more.
    fn fill(&mut self, registry: &Registry, most: usize, piece: &mut Vec<u8>) -> bool {
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
            piece.extend_from_slice(if self.first { b"[" } else { b",\n" });
            self.first = false;
            piece.extend_from_slice(status::object(stream).to_string().as_bytes());
            if piece.len() >= most {
                return true;
            }
        }
        piece.extend_from_slice(if self.first { b"[]\n" } else { b"]\n" });
        false
    }
}
