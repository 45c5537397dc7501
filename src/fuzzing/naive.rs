//! A slow line-based reader of chunked bodies, for comparison with the decoder. It was written from
//! RFC 9112, section 7.1 and the limits alone.

use crate::http::chunked::{
    EXTENSION_BYTES_MAX, EXTENSIONS_BYTES_MAX, SIZE_DIGITS_MAX, TRAILER_BYTES_MAX,
    TRAILER_LINES_MAX,
};
use crate::http::fields::is_token;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At this offset from its start.
    Complete(usize),
    /// Beyond the available bytes.
    Open,
    /// Nowhere: it is malformed.
    Broken,
    /// Nowhere: a chunk exceeds the maximum length of the body.
    TooLarge,
}

/// The decoded contents of a body, as far as available.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) payload: Vec<u8>,
    pub(super) end: End,
}

/// Why a line could not be read: incomplete or malformed.
type Stop = End;

/// Decodes a chunked body.
pub(super) fn decode_chunks(body: &[u8]) -> Decoded {
    decode_chunks_at_most(body, u64::MAX)
}

/// Decodes a chunked body of at most `most` bytes.
pub(super) fn decode_chunks_at_most(body: &[u8], most: u64) -> Decoded {
    let mut payload = Vec::new();
    let read = chunks(body, most, &mut payload);
    let end = read.map_or_else(|stop| stop, |read| End::Complete(body.len() - read.after.len()));
    Decoded { payload, end }
}

/// Returns the digest in the trailers of a complete chunked body: the lines of that name, joined,
/// if they are a dictionary of 1 to 512 bytes.
pub(super) fn digest_of_chunks(body: &[u8]) -> Option<String> {
    let lines = chunks(body, u64::MAX, &mut Vec::new()).ok()?.trailers.split(|&byte| byte == b'\n');
    let fields =
        lines.filter_map(|line| line.split_at_checked(line.iter().position(|&b| b == b':')?));
    let ours = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"repr-digest"));
    let words = |(_, value): (&[u8], &[u8])| -> Option<String> {
        let words = str::from_utf8(&value[1..]).ok()?.split([' ', '\t', '\r']);
        Some(words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
    };
    let mut values: Vec<String> = ours.map(words).collect::<Option<_>>()?;
    values.retain(|value| !value.is_empty());
    let value = values.join(", ");
    let read = sfv::Parser::new(&value).parse::<sfv::Dictionary>().ok()?;
    (value.len() <= 512 && !read.is_empty()).then_some(value)
}

/// Decodes a body of known length.
pub(super) fn decode_length(body: &[u8], length: usize) -> Decoded {
    let complete = body.get(..length);
    Decoded {
        payload: complete.unwrap_or(body).to_vec(),
        end: if complete.is_some() { End::Complete(length) } else { End::Open },
    }
}

/// The bytes after the payload of a complete body.
struct Read<'b> {
    /// The trailer lines and the empty line.
    trailers: &'b [u8],
    /// The bytes after the body.
    after: &'b [u8],
}

fn chunks<'b>(body: &'b [u8], most: u64, payload: &mut Vec<u8>) -> Result<Read<'b>, Stop> {
    let (mut rest, mut extensions) = (body, 0);
    loop {
        let (size, extension, after) = size_line(rest)?;
        extensions += extension;
        if extensions > EXTENSIONS_BYTES_MAX as usize {
            return Err(End::Broken);
        }
        rest = after;
        if size == 0 {
            break;
        }
        if size > most - payload.len() as u64 {
            return Err(End::TooLarge);
        }
        let there = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        payload.extend_from_slice(&rest[..there]);
        rest =
            line_end(if (there as u64) < size { return Err(End::Open) } else { &rest[there..] })?;
    }
    let after = trailers(rest)?;
    Ok(Read { trailers: &rest[..rest.len() - after.len()], after })
}

