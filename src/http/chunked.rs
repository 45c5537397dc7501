//! Chunked bodies (RFC 9112, section 7.1): the framing is read byte by byte and strictly, the
//! payload is never looked at, so that somebody else can move it (by splice, for one).
//!
//! Nothing here allocates, and an error is final: a decoder that failed fails for ever, because a
//! relay that finds its way back into a broken framing has been smuggled past.

use std::fmt;

/// Largest chunk, in bytes: a size that is also a valid file offset on every system.
pub const CHUNK_BYTES_MAX: u64 = (1 << 63) - 1;
/// Most hex digits of one size; leading zeros are legal, endless ones are an attack.
pub const SIZE_DIGITS_MAX: u16 = 32;
/// Most extension bytes of one chunk, white space before them included.
pub const EXTENSION_BYTES_MAX: u16 = 256;
/// Most extension bytes of one body: nobody uses them, so many of them are an attack.
pub const EXTENSIONS_BYTES_MAX: u32 = 64 << 10;
/// Most bytes of all trailer lines of one body, line ends included.
pub const TRAILER_BYTES_MAX: u16 = 8 << 10;
/// Most trailer lines of one body, as many as a head may have fields.
pub const TRAILER_LINES_MAX: u16 = 100;
/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Why a chunked body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// A chunk does not start with a hex digit, or its size is followed by something else than
    /// white space, `;` or CR.
    BadSize,
    /// A size of more than [`SIZE_DIGITS_MAX`] digits or [`CHUNK_BYTES_MAX`] bytes.
    SizeTooLarge,
    /// A control byte in a chunk extension.
    BadExtension,
    /// More extension bytes than [`EXTENSION_BYTES_MAX`] or [`EXTENSIONS_BYTES_MAX`].
    ExtensionTooLarge,
    /// A CR without LF, or the other way round, where a line ends.
    BadLineEnd,
    /// The payload is not followed by CRLF, so it was longer or shorter than announced.
    BadPayloadEnd,
    /// A trailer line that is no `name: value`, or holds a control byte.
    BadTrailer,
    /// More trailers than [`TRAILER_BYTES_MAX`] or [`TRAILER_LINES_MAX`].
    TrailerTooLarge,
    /// The caller reported more payload than there was; its own mistake, never the peer's.
    TookTooMuch,
}

impl ChunkError {
    /// What is wrong, as one clause for an error body or a log line.
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

/// What the input holds behind the framing that a step consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing: more input is wanted, of framing or (see [`ChunkDecoder::payload_left`]) payload.
    NeedInput,
    /// Payload, to be taken by the caller and reported with [`ChunkDecoder::took`].
    Payload {
        /// How many of the next bytes of the input are payload; never 0.
        len: usize,
    },
    /// The body is over; what follows belongs to the next message.
    End,
}

/// Whose the next byte is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Ours, at this place of the framing.
    Framing(Place),
    /// The caller's: payload.
    Payload,
    /// The next message's: the body is over.
    Done,
    /// Nobody's: the body was refused.
    Broken(ChunkError),
}

/// What the next byte of the framing may be.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// A digit of the size, or what ends it.
    Size,
    /// White space behind the size, or what ends that.
    Padding,
    /// A byte of an extension, or the CR behind it.
    Extension,
    /// The LF of the size line.
    SizeLf,
    /// The CR behind the payload.
    PayloadCr,
    /// The LF behind the payload.
    PayloadLf,
    /// The first byte of a trailer line, or the CR of the empty line.
    TrailerStart,
    /// A later byte of a trailer's name, or the colon.
    TrailerName,
    /// A byte of a trailer's value, or the CR behind it.
    TrailerValue,
    /// The LF of a trailer line.
    TrailerLf,
    /// The LF of the empty line.
    EndLf,
}

