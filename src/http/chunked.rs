//! Chunked bodies (RFC 9112, section 7.1): the framing is parsed byte by byte and strictly; the
//! payload is never inspected, so the caller can move it (by splice, for one).
//!
//! Nothing here allocates, and an error is final: a failed decoder keeps failing, because
//! resynchronizing after broken framing would allow request smuggling.

mod extension;

use self::extension::is_text;
use super::fields::is_token_byte;
use std::fmt;

/// Largest chunk, in bytes: a size that is also a valid file offset on every system.
pub const CHUNK_BYTES_MAX: u64 = (1 << 63) - 1;
/// Maximum hex digits of one size; leading zeros are legal, but an endless run is an attack.
pub const SIZE_DIGITS_MAX: u16 = 32;
/// Maximum extension bytes of one chunk, including white space before them.
pub const EXTENSION_BYTES_MAX: u16 = 256;
/// Maximum extension bytes of one body: extensions are unused in practice, so more is an attack.
pub const EXTENSIONS_BYTES_MAX: u32 = 64 << 10;
/// Maximum bytes of all trailer lines of one body, including line ends.
pub const TRAILER_BYTES_MAX: u16 = 8 << 10;
/// Maximum trailer lines of one body, the same as the maximum fields of a head.
pub const TRAILER_LINES_MAX: u16 = 100;
/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Room for the framing of a chunk that is written: a size line of up to 16 digits, two line ends.
pub const CHUNK_FRAMING_BYTES: usize = 20;

/// Why a chunked body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// A chunk does not start with a hex digit, or its size is not followed by white space, `;` or
    /// CR.
    BadSize,
    /// A size of more than [`SIZE_DIGITS_MAX`] digits or [`CHUNK_BYTES_MAX`] bytes.
    SizeTooLarge,
    /// A chunk extension without a name, without a value after its `=`, with an unterminated quote
    /// or with a control byte; or white space that no extension follows.
    BadExtension,
    /// More extension bytes than [`EXTENSION_BYTES_MAX`] or [`EXTENSIONS_BYTES_MAX`].
    ExtensionTooLarge,
    /// A CR without LF, or an LF without CR, at the end of a line.
    BadLineEnd,
    /// The payload is not followed by CRLF, so it was longer or shorter than declared.
    BadPayloadEnd,
    /// A trailer line that is not `name: value`, or holds a control byte.
    BadTrailer,
    /// More trailers than [`TRAILER_BYTES_MAX`] or [`TRAILER_LINES_MAX`].
    TrailerTooLarge,
    /// The caller reported more payload than there was; a bug in the caller, never the peer's
    /// fault.
    TookTooMuch,
}

impl ChunkError {
    /// Returns what is wrong, as one clause for an error body or a log line.
    pub fn message(self) -> &'static str {
        match self {
            Self::BadSize => "invalid chunk size",
            Self::SizeTooLarge => "chunk size too large",
            Self::BadExtension => "invalid chunk extension",
            Self::ExtensionTooLarge => "chunk extensions too large",
            Self::BadLineEnd => "chunk line not ended by CRLF",
            Self::BadPayloadEnd => "chunk not followed by CRLF",
            Self::BadTrailer => "invalid trailer field",
            Self::TrailerTooLarge => "trailer section too large",
            Self::TookTooMuch => "more payload taken than the chunk holds",
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for ChunkError {}

/// What follows the framing that a step consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing: more input is needed, of framing or (see [`ChunkDecoder::payload_left`]) payload.
    NeedInput,
    /// Payload, to be taken by the caller and reported with [`ChunkDecoder::took`].
    Payload {
        /// How many of the next bytes of the input are payload; never 0.
        len: usize,
    },
    /// The body is over; what follows belongs to the next message.
    End,
}

/// The owner of the next byte.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The decoder: framing, in this state.
    Framing(ChunkState),
    /// The caller: payload.
    Payload,
    /// The next message: the body is over.
    Done,
    /// None: the body was refused.
    Broken(ChunkError),
}

