//! What of a request body is still to come, whichever way it is delimited.

use super::chunked::{ChunkDecoder, ChunkError, Event};
use super::framing::Framing;
use std::ops::Range;

/// Follows one body from its first byte to its last. Its bytes may come through user memory
/// ([`BodyDecoder::received`]) or go another way ([`BodyDecoder::took`]).
#[derive(Clone, Copy, Debug)]
pub struct BodyDecoder {
    rest: Rest,
    chunk_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Rest {
    Length(u64),
    Chunks(ChunkDecoder),
    Nothing,
}

impl BodyDecoder {
    /// A body of which nothing was read yet.
    pub fn new(framing: Framing) -> Self {
        let rest = match framing {
            Framing::Length(0) => Rest::Nothing,
            Framing::Length(bytes) => Rest::Length(bytes),
            Framing::Chunked => Rest::Chunks(ChunkDecoder::default()),
        };
        Self { rest, chunk_bytes: None }
    }

    /// Whether the whole body was read.
    pub fn is_over(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    /// Whether it comes in chunks and is not over.
    pub fn in_chunks(&self) -> bool {
        matches!(self.rest, Rest::Chunks(_))
    }

    /// How many bytes are still to come in all, where that is known.
    pub fn still_to_come(&self) -> Option<u64> {
        match self.rest {
            Rest::Length(left) => Some(left),
            Rest::Chunks(_) => None,
            Rest::Nothing => Some(0),
        }
    }

    /// How many body bytes come next with no framing between them.
    pub fn payload_left(&self) -> u64 {
        match &self.rest {
            Rest::Length(left) => *left,
            Rest::Chunks(decoder) => decoder.payload_left(),
            Rest::Nothing => 0,
        }
    }

    /// The size of the chunk at hand, or of the last one; `None` before the first.
    pub fn chunk_bytes(&self) -> Option<u64> {
        self.chunk_bytes
    }

    /// Between chunks: how many bytes to read so that, most likely, no body byte comes with them.
    pub fn framing_hint(&self) -> usize {
        match &self.rest {
            Rest::Chunks(decoder) => decoder.framing_hint(),
            Rest::Length(_) | Rest::Nothing => 0,
        }
    }

    /// `bytes` were read. The ranges of them that are body are added to `pieces`; returns how many
    /// bytes belong to this message, the rest to what follows it.
    ///
    /// # Errors
    /// [`ChunkError`] when the chunk framing is malformed; the pieces before it are good.
    pub fn received(
        &mut self,
        bytes: &[u8],
        pieces: &mut Vec<Range<usize>>,
    ) -> Result<usize, ChunkError> {
        match self.rest {
            Rest::Length(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                if taken > 0 {
                    pieces.push(0..taken);
                }
                self.took(taken);
                Ok(taken)
            }
            Rest::Chunks(_) => self.received_chunks(bytes, pieces),
            Rest::Nothing => Ok(0),
        }
    }

    /// `count` body bytes of what [`BodyDecoder::payload_left`] told went another way.
    pub fn took(&mut self, count: usize) {
        match &mut self.rest {
            Rest::Length(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.rest = Rest::Nothing;
                }
            }
            Rest::Chunks(decoder) => decoder.took(count as u64),
            Rest::Nothing => debug_assert_eq!(count, 0, "the body is over"),
        }
    }

    fn received_chunks(
        &mut self,
        bytes: &[u8],
        pieces: &mut Vec<Range<usize>>,
    ) -> Result<usize, ChunkError> {
        let mut at = 0;
        while let Rest::Chunks(decoder) = &mut self.rest {
            let between = decoder.payload_left() == 0;
            let (framing, event) = decoder.step(&bytes[at..])?;
            at += framing;
            if between && decoder.payload_left() > 0 {
                self.chunk_bytes = Some(decoder.payload_left());
            }
            match event {
                Event::NeedInput => break,
                Event::End => self.rest = Rest::Nothing,
                Event::Payload { len } => {
                    decoder.took(len as u64);
                    pieces.push(at..at + len);
                    at += len;
                }
            }
        }
        Ok(at)
    }
}
