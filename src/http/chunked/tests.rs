//! Tests of the chunk decoder.

use super::*;
use crate::http::fields::{is_token, is_token_byte};
use proptest::prelude::*;

/// The payload of a complete body, and its length with framing.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    payload: Vec<u8>,
    consumed: usize,
}

/// Decodes the pieces; `None` while the body is incomplete.
fn decode<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<Option<Decoded>, ChunkError> {
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

/// Decodes line by line, following the grammar; `Err(true)` where the input is too short to decide.
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
        let size = line.trim_start_matches(|char: char| char.is_ascii_hexdigit());
        let (size, extensions) = line.split_at(line.len() - size.len());
        if !are_extensions(extensions) {
            return Err(false);
        }
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
        if colon == 0 || !line[..colon].iter().all(|&byte| is_token_byte(byte)) {
            return Err(false);
        }
    }
}

/// Checks the grammar of RFC 9112, section 7.1.1, from the end, removing one extension at a time.
fn are_extensions(text: &str) -> bool {
    let is_name = |text: &str| is_token(text.as_bytes());
    let blank = [' ', '\t'];
    text.is_empty()
        || text.rmatch_indices(';').any(|(at, _)| {
            let last = text[at + 1..].trim_start_matches(blank);
            let good = match last.split_once('=') {
                None => is_name(last),
                Some((name, value)) => {
                    let value = value.trim_start_matches(blank);
                    is_name(name.trim_end_matches(blank)) && (is_name(value) || is_quoted(value))
                }
            };
            good && are_extensions(text[..at].trim_end_matches(blank))
        })
}

fn is_quoted(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let mut chars = inner.unwrap_or("\"").chars();
    while let Some(char) = chars.next() {
        if char == '"' || char == '\\' && chars.next().is_none() {
            return false;
        }
    }
    true
}

/// Checks that both decoders agree, wherever the input is cut.
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
fn the_decoder_agrees_with_a_naive_one_at_every_split() {
    for body in [
        &b"0\r\n\r\n"[..],
        b"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
        b"5;a=b;c=\"\xff d\"\r\nhello\r\n1 \t;x\r\n\r\r\n000\r\nA: b\r\nC:\r\n\r\n",
        b"2\t ;a = b ; c\r\n\r\n\r\nA\r\n0123456789\r\n0 ;a\r\n\r\n\r\n",
        b"2 \r\n\r\n\r\n0\r\n\r\n",
        b"2\r\n\r\n\r\n0;\r\n\r\n",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"5\r\nhelloo\r\n0\r\n\r\n",
    ] {
        agree(body);
    }
}