/// Incremental decoder of one chunked body.
///
/// [`step`](Self::step) consumes framing; payload is taken by the caller, from the input or from
/// wherever the rest of it is, up to [`payload_left`](Self::payload_left) bytes, and reported
/// with [`took`](Self::took).
#[derive(Clone, Copy, Debug)]
pub struct ChunkDecoder {
    phase: Phase,
    /// The size while it is being read, then how much of the payload is left.
    left: u64,
    /// Digits of the current size line so far.
    digits: u16,
    /// Bytes between the digits and the CR of the current size line so far.
    extension: u16,
    /// The same, of the whole body.
    extensions: u32,
    /// Length of the last complete size line with its CRLF; 0 before there is one.
    last_line: u16,
    trailer_bytes: u16,
    trailer_lines: u16,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self {
            phase: Phase::Framing(Place::Size),
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
    /// Consumes the framing at the start of `input`: returns how many bytes that was, and what
    /// comes behind them. With payload outstanding, or after the end, it consumes nothing.
    ///
    /// # Errors
    /// A [`ChunkError`] when the framing breaks RFC 9112 or a limit; every later call repeats it.
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

    /// How many bytes of the current chunk's payload were not reported with
    /// [`took`](Self::took) yet; 0 outside a payload.
    pub fn payload_left(&self) -> u64 {
        match self.phase {
            Phase::Payload => self.left,
            Phase::Framing(_) | Phase::Done | Phase::Broken(_) => 0,
        }
    }

    /// Reports that `bytes` bytes of payload were taken. More than
    /// [`payload_left`](Self::payload_left) breaks the decoder: the place is lost.
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
            self.phase = Phase::Framing(Place::PayloadCr);
        }
    }

    /// Whether the whole body, trailers included, was consumed.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// How many bytes to read so that no payload is read along with the framing, if the next
    /// size line is as long as the last one; where that is unknown or proved wrong, how many are
    /// framing whatever comes. Inside a payload it counts from its end. 0 only after the end.
    pub fn framing_hint(&self) -> usize {
        let (expected, certain) = match self.phase {
            Phase::Framing(place) => (self.expected_at(place), self.certain_at(place)),
            Phase::Payload => (self.last_line + 2, 5),
            Phase::Done => (0, 0),
            Phase::Broken(_) => (0, 1),
        };
        usize::from(expected.max(certain))
    }

    /// Framing bytes up to the next payload if its size line is as long as the last one; 0 where
    /// there is nothing to guess.
    fn expected_at(&self, place: Place) -> u16 {
        match place {
            Place::Size | Place::Padding | Place::Extension => {
                self.last_line.saturating_sub(self.digits + self.extension)
            }
            Place::PayloadCr => self.last_line + 2,
            Place::PayloadLf => self.last_line + 1,
            Place::SizeLf
            | Place::TrailerStart
            | Place::TrailerName
            | Place::TrailerValue
            | Place::TrailerLf
            | Place::EndLf => 0,
        }
    }

    /// Framing bytes that must come before any payload or the end of the body.
    fn certain_at(&self, place: Place) -> u16 {
        let empty_line = if self.left == 0 { 2 } else { 0 };
        match place {
            // A zero may go on: the shortest is then one more digit and CRLF.
            Place::Size if self.left == 0 => 3,
            Place::Size | Place::TrailerStart => 2,
            Place::Padding | Place::Extension => 2 + empty_line,
            Place::SizeLf => 1 + empty_line,
            Place::PayloadCr | Place::TrailerName => 5,
            Place::PayloadLf | Place::TrailerValue => 4,
            Place::TrailerLf => 3,
            Place::EndLf => 1,
        }
    }

    /// The payload at the start of `rest`.
    fn payload_in(&self, rest: &[u8]) -> Event {
        let len = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
        if len == 0 { Event::NeedInput } else { Event::Payload { len } }
    }

    /// What comes behind `byte`, which stands at `place`.
    fn next(&mut self, place: Place, byte: u8) -> Result<Phase, ChunkError> {
        let place = match place {
            Place::Size => self.size(byte)?,
            Place::Padding => self.size_end(byte)?,
            Place::Extension => self.extension(byte)?,
            Place::SizeLf => return self.size_line_end(byte),
            Place::PayloadCr if byte == b'\r' => Place::PayloadLf,
            Place::PayloadLf if byte == b'\n' => self.size_line_start(),
            Place::PayloadCr | Place::PayloadLf => return Err(ChunkError::BadPayloadEnd),
            Place::TrailerStart if byte == b'\r' => Place::EndLf,
            Place::TrailerStart => self.trailer_start(byte)?,
            Place::TrailerName => self.trailer_name(byte)?,
            Place::TrailerValue => self.trailer_value(byte)?,
            Place::TrailerLf if byte == b'\n' => self.trailer_byte(Place::TrailerStart)?,
            Place::EndLf if byte == b'\n' => return Ok(Phase::Done),
            Place::TrailerLf | Place::EndLf => return Err(ChunkError::BadLineEnd),
        };
        Ok(Phase::Framing(place))
    }

    fn size_line_start(&mut self) -> Place {
        (self.digits, self.extension) = (0, 0);
        Place::Size
    }

    fn size(&mut self, byte: u8) -> Result<Place, ChunkError> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return if self.digits == 0 { Err(ChunkError::BadSize) } else { self.size_end(byte) };
        };
        if self.digits == SIZE_DIGITS_MAX || self.left > CHUNK_BYTES_MAX >> 4 {
            return Err(ChunkError::SizeTooLarge);
        }
        self.digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        Ok(Place::Size)
    }

    fn size_end(&mut self, byte: u8) -> Result<Place, ChunkError> {
        match byte {
            b'\r' => Ok(Place::SizeLf),
            b'\n' => Err(ChunkError::BadLineEnd),
            b';' => self.extension_byte(Place::Extension),
            b' ' | b'\t' => self.extension_byte(Place::Padding),
            _ => Err(ChunkError::BadSize),
        }
    }

    fn extension(&mut self, byte: u8) -> Result<Place, ChunkError> {
        match byte {
            b'\r' => Ok(Place::SizeLf),
            b'\n' => Err(ChunkError::BadLineEnd),
            _ if is_text(byte) => self.extension_byte(Place::Extension),
            _ => Err(ChunkError::BadExtension),
        }
    }

    /// Counts one byte between the digits and the CR.
    fn extension_byte(&mut self, next: Place) -> Result<Place, ChunkError> {
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
        Ok(if last { Phase::Framing(Place::TrailerStart) } else { Phase::Payload })
    }

    fn trailer_start(&mut self, byte: u8) -> Result<Place, ChunkError> {
        if !is_token(byte) {
            return Err(ChunkError::BadTrailer);
        }
        if self.trailer_lines == TRAILER_LINES_MAX {
            return Err(ChunkError::TrailerTooLarge);
        }
        self.trailer_lines += 1;
        self.trailer_byte(Place::TrailerName)
    }

    fn trailer_name(&mut self, byte: u8) -> Result<Place, ChunkError> {
        match byte {
            b':' => self.trailer_byte(Place::TrailerValue),
            _ if is_token(byte) => self.trailer_byte(Place::TrailerName),
            _ => Err(ChunkError::BadTrailer),
        }
    }

    fn trailer_value(&mut self, byte: u8) -> Result<Place, ChunkError> {
        match byte {
            b'\r' => self.trailer_byte(Place::TrailerLf),
            b'\n' => Err(ChunkError::BadLineEnd),
            _ if is_text(byte) => self.trailer_byte(Place::TrailerValue),
            _ => Err(ChunkError::BadTrailer),
        }
    }

    /// Counts one byte of a trailer line.
    fn trailer_byte(&mut self, next: Place) -> Result<Place, ChunkError> {
        if self.trailer_bytes == TRAILER_BYTES_MAX {
            return Err(ChunkError::TrailerTooLarge);
        }
        self.trailer_bytes += 1;
        Ok(next)
    }
}

