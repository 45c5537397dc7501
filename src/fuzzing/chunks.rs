//! The chunk decoder against the naive one: at once, byte by byte, cut anywhere, and with payload
//! that goes another way.

use super::choices::Choices;
use super::naive::{self, Decoded, End};
use crate::http::body::BodyDecoder;
use crate::http::chunked::{ChunkDecoder, Event};
use crate::http::framing::Framing;

/// What a script of words is made of; noise alone seldom gets behind the first line.
const WORDS: [&[u8]; 25] = [
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
    b"\x80",
];

/// The longest body that is cut at every byte.
const CUT_EVERYWHERE_BYTES: usize = 200;

/// A chunked body: words, then noise.
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
    check(&expected, &decode_whole(&body), "as a body");
}

fn check(expected: &Decoded, found: &Decoded, how: &str) {
    assert_eq!(expected, found, "{how}");
}

/// Through the decoder, piece by piece.
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

/// The framing read as far as the hint says, the payload never shown to the decoder.
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

/// All of it as one body.
fn decode_whole(body: &[u8]) -> Decoded {
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
