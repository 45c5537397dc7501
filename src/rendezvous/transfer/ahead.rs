//! The bytes that are sent first: the download's head, chunk framing, and body bytes that are
//! framed already.

use super::COPY_SLOW;
use crate::http::chunked::{LAST_CHUNK, write_chunk_head};

/// The progress of the download's chunk framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FramingProgress {
    Nothing,
    SomeChunk,
    LastChunk,
}

/// A buffer of them, sent from the front.
#[derive(Debug)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    sent: usize,
    /// How many of the unsent bytes at the start are not body.
    framing: usize,
    framed: FramingProgress,
}

impl Ahead {
    /// Creates a buffer of the download's head.
    pub(super) fn new(head: Vec<u8>) -> Self {
        Self { framing: head.len(), bytes: head, sent: 0, framed: FramingProgress::Nothing }
    }

    /// Adds lines to the download's head, of which nothing was sent, before its empty line.
    pub(super) fn add_fields(&mut self, lines: &[u8]) {
        debug_assert_eq!((self.sent, self.body()), (0, 0), "it is only the head");
        let end = self.framing - b"\r\n".len();
        self.bytes.splice(end..end, lines.iter().copied());
        self.framing += lines.len();
    }

    /// Returns the unsent bytes.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Returns how many of the unsent bytes are body.
    pub(super) fn body(&self) -> usize {
        self.unsent().len() - self.framing
    }

    /// Returns all body bytes, if nothing was sent.
    pub(super) fn into_body(mut self) -> Vec<u8> {
        debug_assert_eq!(self.sent, 0, "the framing is at the start");
        self.bytes.split_off(self.framing)
    }

    /// Adds the head of a chunk of `body` bytes; all before is framing.
    pub(super) fn add_chunk_head(&mut self, body: usize) {
        self.add_framing(FramingProgress::SomeChunk, |bytes| write_chunk_head(bytes, body as u64));
    }

    /// Adds the last chunk, once.
    pub(super) fn add_last_chunk(&mut self) {
        if self.framed != FramingProgress::LastChunk {
            let last = |bytes: &mut Vec<u8>| bytes.extend_from_slice(LAST_CHUNK);
            self.add_framing(FramingProgress::LastChunk, last);
        }
    }

    /// The line end of a chunk is written with the bytes that follow.
    fn add_framing(&mut self, framed: FramingProgress, write: impl FnOnce(&mut Vec<u8>)) {
        debug_assert_eq!(self.body(), 0, "framed bytes leave first");
        let before = self.bytes.len();
        if self.framed == FramingProgress::SomeChunk {
            self.bytes.extend_from_slice(b"\r\n");
        }
        write(&mut self.bytes);
        self.framing += self.bytes.len() - before;
        self.framed = framed;
    }

    /// Moves framed body bytes to the end.
    pub(super) fn append(&mut self, body: &mut Vec<u8>) {
        self.bytes.append(body);
    }

    /// Copies framed body bytes to the end.
    pub(super) fn extend(&mut self, body: &[u8]) {
        self.bytes.extend_from_slice(body);
    }

    /// Notes that `count` bytes were sent, and returns how many of them were body.
    pub(super) fn sent(&mut self, count: usize) -> usize {
        let framing = count.min(self.framing);
        self.framing -= framing;
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.sent = 0;
            self.bytes.clear();
            self.bytes.shrink_to(COPY_SLOW);
        }
        count - framing
    }
}