/// The expected next byte of the framing.
#[derive(Clone, Copy, Debug)]
enum ChunkState {
    /// A digit of the size, or the byte after its end.
    Size,
    /// A byte between the size and the CR.
    Extension(extension::ExtensionState),
    /// The LF of the size line.
    SizeLf,
    /// The CR after the payload.
    PayloadCr,
    /// The LF after the payload.
    PayloadLf,
    /// The first byte of a trailer line, or the CR of the empty line.
    TrailerStart,
    /// A later byte of a trailer's name, or the colon.
    TrailerName,
    /// A byte of a trailer's value, or the CR after it.
    TrailerValue,
    /// The LF of a trailer line.
    TrailerLf,
    /// The LF of the empty line.
    EndLf,
}

/// Incremental decoder of one chunked body.
///
/// [`step`](Self::step) consumes framing; the caller takes payload, from the input or from wherever
/// the rest of it is, up to [`payload_left`](Self::payload_left) bytes, and reports it with
/// [`took`](Self::took).
#[derive(Clone, Copy, Debug)]
pub struct ChunkDecoder {
    phase: Phase,
    /// The size while it is being read, then the remaining payload.
    left: u64,
    /// Digits of the current size line so far.
    digits: u16,
    /// Bytes between the digits and the CR of the current size line so far.
    extension: u16,
    /// The same for the entire body.
    extensions: u32,
    /// Length of the last complete size line including CRLF; 0 before the first.
    last_line: u16,
    trailer_bytes: u16,
    trailer_lines: u16,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self {
            phase: Phase::Framing(ChunkState::Size),
            left: 0,
            digits: 0,
            extension: 0,
            extensions: 0,
            last_line: 0,
            trailer_bytes: 0,
            trailer_lines: 0,
        }
    }
}

impl ChunkDecoder {
    /// Consumes the framing at the start of `input`. Returns how many bytes that was, and what
    /// follows them. With payload outstanding, or after the end, it consumes nothing.
    ///
    /// # Errors
    /// Returns a [`ChunkError`] when the framing violates RFC 9112 or a limit; every later call
    /// repeats it.
    pub fn step(&mut self, input: &[u8]) -> Result<(usize, Event), ChunkError> {
        let mut used = 0;
        loop {
            let place = match self.phase {
                Phase::Framing(place) => place,
                Phase::Payload => return Ok((used, self.payload_in(&input[used..]))),
                Phase::Done => return Ok((used, Event::End)),
                Phase::Broken(error) => return Err(error),
            };
            let Some(&byte) = input.get(used) else { return Ok((used, Event::NeedInput)) };
            self.phase = self.next(place, byte).unwrap_or_else(Phase::Broken);
            used += 1;
        }
    }

    /// Returns how many payload bytes of the current chunk were not yet reported with
    /// [`took`](Self::took); 0 outside a payload.
    pub fn payload_left(&self) -> u64 {
        match self.phase {
            Phase::Payload => self.left,
            Phase::Framing(_) | Phase::Done | Phase::Broken(_) => 0,
        }
    }

    /// Reports that `bytes` bytes of payload were taken. More than
    /// [`payload_left`](Self::payload_left) puts the decoder into the error state: its position is
    /// lost.
    pub fn took(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let Some(left) = self.payload_left().checked_sub(bytes) else {
            self.phase = Phase::Broken(ChunkError::TookTooMuch);
            return;
        };
        self.left = left;
        if left == 0 {
            self.phase = Phase::Framing(ChunkState::PayloadCr);
        }
    }