proptest! {
    #[test]
    fn the_decoder_agrees_with_a_naive_one_on_noise(
        tokens in prop::collection::vec(0usize..19, 0..24)
    ) {
        let words = ["0", "1", "a", "\r\n", "\r\n", "\r\n", "0\r\n", "\r\n0\r\n\r\n", "1\r\nx",
            "2\r\n\r\n", "\r", "\n", ";", ":", " ", "\t", ";a", "=", "\""];
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
fn lenient_framing_is_refused() {
    for (name, body, error) in [
        ("no size", &b"\r\n"[..], ChunkError::BadSize),
        ("space before the size", b" 1\r\n", ChunkError::BadSize),
        ("a sign", b"+1\r\n", ChunkError::BadSize),
        ("a prefix", b"0x1\r\n", ChunkError::BadSize),
        ("space within the size", b"1 1\r\n", ChunkError::BadExtension),
        ("no hex digit", b"1g\r\n", ChunkError::BadSize),
        ("bare LF after the size", b"1\nx", ChunkError::BadLineEnd),
        ("bare LF after the space", b"1 \nx", ChunkError::BadLineEnd),
        ("space without an extension", b"1 \r\nx", ChunkError::BadExtension),
        ("a tab without one, at the last chunk", b"0\t\r\n\r\n", ChunkError::BadExtension),
        ("an extension without a name", b"1;\r\nx", ChunkError::BadExtension),
        ("a value without a name", b"1;=a\r\nx", ChunkError::BadExtension),
        ("open quotes", b"1;a=\"\r\nx", ChunkError::BadExtension),
        ("quotes that close in the payload", b"1;a=\"\r\n\"\r\n", ChunkError::BadExtension),
        ("bare LF in the extension", b"1;a\nx", ChunkError::BadLineEnd),
        ("bare CR after the size", b"1\rx", ChunkError::BadLineEnd),
        ("bare CR in the extension", b"1;a\rb\r\n", ChunkError::BadLineEnd),
        ("two CR", b"1\r\r\n", ChunkError::BadLineEnd),
        ("NUL in the extension", b"1;\0\r\n", ChunkError::BadExtension),
        ("DEL in the extension", b"1;\x7f\r\n", ChunkError::BadExtension),
        ("bare LF after the payload", b"1\r\nx\n", ChunkError::BadPayloadEnd),
        ("bare CR after the payload", b"1\r\nx\r0", ChunkError::BadPayloadEnd),
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
    let extended = |bytes: usize| format!("1;{}\r\nx\r\n", "a".repeat(bytes - 1));
    let trailers = |lines: usize, width: usize| {
        format!("0\r\n{}\r\n", format!("a:{}\r\n", "b".repeat(width - 4)).repeat(lines))
    };
    let long = Err(ChunkError::ExtensionTooLarge);
    let many = Err(ChunkError::TrailerTooLarge);
    for (name, body, end) in [
        ("256 extension bytes", extended(256) + "0\r\n\r\n", Ok(true)),
        ("257 extension bytes", extended(257) + "0\r\n\r\n", long),
        ("64 KiB of them", extended(256).repeat(256) + "0\r\n\r\n", Ok(true)),
        ("one more", extended(256).repeat(256) + "0;a\r\n\r\n", long),
        ("100 lines", trailers(100, 8), Ok(true)),
        ("101 lines", trailers(101, 8), many),
        ("8 KiB of trailers", trailers(2, 4096), Ok(true)),
        ("more", trailers(2, 4097), many),
    ] {
        assert_eq!(decode([body.as_bytes()]).map(|found| found.is_some()), end, "{name}");
    }
}

#[test]
fn a_failed_decoder_keeps_failing() {
    let mut decoder = ChunkDecoder::default();
    assert_eq!(decoder.step(b"x"), Err(ChunkError::BadSize));
    assert_eq!(decoder.step(b"0\r\n\r\n"), Err(ChunkError::BadSize));
    assert_eq!(decoder.step(b""), Err(ChunkError::BadSize));
    assert_eq!((decoder.is_done(), decoder.payload_left()), (false, 0));
}

#[test]
fn payload_may_be_read_elsewhere_but_not_beyond_the_chunk() {
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
        ("after the payload", b"fff4\r\n", b"", 8),
        ("a CR", b"fff4\r\n", b"\r", 7),
        ("its LF", b"fff4\r\n", b"\r\n", 6),
        ("half the digits", b"fff4\r\n", b"\r\nff", 4),
        ("all digits", b"fff4\r\n", b"\r\nfff4", 2),
        ("more digits", b"fff4\r\n", b"\r\n100000", 2),
        ("a shorter line", b"fff4\r\n", b"\r\nff\r", 1),
        ("an extension", b"fff4;ab\r\n", b"\r\nfff4", 5),
        ("a longer name", b"fff4\r\n", b"\r\nfff4;abc", 2),
        ("no name yet", b"fff4\r\n", b"\r\nfff4;", 3),
        ("open quotes at the last line", b"fff4\r\n", b"\r\n0;ab=\"", 5),
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
fn reads_of_the_hinted_size_contain_no_payload_of_equal_chunks() {
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

#[test]
fn bytes_are_framed_as_one_chunk_or_not_at_all() {
    for (name, bytes, chunked, out, framing) in [
        ("a chunk", &b"0123456789abcdef"[..], true, &b"10\r\n0123456789abcdef\r\n"[..], 6),
        ("as they are", b"xy", false, b"xy", 0),
        ("none are no last chunk", b"", true, b"", 0),
    ] {
        let mut written = Vec::new();
        assert_eq!(write_framed(&mut written, bytes, chunked), framing, "{name}");
        assert_eq!(written, out, "{name}");
    }
}