/// Returns the size, the length of the extension, and the bytes after the line.
fn size_line(text: &[u8]) -> Result<(u64, usize, &[u8]), Stop> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > usize::from(SIZE_DIGITS_MAX) {
        return Err(End::Broken);
    }
    let size = str::from_utf8(&text[..digits]).map_err(|_| End::Broken)?;
    let size = u128::from_str_radix(size, 16).unwrap_or(0);
    let size = i64::try_from(size).map_err(|_| End::Broken)?.unsigned_abs();
    if digits == 0 {
        return Err(if text.is_empty() { End::Open } else { End::Broken });
    }
    let (extension, after) = until_cr(&text[digits..]);
    if extension.len() > usize::from(EXTENSION_BYTES_MAX) {
        return Err(End::Broken);
    }
    match extensions(extension) {
        Ok(()) => Ok((size, extension.len(), line_end(after)?)),
        Err(End::Open) if after.is_empty() => Err(End::Open),
        Err(_) => Err(End::Broken),
    }
}

/// Parses the extensions of a size line; returns `Open` where more bytes could complete them.
fn extensions(text: &[u8]) -> Result<(), Stop> {
    let mut rest = text;
    while !rest.is_empty() {
        rest = after(unblanked(rest), b';')?;
        let (name, after) = word(unblanked(rest))?;
        debug_assert!(is_token(name), "a word is a token");
        rest = after;
        if let Some(value) = unblanked(after).strip_prefix(b"=") {
            rest = match unblanked(value) {
                [b'"', quoted @ ..] => unquoted(quoted)?,
                value => word(value)?.1,
            };
        }
    }
    Ok(())
}

fn unblanked(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| b" \t".contains(byte)).count();
    &text[blanks..]
}

fn after(text: &[u8], byte: u8) -> Result<&[u8], Stop> {
    match text {
        [first, rest @ ..] if *first == byte => Ok(rest),
        [] => Err(End::Open),
        _ => Err(End::Broken),
    }
}

/// Returns a token and the bytes after it.
fn word(text: &[u8]) -> Result<(&[u8], &[u8]), Stop> {
    let bytes = text.iter().take_while(|&&byte| is_token(&[byte])).count();
    let none = if text.is_empty() { End::Open } else { End::Broken };
    if bytes > 0 { Ok(text.split_at(bytes)) } else { Err(none) }
}

/// Returns the bytes after the closing quote.
fn unquoted(text: &[u8]) -> Result<&[u8], Stop> {
    let mut rest = text;
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Ok(after),
            [] | [b'\\'] => return Err(End::Open),
            [b'\\', byte, after @ ..] | [byte, after @ ..] if is_text(*byte) => after,
            _ => return Err(End::Broken),
        };
    }
}

/// Returns the bytes after the trailer lines and the final empty line.
fn trailers(text: &[u8]) -> Result<&[u8], Stop> {
    let mut rest = text;
    for line in 0.. {
        if rest.is_empty() || rest[0] == b'\r' {
            break;
        }
        let bytes = |after: &[u8]| text.len() - after.len();
        let too_many = line == TRAILER_LINES_MAX;
        let name = rest.iter().position(|&byte| byte == b':').unwrap_or(rest.len());
        let (value, after) = until_cr(rest.get(name + 1..).unwrap_or_default());
        let named = &rest[..name];
        let complete = line_end(after);
        let used = complete.map_or(if complete == Err(End::Open) { text.len() } else { 0 }, bytes);
        if too_many
            || !is_token(named)
            || !value.iter().copied().all(is_text)
            || used > usize::from(TRAILER_BYTES_MAX)
        {
            return Err(End::Broken);
        }
        rest = complete?;
    }
    line_end(rest)
}

/// Splits at the first CR, which belongs to the second part.
fn until_cr(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|&byte| byte == b'\r').unwrap_or(text.len()))
}

/// Returns the bytes after a line end.
fn line_end(text: &[u8]) -> Result<&[u8], Stop> {
    match text.strip_prefix(b"\r\n") {
        Some(after) => Ok(after),
        None if text.is_empty() || text == b"\r" => Err(End::Open),
        None => Err(End::Broken),
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}
