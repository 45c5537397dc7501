//! Tracks the remaining part of a request body, however it is delimited.

use super::chunked::{ChunkDecoder, ChunkError, Event};
use super::first_part::FormError;
use super::framing::Framing;
use super::repr_digest::{DigestTrailer, ReprDigest};
use std::fmt;
use std::ops::Range;

/// Why a body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The chunk framing is malformed.
    Framing(ChunkError),
    /// The next chunk would exceed the limit.
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

/// What is malformed in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Its chunk framing.
    Chunks(ChunkError),
    /// The form that it holds.
    Form(FormError),
}

impl From<ChunkError> for Malformed {
    fn from(error: ChunkError) -> Self {
        Self::Chunks(error)
    }
}

impl Malformed {
    /// What is wrong, for the client.
    pub fn message(self) -> &'static str {
        match self {
            Self::Chunks(error) => error.message(),
            Self::Form(error) => error.message(),
        }
    }
}

/// Decodes one body from its first byte to its last. Its bytes may pass through user memory
/// ([`BodyDecoder::received`]) or bypass it ([`BodyDecoder::took`]).
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    rest: Remaining,
    /// The sizes of the current chunk, or the last one, and of the one before.
    chunk_bytes: [Option<u64>; 2],
    /// Limit on the total bytes of the chunks that have not begun.
    allowed: u64,
    /// The trailers, once there are any.
    trailers: Option<Box<DigestTrailer>>,
}

#[derive(Clone, Copy, Debug)]
enum Remaining {
    Length(u64),
    Chunks(ChunkDecoder),
    UntilEnd,
    Nothing,
}

/// What is reported as left of a body that ends with its connection: more than any real one has.
const UNBOUNDED: u64 = (1 << 63) - 1;

impl BodyDecoder {
    /// Creates a decoder for a body of which nothing was read yet.
    pub fn new(framing: Framing) -> Self {
        let rest = match framing {
            Framing::Length(0) => Remaining::Nothing,
            Framing::Length(bytes) => Remaining::Length(bytes),
            Framing::Chunked => Remaining::Chunks(ChunkDecoder::default()),
        };
        Self { rest, chunk_bytes: [None; 2], allowed: u64::MAX, trailers: None }
    }

    /// Creates a decoder for bytes that end with their connection, as after an upgrade.
    pub fn until_end() -> Self {
        Self {
            rest: Remaining::UntilEnd,
            chunk_bytes: [None; 2],
            allowed: u64::MAX,
            trailers: None,
        }
    }

    /// Reports the end of the connection; whether that is the end of the body, too.
    pub fn connection_ended(&mut self) -> bool {
        if matches!(self.rest, Remaining::UntilEnd) {
            self.rest = Remaining::Nothing;
        }
        self.is_over()
    }

    /// Limits a chunked body to this many bytes; an excess chunk is refused at its head. The caller
    /// checks a length that is known in advance.
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.allowed = bytes;
        self
    }

    /// Whether the entire body was read.
    pub fn is_over(&self) -> bool {
        matches!(self.rest, Remaining::Nothing)
    }

    /// Returns the digest in the trailers, once the body [`is_over`](Self::is_over).
    pub fn digest(&self) -> Option<&ReprDigest> {
        self.trailers.as_ref()?.digest()
    }

    /// Whether the body is chunked and not over.
    pub fn in_chunks(&self) -> bool {
        matches!(self.rest, Remaining::Chunks(_))
    }

    /// Returns the total of the remaining bytes, if known.
    pub fn still_to_come(&self) -> Option<u64> {
        match self.rest {
            Remaining::Length(left) => Some(left),
            Remaining::Chunks(_) | Remaining::UntilEnd => None,
            Remaining::Nothing => Some(0),
        }
    }

    /// Returns the number of body bytes up to the next framing.
    pub fn payload_left(&self) -> u64 {
        match &self.rest {
            Remaining::Length(left) => *left,
            Remaining::Chunks(decoder) => decoder.payload_left(),
            Remaining::UntilEnd => UNBOUNDED,
            Remaining::Nothing => 0,
        }
    }

    /// Returns the size of the larger one of the last two chunks, including the current one; `None`
    /// before the first. A client that sends large chunks may send a short one now and then.
    pub fn chunk_bytes(&self) -> Option<u64> {
        let [last, before] = self.chunk_bytes;
        last.max(before)
    }

    /// Returns how many bytes to read between chunks so that most likely no body byte is among
    /// them.
    pub fn framing_hint(&self) -> usize {
        match &self.rest {
            Remaining::Chunks(decoder) => decoder.framing_hint(),
            Remaining::Length(_) | Remaining::UntilEnd | Remaining::Nothing => 0,
        }
    }

    /// Processes `bytes`, which were read. Appends the ranges that are body to `pieces` and returns
    /// how many bytes belong to this message; the rest belongs to what follows it.
    ///
    /// # Errors
    /// Returns a [`BodyError`] when the chunk framing is malformed or the body too long; the pieces
    /// before the error are valid.
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
            Remaining::UntilEnd => {
                if !bytes.is_empty() {
                    pieces.push(0..bytes.len());
                }
                Ok(bytes.len())
            }
            Remaining::Nothing => Ok(0),
        }
    }

    /// Reports that `count` of the [`BodyDecoder::payload_left`] bytes bypassed user memory.
    pub fn took(&mut self, count: usize) {
        match &mut self.rest {
            Remaining::Length(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.rest = Remaining::Nothing;
                }
            }
            Remaining::Chunks(decoder) => decoder.took(count as u64),
            Remaining::UntilEnd => {}
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
                self.chunk_bytes = [Some(chunk_bytes), self.chunk_bytes[0]];
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

/// Collects trailer lines from the framing of a step after which no payload follows.
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