/// Appends the size line of a chunk of `bytes` bytes (not 0, that would end the body).
pub fn write_chunk_head(out: &mut Vec<u8>, bytes: u64) {
    debug_assert_ne!(bytes, 0, "an empty chunk is the end of the body");
    let digits = (u64::BITS - (bytes | 1).leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(bytes >> (4 * digit) & 15) as usize]);
    }
    out.extend_from_slice(b"\r\n");
}

/// A byte of a field value or an extension: no control byte but tab (RFC 9110, section 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

/// A byte of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Payload and framing of a whole body.
    #[derive(Debug, PartialEq, Eq)]
    struct Decoded {
        payload: Vec<u8>,
        consumed: usize,
    }

    /// Drives the decoder through the pieces; `None` while the body is not over.
    fn decode<'p>(
        pieces: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<Option<Decoded>, ChunkError> {
        let mut decoder = ChunkDecoder::default();
        let (mut payload, mut consumed) = (Vec::new(), 0);
        for mut piece in pieces {
            loop {
                let (framing, event) = decoder.step(piece)?;
                (piece, consumed) = (&piece[framing..], consumed + framing);
                match event {
                    Event::NeedInput => break assert!(piece.is_empty(), "all was consumed"),
                    Event::End => return Ok(Some(Decoded { payload, consumed })),
                    Event::Payload { len } => {
                        payload.extend_from_slice(&piece[..len]);
                        decoder.took(len as u64);
                        (piece, consumed) = (&piece[len..], consumed + len);
                    }
                }
            }
        }
        assert!(!decoder.is_done() && (decoder.framing_hint() > 0));
        Ok(None)
    }

    /// The same by the grammar, line by line; `Err(true)` where the input is too short to tell.
    fn naive(body: &[u8]) -> Result<Decoded, bool> {
        fn line<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8], bool> {
            let end = rest.iter().position(|&byte| byte == b'\n').ok_or(true)?;
            let line = rest[..end].strip_suffix(b"\r").ok_or(false)?;
            *rest = &rest[end + 1..];
            let text = |&byte: &u8| byte == b'\t' || !byte.is_ascii_control();
            if line.iter().all(text) { Ok(line) } else { Err(false) }
        }
        let (mut rest, mut payload) = (body, Vec::new());
        loop {
            let line = String::from_utf8_lossy(line(&mut rest)?);
            let size = line.split(';').next().unwrap_or_default();
            let size = size.trim_end_matches([' ', '\t']);
            if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(false);
            }
            let size = usize::from_str_radix(size, 16).map_err(|_| false)?;
            if size == 0 {
                break;
            }
            let end = size.checked_add(2).ok_or(true)?;
            payload.extend_from_slice(rest.get(..size).ok_or(true)?);
            if rest.get(size..end).ok_or(true)? != b"\r\n" {
                return Err(false);
            }
            rest = &rest[end..];
        }
        loop {
            let line = line(&mut rest)?;
            if line.is_empty() {
                return Ok(Decoded { payload, consumed: body.len() - rest.len() });
            }
            let colon = line.iter().position(|&byte| byte == b':').ok_or(false)?;
            if colon == 0 || !line[..colon].iter().all(|&byte| is_token(byte)) {
                return Err(false);
            }
        }
    }

    /// Both decoders agree, wherever the input is cut.
    fn agree(body: &[u8]) {
        let whole = decode([body]);
        match naive(body) {
            Ok(decoded) => assert_eq!(whole, Ok(Some(decoded))),
            Err(false) => assert!(whole.is_err(), "{whole:?}"),
            Err(true) => assert!(!matches!(whole, Ok(Some(_))), "{whole:?}"),
        }
        assert_eq!(decode(body.chunks(1)), whole, "byte by byte");
        for cut in 0..=body.len() {
            assert_eq!(decode([&body[..cut], &body[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn the_decoder_agrees_with_a_naive_one_at_every_cut() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
            b"5;a=b;c=\"\xff d\"\r\nhello\r\n1 \t;x\r\n\r\r\n000\r\nA: b\r\nC:\r\n\r\n",
            b"2\t \r\n\r\n\r\nA\r\n0123456789\r\n0 ;\r\n\r\n\r\n",
            b"5\r\nhell\r\n0\r\n\r\n",
            b"5\r\nhelloo\r\n0\r\n\r\n",
        ] {
            agree(body);
        }
    }

    proptest! {
        #[test]
        fn the_decoder_agrees_with_a_naive_one_on_noise(
            tokens in prop::collection::vec(0usize..16, 0..24)
        ) {
            let words = ["0", "1", "a", "\r\n", "\r\n", "\r\n", "0\r\n", "\r\n0\r\n\r\n", "1\r\nx",
                "2\r\n\r\n", "\r", "\n", ";", ":", " ", "\t"];
            let body: String = tokens.iter().map(|&word| words[word]).collect();
            agree(body.as_bytes());
        }
    }

    #[test]
    fn sizes_are_hexadecimal_and_below_two_to_the_63() {
        let zeros = |count| "0".repeat(count);
        for (name, digits, size) in [
            ("zero", "0".to_owned(), Ok(0)),
            ("one", "1".to_owned(), Ok(1)),
            ("mixed case", "aBcDeF".to_owned(), Ok(0xab_cdef)),
            ("2^32", "100000000".to_owned(), Ok(1 << 32)),
            ("2^63-1", "7fffffffffffffff".to_owned(), Ok(CHUNK_BYTES_MAX)),
            ("2^63", "8000000000000000".to_owned(), Err(ChunkError::SizeTooLarge)),
            ("2^64-1", "f".repeat(16), Err(ChunkError::SizeTooLarge)),
            ("2^64", format!("1{}", zeros(16)), Err(ChunkError::SizeTooLarge)),
            ("2^64+1", format!("1{}1", zeros(15)), Err(ChunkError::SizeTooLarge)),
            ("32 digits", format!("{}7{}", zeros(16), "f".repeat(15)), Ok(CHUNK_BYTES_MAX)),
            ("32 zeros", zeros(32), Ok(0)),
            ("33 zeros", zeros(33), Err(ChunkError::SizeTooLarge)),
            ("33 digits", format!("{}1", zeros(32)), Err(ChunkError::SizeTooLarge)),
        ] {
            let mut decoder = ChunkDecoder::default();
            let line = format!("{digits}\r\n");
            let found = decoder.step(line.as_bytes()).map(|(used, event)| {
                assert_eq!((used, event), (line.len(), Event::NeedInput), "{name}");
                decoder.payload_left()
            });
            assert_eq!(found, size, "{name}");
        }
    }

    #[test]
    fn sloppy_framing_is_refused() {
        for (name, body, error) in [
            ("no size", &b"\r\n"[..], ChunkError::BadSize),
            ("space before the size", b" 1\r\n", ChunkError::BadSize),
            ("a sign", b"+1\r\n", ChunkError::BadSize),
            ("a prefix", b"0x1\r\n", ChunkError::BadSize),
            ("space within the size", b"1 1\r\n", ChunkError::BadSize),
            ("no hex digit", b"1g\r\n", ChunkError::BadSize),
            ("bare LF behind the size", b"1\nx", ChunkError::BadLineEnd),
            ("bare LF behind the space", b"1 \nx", ChunkError::BadLineEnd),
            ("bare LF in the extension", b"1;a\nx", ChunkError::BadLineEnd),
            ("bare CR behind the size", b"1\rx", ChunkError::BadLineEnd),
            ("bare CR in the extension", b"1;a\rb\r\n", ChunkError::BadLineEnd),
            ("two CR", b"1\r\r\n", ChunkError::BadLineEnd),
            ("NUL in the extension", b"1;\0\r\n", ChunkError::BadExtension),
            ("DEL in the extension", b"1;\x7f\r\n", ChunkError::BadExtension),
            ("bare LF behind the payload", b"1\r\nx\n", ChunkError::BadPayloadEnd),
            ("bare CR behind the payload", b"1\r\nx\r0", ChunkError::BadPayloadEnd),
            ("too much payload", b"1\r\nxy", ChunkError::BadPayloadEnd),
            ("no colon", b"0\r\nab\r\n", ChunkError::BadTrailer),
            ("no name", b"0\r\n: b\r\n", ChunkError::BadTrailer),
            ("space before the colon", b"0\r\na : b\r\n", ChunkError::BadTrailer),
            ("a folded line", b"0\r\na: b\r\n c\r\n", ChunkError::BadTrailer),
            ("NUL in a value", b"0\r\na: \0\r\n", ChunkError::BadTrailer),
            ("bare LF in a value", b"0\r\na: b\n", ChunkError::BadLineEnd),
            ("bare CR in a value", b"0\r\na: b\rc", ChunkError::BadLineEnd),
            ("bare LF as the end", b"0\r\n\n", ChunkError::BadTrailer),
            ("bare CR as the end", b"0\r\n\rx", ChunkError::BadLineEnd),
        ] {
            assert_eq!(decode([body]), Err(error), "{name}");
            assert_eq!(decode(body.chunks(1)), Err(error), "{name}, byte by byte");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extended = |bytes: usize| format!("1{}\r\nx\r\n", ";".repeat(bytes));
        let trailers = |lines: usize, width: usize| {
            format!("0\r\n{}\r\n", format!("a:{}\r\n", "b".repeat(width - 4)).repeat(lines))
        };
        let long = Err(ChunkError::ExtensionTooLarge);
        let many = Err(ChunkError::TrailerTooLarge);
        for (name, body, end) in [
            ("256 extension bytes", extended(256) + "0\r\n\r\n", Ok(true)),
            ("257 extension bytes", extended(257) + "0\r\n\r\n", long),
            ("64 KiB of them", extended(256).repeat(256) + "0\r\n\r\n", Ok(true)),
            ("one more", extended(256).repeat(256) + "0;\r\n\r\n", long),
            ("100 lines", trailers(100, 8), Ok(true)),
            ("101 lines", trailers(101, 8), many),
            ("8 KiB of trailers", trailers(2, 4096), Ok(true)),
            ("more", trailers(2, 4097), many),
        ] {
            assert_eq!(decode([body.as_bytes()]).map(|found| found.is_some()), end, "{name}");
        }
    }

    #[test]
    fn a_decoder_that_failed_fails_for_ever() {
        let mut decoder = ChunkDecoder::default();
        assert_eq!(decoder.step(b"x"), Err(ChunkError::BadSize));
        assert_eq!(decoder.step(b"0\r\n\r\n"), Err(ChunkError::BadSize));
        assert_eq!(decoder.step(b""), Err(ChunkError::BadSize));
        assert_eq!((decoder.is_done(), decoder.payload_left()), (false, 0));
    }

    #[test]
    fn payload_may_be_taken_from_elsewhere_but_never_too_much_of_it() {
        let mut decoder = ChunkDecoder::default();
        assert_eq!(decoder.step(b"ffff\r\nabc"), Ok((6, Event::Payload { len: 3 })));
        decoder.took(3);
        assert_eq!(decoder.step(b""), Ok((0, Event::NeedInput)));
        assert_eq!(decoder.payload_left(), 0xffff - 3);
        decoder.took(0xffff - 3);
        assert_eq!(decoder.step(b"\r\n2\r\nx"), Ok((5, Event::Payload { len: 1 })));
        decoder.took(3);
        assert_eq!(decoder.step(b"x"), Err(ChunkError::TookTooMuch));
    }

    #[test]
    fn the_hint_expects_the_next_size_line_to_be_like_the_last() {
        for (name, taken, read, hint) in [
            ("nothing known", &b""[..], &b""[..], 3),
            ("a first digit", b"", b"f", 2),
            ("a first zero", b"", b"0", 3),
            ("a first line but for the LF", b"", b"fff4\r", 1),
            ("within the payload", b"", b"fff4\r\n", 8),
            ("behind the payload", b"fff4\r\n", b"", 8),
            ("a CR", b"fff4\r\n", b"\r", 7),
            ("its LF", b"fff4\r\n", b"\r\n", 6),
            ("half the digits", b"fff4\r\n", b"\r\nff", 4),
            ("all digits", b"fff4\r\n", b"\r\nfff4", 2),
            ("more digits", b"fff4\r\n", b"\r\n100000", 2),
            ("a shorter line", b"fff4\r\n", b"\r\nff\r", 1),
            ("an extension", b"fff4;ab\r\n", b"\r\nfff4", 5),
            ("a shorter first line", b"1\r\n", b"", 5),
            ("the last line but for the LF", b"fff4\r\n", b"\r\n0\r", 3),
            ("the last line", b"fff4\r\n", b"\r\n0\r\n", 2),
            ("a trailer's name", b"fff4\r\n", b"\r\n0\r\na", 5),
            ("a trailer's value", b"fff4\r\n", b"\r\n0\r\na:", 4),
            ("a trailer but for the LF", b"fff4\r\n", b"\r\n0\r\na:\r", 3),
            ("the end but for the LF", b"fff4\r\n", b"\r\n0\r\n\r", 1),
            ("the end", b"fff4\r\n", b"\r\n0\r\n\r\n", 0),
        ] {
            let mut decoder = ChunkDecoder::default();
            decoder.step(taken).unwrap();
            decoder.took(decoder.payload_left());
            decoder.step(read).unwrap();
            assert_eq!(decoder.framing_hint(), hint, "{name}");
        }
    }

    #[test]
    fn reading_by_the_hint_reads_no_payload_of_chunks_that_are_alike() {
        let body = [&b"fff4\r\n"[..], &vec![b'x'; 0xfff4], b"\r\n"].concat().repeat(3);
        let (mut decoder, mut rest) = (ChunkDecoder::default(), &body[..]);
        let mut chunks = 0;
        while !rest.is_empty() {
            let (line, more) = rest.split_at(decoder.framing_hint().min(rest.len()));
            assert_eq!(decoder.step(line), Ok((line.len(), Event::NeedInput)), "all framing");
            let payload = usize::try_from(decoder.payload_left()).unwrap();
            decoder.took(decoder.payload_left());
            (rest, chunks) = (&more[payload..], chunks + usize::from(payload > 0));
        }
        assert_eq!(chunks, 3);
    }

    #[test]
    fn a_written_chunk_head_is_the_shortest_and_reads_back() {
        for bytes in [1, 9, 10, 15, 16, 255, 256, 0xfff4, 1 << 32, CHUNK_BYTES_MAX] {
            let mut out = b"before".to_vec();
            write_chunk_head(&mut out, bytes);
            assert_eq!(out, format!("before{bytes:x}\r\n").into_bytes());
            let mut decoder = ChunkDecoder::default();
            assert_eq!(decoder.step(&out[6..]), Ok((out.len() - 6, Event::NeedInput)));
            assert_eq!(decoder.payload_left(), bytes);
        }
    }
}