    /// Whether the entire body, including trailers, was consumed.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Returns the bytes of trailer lines at the end of `framing`, which the last
    /// [`step`](Self::step) consumed, where `seen_bytes` of such bytes were consumed before it. The
    /// empty line after the trailers is not included.
    pub fn trailers_in<'i>(&self, framing: &'i [u8], seen_bytes: usize) -> &'i [u8] {
        let new_bytes = usize::from(self.trailer_bytes) - seen_bytes;
        let end = match self.phase {
            // With no new lines, the empty line may have begun in an earlier step.
            _ if new_bytes == 0 => return &[],
            Phase::Done => framing.len() - 2,
            Phase::Framing(ChunkState::EndLf) => framing.len() - 1,
            Phase::Framing(_) | Phase::Payload | Phase::Broken(_) => framing.len(),
        };
        &framing[end - new_bytes..end]
    }

    /// Returns how many bytes to read so that no payload is read along with the framing, if the
    /// next size line is as long as the last one; where that is unknown or disproved, the number of
    /// bytes that are certainly framing. Inside a payload it counts from its end. 0 only after the
    /// end.
    pub fn framing_hint(&self) -> usize {
        let (expected, certain) = match self.phase {
            Phase::Framing(place) => (self.expected_at(place), self.certain_at(place)),
            Phase::Payload => (self.last_line + 2, 5),
            Phase::Done => (0, 0),
            Phase::Broken(_) => (0, 1),
        };
        usize::from(expected.max(certain))
    }

    /// Returns the framing bytes up to the next payload if its size line is as long as the last
    /// one; 0 where the length cannot be predicted.
    fn expected_at(&self, place: ChunkState) -> u16 {
        match place {
            ChunkState::Size | ChunkState::Extension(_) => {
                self.last_line.saturating_sub(self.digits + self.extension)
            }
            ChunkState::PayloadCr => self.last_line + 2,
            ChunkState::PayloadLf => self.last_line + 1,
            ChunkState::SizeLf
            | ChunkState::TrailerStart
            | ChunkState::TrailerName
            | ChunkState::TrailerValue
            | ChunkState::TrailerLf
            | ChunkState::EndLf => 0,
        }
    }

    /// Returns the minimum framing bytes before any payload or the end of the body.
    fn certain_at(&self, place: ChunkState) -> u16 {
        let empty_line = if self.left == 0 { 2 } else { 0 };
        match place {
            // A zero may be a leading zero: the shortest rest is then one more digit and CRLF.
            ChunkState::Size if self.left == 0 => 3,
            ChunkState::Size | ChunkState::TrailerStart => 2,
            ChunkState::Extension(place) => place.shortest_end() + empty_line,
            ChunkState::SizeLf => 1 + empty_line,
            ChunkState::PayloadCr | ChunkState::TrailerName => 5,
            ChunkState::PayloadLf | ChunkState::TrailerValue => 4,
            ChunkState::TrailerLf => 3,
            ChunkState::EndLf => 1,
        }
    }

    /// Returns the payload at the start of `rest`.
    fn payload_in(&self, rest: &[u8]) -> Event {
        let len = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
        if len == 0 { Event::NeedInput } else { Event::Payload { len } }
    }

    /// Returns the phase after `byte`, which was read in state `place`.
    fn next(&mut self, place: ChunkState, byte: u8) -> Result<Phase, ChunkError> {
        let place = match place {
            ChunkState::Size => self.size(byte)?,
            ChunkState::Extension(place) => self.extension(place, byte)?,
            ChunkState::SizeLf => return self.size_line_end(byte),
            ChunkState::PayloadCr if byte == b'\r' => ChunkState::PayloadLf,
            ChunkState::PayloadLf if byte == b'\n' => self.size_line_start(),
            ChunkState::PayloadCr | ChunkState::PayloadLf => return Err(ChunkError::BadPayloadEnd),
            ChunkState::TrailerStart if byte == b'\r' => ChunkState::EndLf,
            ChunkState::TrailerStart => self.trailer_start(byte)?,
            ChunkState::TrailerName => self.trailer_name(byte)?,
            ChunkState::TrailerValue => self.trailer_value(byte)?,
            ChunkState::TrailerLf if byte == b'\n' => {
                self.trailer_byte(ChunkState::TrailerStart)?
            }
            ChunkState::EndLf if byte == b'\n' => return Ok(Phase::Done),
            ChunkState::TrailerLf | ChunkState::EndLf => return Err(ChunkError::BadLineEnd),
        };
        Ok(Phase::Framing(place))
    }

    fn size_line_start(&mut self) -> ChunkState {
        (self.digits, self.extension) = (0, 0);
        ChunkState::Size
    }

    fn size(&mut self, byte: u8) -> Result<ChunkState, ChunkError> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return if self.digits == 0 { Err(ChunkError::BadSize) } else { self.size_end(byte) };
        };
        if self.digits == SIZE_DIGITS_MAX || self.left > CHUNK_BYTES_MAX >> 4 {
            return Err(ChunkError::SizeTooLarge);
        }
        self.digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        Ok(ChunkState::Size)
    }

    fn size_end(&mut self, byte: u8) -> Result<ChunkState, ChunkError> {
        match byte {
            b'\r' => Ok(ChunkState::SizeLf),
            b'\n' => Err(ChunkError::BadLineEnd),
            b';' | b' ' | b'\t' => self.extension(extension::ExtensionState::Padding, byte),
            _ => Err(ChunkError::BadSize),
        }
    }

    fn extension(
        &mut self,
        place: extension::ExtensionState,
        byte: u8,
    ) -> Result<ChunkState, ChunkError> {
        match place.next(byte)? {
            Some(next) => self.extension_byte(ChunkState::Extension(next)),
            None => Ok(ChunkState::SizeLf),
        }
    }

    /// Counts one byte between the digits and the CR.
    fn extension_byte(&mut self, next: ChunkState) -> Result<ChunkState, ChunkError> {
        if self.extension == EXTENSION_BYTES_MAX || self.extensions == EXTENSIONS_BYTES_MAX {
            return Err(ChunkError::ExtensionTooLarge);
        }
        self.extension += 1;
        self.extensions += 1;
        Ok(next)
    }

    fn size_line_end(&mut self, byte: u8) -> Result<Phase, ChunkError> {
        if byte != b'\n' {
            return Err(ChunkError::BadLineEnd);
        }
        self.last_line = self.digits + self.extension + 2;
        let last = self.left == 0;
        Ok(if last { Phase::Framing(ChunkState::TrailerStart) } else { Phase::Payload })
    }

    fn trailer_start(&mut self, byte: u8) -> Result<ChunkState, ChunkError> {
        if !is_token_byte(byte) {
            return Err(ChunkError::BadTrailer);
        }
        if self.trailer_lines == TRAILER_LINES_MAX {
            return Err(ChunkError::TrailerTooLarge);
        }
        self.trailer_lines += 1;
        self.trailer_byte(ChunkState::TrailerName)
    }

    fn trailer_name(&mut self, byte: u8) -> Result<ChunkState, ChunkError> {
        match byte {
            b':' => self.trailer_byte(ChunkState::TrailerValue),
            _ if is_token_byte(byte) => self.trailer_byte(ChunkState::TrailerName),
            _ => Err(ChunkError::BadTrailer),
        }
    }

    fn trailer_value(&mut self, byte: u8) -> Result<ChunkState, ChunkError> {
        match byte {
            b'\r' => self.trailer_byte(ChunkState::TrailerLf),
            b'\n' => Err(ChunkError::BadLineEnd),
            _ if is_text(byte) => self.trailer_byte(ChunkState::TrailerValue),
            _ => Err(ChunkError::BadTrailer),
        }
    }

    /// Counts one byte of a trailer line.
    fn trailer_byte(&mut self, next: ChunkState) -> Result<ChunkState, ChunkError> {
        if self.trailer_bytes == TRAILER_BYTES_MAX {
            return Err(ChunkError::TrailerTooLarge);
        }
        self.trailer_bytes += 1;
        Ok(next)
    }
}

/// Appends the size line of a chunk of `bytes` bytes (not 0, which would end the body).
pub fn write_chunk_head(out: &mut Vec<u8>, bytes: u64) {
    debug_assert_ne!(bytes, 0, "an empty chunk is the end of the body");
    let digits = (u64::BITS - (bytes | 1).leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(bytes >> (4 * digit) & 15) as usize]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the next bytes of a body, as one chunk or unframed; appends nothing if `bytes` is empty.
/// Returns how many bytes of framing were added.
pub fn write_framed(out: &mut Vec<u8>, bytes: &[u8], chunked: bool) -> usize {
    let before = out.len();
    if chunked && !bytes.is_empty() {
        write_chunk_head(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(bytes);
    }
    out.len() - before - bytes.len()
}

#[cfg(test)]
mod tests;
