//! The chunk decoder against the naive one: in one piece, byte by byte, split anywhere, and with
//! payload that bypasses the decoder. The digest in the trailers does not depend on the split.

use super::choices::Choices;
use super::naive::{self, Decoded, End};
use crate::http::body::BodyDecoder;
use crate::http::chunked::{ChunkDecoder, Event};
use crate::http::framing::Framing;

/// Words that scripts are made of; noise alone seldom gets past the first line.
const WORDS: [&[u8]; 29] = [
    b"0",
    b"1",
    b"2",
    b"a",
    b"F",
    b"10",
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"\r",
    b"\n",
    b";",
    b" ",
    b"\t",
    b":",
    b"a: b\r\n",
    b"1\r\nx\r\n",
    b"3\r\nabc\r\n",
    b"2;e=\"v\"\r\n\r\n\r\n",
    b"7fffffffffffffff",
    b"8000000000000000",
    b"00000000",
    b";e",
    b"=",
    b"\"",
    b"\\",
    b"\x80",
];

/// Trailer lines to append to a complete body.
const TRAILERS: [&[u8]; 8] = [
    b"Repr-Digest: sha-256=:AA==:\r\n",
    b"A: b\r\n",
    b"repr-digest:\t x \t\r\n",
    b"Repr-Digest: two, words\r\n",
    b"Repr-Digest:\r\n",
    b"Repr-Digests: x\r\n",
    b"Repr-: x\r\n",
    b"R: Repr-Digest: x\r\n",
];

/// Longest body that is split at every byte.
const CUT_EVERYWHERE_BYTES: usize = 200;

/// Fuzzes a chunked body: words, then noise.
pub fn chunks(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut body = Vec::new();
    for _ in 0..choices.below(32) {
        let word = choices.pick(&WORDS);
        let times = if choices.one_in(16) { choices.below(300) } else { 1 };
        body.extend(word.repeat(times));
    }
    let (cut, stride) = (choices.byte(), choices.byte());
    body.extend_from_slice(choices.rest());

    let expected = naive::decode_chunks(&body);
    check(&expected, &decode([&body[..]]), "at once");
    check(&expected, &decode(body.chunks(1)), "byte by byte");
    check(&expected, &decode(body.chunks(1 + usize::from(stride))), "in strides");
    let cuts = if body.len() <= CUT_EVERYWHERE_BYTES {
        0..=body.len()
    } else {
        let at = usize::from(cut).min(body.len());
        at..=at
    };
    for at in cuts {
        check(&expected, &decode([&body[..at], &body[at..]]), "cut in two");
    }
    check(&expected, &decode_aside(&body), "payload taken another way");
    check(&expected, &decode_at_once(&body), "as a body");
    check_digest(&body, usize::from(stride));
    if let End::Complete(end) = expected.end {
        body.truncate(end - 2);
        body.extend(trailers(cut, stride));
        body.extend(b"\r\n");
        check_digest(&body, usize::from(stride));
    }
}

/// Returns some of the lines, sometimes followed by one with a value near the maximum length.
fn trailers(wanted: u8, length: u8) -> Vec<u8> {
    let lines = TRAILERS.iter().enumerate().filter(|(place, _)| wanted >> place & 1 == 1);
    let mut trailers = lines.flat_map(|(_, line)| line.iter().copied()).collect::<Vec<u8>>();
    if length < 3 {
        let value = "x".repeat(511 + usize::from(length));
        trailers.extend(format!("Repr-Digest:{value}\r\n").bytes());
    }
    trailers
}

/// Checks the digest against the naive reader's: in one piece, byte by byte, in strides, and split
/// in two near the end.
fn check_digest(body: &[u8], stride: usize) {
    let expected = naive::digest_of_chunks(body);
    let expected = expected.as_deref();
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    for size in [body.len().max(1), 1, 1 + stride] {
        let found = digest(decoder.clone(), body.chunks(size));
        assert_eq!(found.as_deref(), expected, "{size} bytes at a time");
    }
    let (front, tail) = body.split_at(body.len().saturating_sub(CUT_EVERYWHERE_BYTES));
    // A body that is refused here is refused again after every split.
    let _ = decoder.received(front, &mut Vec::new());
    for at in 0..=tail.len() {
        let (one, other) = tail.split_at(at);
        assert_eq!(digest(decoder.clone(), [one, other]).as_deref(), expected, "cut in two");
    }
}

/// Returns the digest of a body after these remaining pieces, if it is complete then.
fn digest<'p>(
    mut decoder: BodyDecoder,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Option<String> {
    for piece in pieces {
        decoder.received(piece, &mut Vec::new()).ok()?;
    }
    let digest = decoder.digest().filter(|_| decoder.is_over());
    digest.map(|digest| digest.as_str().to_owned())
}

fn check(expected: &Decoded, found: &Decoded, how: &str) {
    assert_eq!(expected, found, "{how}");
}

/// Decodes piece by piece.
fn decode<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Decoded {
    let mut decoder = ChunkDecoder::default();
    let (mut payload, mut consumed) = (Vec::new(), 0);
    for mut piece in pieces {
        loop {
            let Ok((framing, event)) = decoder.step(piece) else {
                assert!(decoder.step(b"0\r\n\r\n").is_err(), "an error is final");
                return Decoded { payload, end: End::Broken };
            };
            (piece, consumed) = (&piece[framing..], consumed + framing);
            match event {
                Event::NeedInput => break assert!(piece.is_empty(), "all is consumed"),
                Event::End => return Decoded { payload, end: End::Complete(consumed) },
                Event::Payload { len } => {
                    payload.extend_from_slice(&piece[..len]);
                    decoder.took(len as u64);
                    (piece, consumed) = (&piece[len..], consumed + len);
                }
            }
        }
        assert!(!decoder.is_done() && decoder.framing_hint() > 0, "there is more to come");
    }
    Decoded { payload, end: End::Open }
}

/// Decodes only the framing, as far as the hint allows; the payload bypasses the decoder.
fn decode_aside(body: &[u8]) -> Decoded {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut payload, mut at) = (Vec::new(), 0);
    while !decoder.is_over() && at < body.len() {
        let left = usize::try_from(decoder.payload_left()).unwrap_or(usize::MAX);
        let there = left.min(body.len() - at);
        payload.extend_from_slice(&body[at..at + there]);
        decoder.took(there);
        at += there;
        let hint = decoder.framing_hint().min(body.len() - at);
        let mut pieces = Vec::new();
        let used = decoder.received(&body[at..at + hint], &mut pieces);
        payload.extend(pieces.into_iter().flat_map(|piece| &body[at..][piece]));
        match used {
            Ok(used) => at += used,
            Err(_) => return Decoded { payload, end: End::Broken },
        }
    }
    let end = if decoder.is_over() { End::Complete(at) } else { End::Open };
    Decoded { payload, end }
}

/// Decodes everything as one body.
fn decode_at_once(body: &[u8]) -> Decoded {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let mut pieces = Vec::new();
    let used = decoder.received(body, &mut pieces);
    let payload = pieces.into_iter().flat_map(|piece| body[piece].iter().copied()).collect();
    let end = match used {
        Ok(used) if decoder.is_over() => End::Complete(used),
        Ok(used) => {
            assert_eq!(used, body.len(), "all of an open body belongs to it");
            End::Open
        }
        Err(_) => End::Broken,
    };
    Decoded { payload, end }
}
