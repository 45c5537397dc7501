//! What of a request body is still to come, whichever way it is delimited.

use super::chunked::{ChunkDecoder, ChunkError, Event};
use super::framing::Framing;
use super::repr_digest::{DigestTrailer, ReprDigest};
use std::fmt;
use std::ops::Range;

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Its chunk framing is malformed.
    Framing(ChunkError),
    /// A chunk begins with which it would be longer than it may be.
    TooLarge,
}

impl From<ChunkError> for BodyError {
    fn from(error: ChunkError) -> Self {
        Self::Framing(error)
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing(error) => error.fmt(f),
            Self::TooLarge => f.write_str("body too large"),
        }
    }
}

impl std::error::Error for BodyError {}

/// Follows one body from its first byte to its last. Its bytes may come through user memory
/// ([`BodyDecoder::received`]) or go another way ([`BodyDecoder::took`]).
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    rest: Remaining,
    chunk_bytes: Option<u64>,
    /// How many bytes the chunks that have not begun may hold in all.
    allowed: u64,
    /// What the trailers say, once there is one.
    trailers: Option<Box<DigestTrailer>>,
}

#[derive(Clone, Copy, Debug)]
enum Remaining {
    Length(u64),
    Chunks(ChunkDecoder),
    Nothing,
}

impl BodyDecoder {
    /// A body of which nothing was read yet.
    pub fn new(framing: Framing) -> Self {
        let rest = match framing {
            Framing::Length(0) => Remaining::Nothing,
            Framing::Length(bytes) => Remaining::Length(bytes),
            Framing::Chunked => Remaining::Chunks(ChunkDecoder::default()),
        };
        Self { rest, chunk_bytes: None, allowed: u64::MAX, trailers: None }
    }

    /// Refuses chunks with which the body would be longer than so many bytes, at their heads. A
    /// length that is known before is the caller's to judge.
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.allowed = bytes;
        self
    }

    /// Whether the whole body was read.
    pub fn is_over(&self) -> bool {
        matches!(self.rest, Remaining::Nothing)
    }

    /// The digest among its trailers, once it [`is_over`](Self::is_over).
    pub fn digest(&self) -> Option<&ReprDigest> {
        self.trailers.as_ref()?.digest()
    }

    /// Whether it comes in chunks and is not over.
    pub fn in_chunks(&self) -> bool {
        matches!(self.rest, Remaining::Chunks(_))
    }

    /// How many bytes are still to come in all, where that is known.
    pub fn still_to_come(&self) -> Option<u64> {
        match self.rest {
            Remaining::Length(left) => Some(left),
            Remaining::Chunks(_) => None,
            Remaining::Nothing => Some(0),
        }
    }

    /// How many body bytes come next with no framing between them.
    pub fn payload_left(&self) -> u64 {
        match &self.rest {
            Remaining::Length(left) => *left,
            Remaining::Chunks(decoder) => decoder.payload_left(),
            Remaining::Nothing => 0,
        }
    }

    /// The size of the chunk at hand, or of the last one; `None` before the first.
    pub fn chunk_bytes(&self) -> Option<u64> {
        self.chunk_bytes
    }

    /// Between chunks: how many bytes to read so that, most likely, no body byte comes with them.
    pub fn framing_hint(&self) -> usize {
        match &self.rest {
            Remaining::Chunks(decoder) => decoder.framing_hint(),
            Remaining::Length(_) | Remaining::Nothing => 0,
        }
    }

    /// `bytes` were read. The ranges of them that are body are added to `pieces`; returns how many
    /// bytes belong to this message, the rest to what follows it.
    ///
    /// # Errors
    /// [`BodyError`] when the chunk framing is malformed or the body too long; the pieces before are
    /// good.
    pub fn received(
        &mut self,
        bytes: &[u8],
        pieces: &mut Vec<Range<usize>>,
    ) -> Result<usize, BodyError> {
        match self.rest {
            Remaining::Length(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                if taken > 0 {
                    pieces.push(0..taken);
                }
                self.took(taken);
                Ok(taken)
            }
            Remaining::Chunks(_) => self.received_chunks(bytes, pieces),
            Remaining::Nothing => Ok(0),
        }
    }

    /// `count` body bytes of what [`BodyDecoder::payload_left`] told went another way.
    pub fn took(&mut self, count: usize) {
        match &mut self.rest {
            Remaining::Length(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.rest = Remaining::Nothing;
                }
            }
            Remaining::Chunks(decoder) => decoder.took(count as u64),
            Remaining::Nothing => debug_assert_eq!(count, 0, "the body is over"),
        }
    }

    fn received_chunks(
        &mut self,
        bytes: &[u8],
        pieces: &mut Vec<Range<usize>>,
    ) -> Result<usize, BodyError> {
        let mut at = 0;
        while let Remaining::Chunks(decoder) = &mut self.rest {
            let between = decoder.payload_left() == 0;
            let (framing, event) = decoder.step(&bytes[at..])?;
            let framing = &bytes[at..at + framing];
            at += framing.len();
            if between && decoder.payload_left() > 0 {
                let chunk_bytes = decoder.payload_left();
                self.chunk_bytes = Some(chunk_bytes);
                self.allowed = self.allowed.checked_sub(chunk_bytes).ok_or(BodyError::TooLarge)?;
            }
            match event {
                Event::NeedInput => {
                    note_trailers(&mut self.trailers, decoder, framing);
                    break;
                }
                Event::End => {
                    note_trailers(&mut self.trailers, decoder, framing);
                    self.rest = Remaining::Nothing;
                }
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

/// Looks at the trailer lines among the framing of a step behind which no payload comes.
fn note_trailers(
    trailers: &mut Option<Box<DigestTrailer>>,
    decoder: &ChunkDecoder,
    framing: &[u8],
) {
    let seen_bytes = trailers.as_ref().map_or(0, |trailers| trailers.seen_bytes());
    let lines = decoder.trailers_in(framing, seen_bytes);
    if !lines.is_empty() {
        trailers.get_or_insert_default().take(lines);
    }
}
