use super::*;

/// Maximum message size in these tests, in bytes.
const MAX: usize = 64 << 10;

/// The mask of the example in RFC 6455, section 5.7.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[test]
fn the_examples_of_the_rfc_are_decoded() {
    let hello = || Message::Text("Hello".into());
    let mut of_256 = vec![0x82, 0x7e, 0x01, 0x00];
    of_256.extend([7; 256]);
    let mut of_64_kib = vec![0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0];
    of_64_kib.extend(vec![7; 64 << 10]);
    for (name, end, frames, messages) in [
        ("unmasked text", Endpoint::Dialled, b"\x81\x05Hello".to_vec(), vec![hello()]),
        (
            "masked text",
            Endpoint::Accepted,
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
            vec![hello()],
        ),
        ("in fragments", Endpoint::Dialled, b"\x01\x03Hel\x80\x02lo".to_vec(), vec![hello()]),
        (
            "a ping",
            Endpoint::Dialled,
            b"\x89\x05Hello".to_vec(),
            vec![Message::Ping(Bytes::from_static(b"Hello"))],
        ),
        (
            "a masked pong",
            Endpoint::Accepted,
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
            vec![Message::Pong(Bytes::from_static(b"Hello"))],
        ),
        ("256 bytes", Endpoint::Dialled, of_256, vec![Message::Binary(vec![7; 256].into())]),
        ("64 KiB", Endpoint::Dialled, of_64_kib, vec![Message::Binary(vec![7; 64 << 10].into())]),
    ] {
        for piece in [1, 3, usize::MAX] {
            let (codec, found) = decode_new(end, &frames, piece);
            assert_eq!(found, messages, "{name}, {piece} bytes at a time");
            assert_eq!(codec.protocol_error(), None, "{name}");
            assert!(codec.context.is_none(), "{name}: nothing is kept between messages");
        }
    }
}

#[test]
fn protocol_violations_are_answered_with_their_close_code() {
    use Endpoint::{Accepted, Dialled};
    let big = u8::try_from(MAX >> 16).unwrap();
    for (name, end, frames, code) in [
        ("a reserved bit", Dialled, &b"\xc1\x01a"[..], 1002),
        ("another reserved bit", Dialled, b"\x92\x01a", 1002),
        ("reserved opcode 3", Dialled, b"\x83\x00", 1002),
        ("reserved opcode 11", Dialled, b"\x8b\x00", 1002),
        ("a masked frame of an accepting end", Dialled, b"\x81\x81\x00\x00\x00\x00a", 1002),
        ("an unmasked frame of a dialling end", Accepted, b"\x81\x01a", 1002),
        ("a ping in fragments", Dialled, b"\x09\x01a", 1002),
        ("a continuation of nothing", Dialled, b"\x80\x01a", 1002),
        ("a message within a message", Dialled, b"\x01\x01a\x81\x01b", 1002),
        ("a length of 125 in two bytes", Dialled, b"\x82\x7e\x00\x7d", 1002),
        ("a length of 65535 in eight bytes", Dialled, b"\x82\x7f\0\0\0\0\0\0\xff\xff", 1002),
        ("a close frame of one byte", Dialled, b"\x88\x01\x03", 1002),
        ("a byte that no text has", Dialled, b"\x81\x02a\xff", 1007),
        ("text that ends within a character", Dialled, b"\x81\x02a\xc3", 1007),
        ("a bad byte in the second fragment", Dialled, b"\x01\x02a\xc3\x80\x01a", 1007),
        ("a surrogate", Dialled, b"\x81\x03\xed\xa0\x80", 1007),
        ("a reason that is no text", Dialled, b"\x88\x03\x03\xe8\xff", 1007),
        ("a frame of one byte too many", Dialled, &[0x82, 0x7f, 0, 0, 0, 0, 0, big, 0, 1], 1009),
        ("a length of 2^63", Dialled, b"\x82\x7f\x80\0\0\0\0\0\0\0", 1009),
    ] {
        for piece in [1, 3, usize::MAX] {
            let mut codec = Codec::new(end, MAX);
            // Messages received before the error are still returned.
            let before: &[u8] = match end {
                Dialled => b"\x89\x00",
                Accepted => b"\x89\x80\x00\x00\x00\x00",
            };
            let found = feed(&mut codec, &[before, frames].concat(), piece);
            assert_eq!(found, [Message::Ping(Bytes::new())], "{name}");
            let broken = codec.protocol_error().expect(name);
            assert_eq!(broken.code, code, "{name}: {}", broken.what);
            let what = broken.what.clone();
            assert!(codec.is_over(), "{name}");
            let sent = messages_to_peer(&mut codec);
            let close = Message::Close(Some((code, what)));
            assert_eq!(sent, [Message::Pong(Bytes::new()), close], "{name}");
            assert_eq!(feed(&mut codec, b"\x81\x01a", 1), [], "{name}: nothing more is heard");
        }
    }
}

#[test]
fn control_frames_may_be_interleaved_with_fragments() {
    let frames = b"\x01\x03Hel\x89\x02hi\x00\x00\x8a\x00\x80\x02lo";
    let (mut codec, found) = decode_new(Endpoint::Dialled, frames, 2);
    let text = Message::Text("Hello".into());
    let ping = Message::Ping(Bytes::from_static(b"hi"));
    assert_eq!(found, [ping, Message::Pong(Bytes::new()), text]);
    assert_eq!(messages_to_peer(&mut codec), [Message::Pong(Bytes::from_static(b"hi"))]);
}

#[test]
fn a_character_may_be_split_between_fragments() {
    let (_, found) = decode_new(Endpoint::Dialled, b"\x01\x02a\xc3\x80\x02\xa9b", 1);
    assert_eq!(found, [Message::Text("aéb".into())]);
}

#[test]
fn the_bound_counts_the_fragments_of_a_message_together() {
    let half = vec![7; MAX / 2];
    let first = unmasked(0x02, &half);
    for (name, last, over) in [("just the bound", 0, false), ("one byte more", 1, true)] {
        let last = unmasked(0x80, &vec![7; MAX / 2 + last]);
        let (codec, found) = decode_new(Endpoint::Dialled, &[first.clone(), last].concat(), 1000);
        assert_eq!(found.is_empty(), over, "{name}");
        assert_eq!(
            codec.protocol_error().map(|broken| broken.code),
            over.then_some(1009),
            "{name}"
        );
    }
}

#[test]
fn each_end_reads_what_the_other_sends() {
    for bytes in [0, 1, 125, 126, 65535, MAX] {
        for (name, from, to) in [
            ("to the relay", Endpoint::Dialled, Endpoint::Accepted),
            ("from the relay", Endpoint::Accepted, Endpoint::Dialled),
        ] {
            let (mut from, mut to) = (Codec::new(from, MAX), Codec::new(to, MAX));
            let text = "é".repeat(bytes / 2);
            from.text(&text);
            from.binary(vec![7; bytes]);
            from.ping(&vec![7; bytes]);
            let sent = std::mem::take(from.output());
            let ping = vec![7; bytes.min(125)];
            let expected = [
                Message::Text(text.into()),
                Message::Binary(vec![7; bytes].into()),
                Message::Ping(ping.clone().into()),
            ];
            assert_eq!(feed(&mut to, &sent, 777), expected, "{name}, {bytes} bytes");
            let answer = std::mem::take(to.output());
            assert_eq!(feed(&mut from, &answer, 1), [Message::Pong(ping.into())], "{name}");
        }
    }
}

#[test]
fn a_connection_closes_from_either_end() {
    for (name, closing, other) in [
        ("the end that dialled", Endpoint::Dialled, Endpoint::Accepted),
        ("the end that accepted", Endpoint::Accepted, Endpoint::Dialled),
    ] {
        let (mut closing, mut other) = (Codec::new(closing, MAX), Codec::new(other, MAX));
        closing.close(1001, "that is all");
        closing.close(1000, "again");
        closing.text("too late");
        assert!(!closing.is_over(), "{name} waits for the answer");
        other.text("on its way");
        let sent = std::mem::take(other.output());
        assert_eq!(feed(&mut closing, &sent, 1), [Message::Text("on its way".into())], "{name}");

        let sent = std::mem::take(closing.output());
        let close = Message::Close(Some((1001, "that is all".to_owned())));
        assert_eq!(feed(&mut other, &sent, 1), std::slice::from_ref(&close), "{name}");
        assert!(other.is_over(), "{name}");
        other.text("too late");
        let sent = std::mem::take(other.output());
        assert_eq!(feed(&mut closing, &[&sent[..], b"noise"].concat(), 1), [close], "{name}");
        assert!(closing.is_over() && closing.output().is_empty(), "{name}");
        assert_eq!((closing.protocol_error(), other.protocol_error()), (None, None), "{name}");
    }
}

#[test]
fn a_close_frame_without_a_code_is_echoed() {
    let (mut codec, found) = decode_new(Endpoint::Accepted, &masked(0x88, b""), 1);
    assert_eq!(found, [Message::Close(None)]);
    assert_eq!(codec.output(), b"\x88\x00");
    assert!(codec.is_over());
}

#[test]
fn a_code_that_must_not_be_sent_is_answered_with_1002() {
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000] {
        let (mut codec, _) = decode_new(Endpoint::Accepted, &masked(0x88, &code.to_be_bytes()), 1);
        assert_eq!(codec.output()[2..4], 1002_u16.to_be_bytes(), "{code}");
        assert!(codec.is_over(), "{code}");
    }
}

#[test]
fn a_long_reason_is_truncated_at_a_character_boundary() {
    let mut codec = Codec::new(Endpoint::Accepted, MAX);
    codec.close(1000, &format!("{}é", "a".repeat(122)));
    let expected = Message::Close(Some((1000, "a".repeat(122))));
    assert_eq!(messages_to_peer(&mut codec), [expected]);
}

#[test]
fn messages_received_before_the_disconnect_are_still_read() {
    let mut codec = Codec::new(Endpoint::Dialled, MAX);
    codec.received(b"\x81\x01a\x81\x02b");
    codec.eof();
    assert!(codec.is_over());
    assert_eq!(codec.next(), Some(Message::Text("a".into())));
    assert_eq!(codec.next(), None);
    assert_eq!(codec.protocol_error(), None);
}

#[test]
fn an_idle_codec_keeps_no_memory() {
    for (name, rest) in [("between frames", &b""[..]), ("within a header", b"\x82\x7e\x01")] {
        let mut codec = Codec::new(Endpoint::Dialled, MAX);
        assert!(codec.context.is_none(), "nothing before the first byte");
        let frame = unmasked(0x82, &vec![7; MAX]);
        let found = feed(&mut codec, &[&frame[..], rest].concat(), 16 << 10);
        assert_eq!(found, [Message::Binary(vec![7; MAX].into())], "{name}");
        codec.binary(vec![7; MAX]);
        codec.output().clear();
        assert_eq!(codec.output().capacity(), 0, "{name}");
        assert!(codec.context.is_none(), "{name}");
        assert!(codec.input_bytes() <= rest.len().max(8) && rest.len() < 14, "{name}");
    }
}

#[test]
fn fragments_of_one_byte_cost_no_more_than_their_bytes() {
    let mut codec = Codec::new(Endpoint::Dialled, MAX);
    let mut frames = unmasked(0x02, b"");
    for _ in 0..MAX {
        frames.extend(unmasked(0x00, b"x"));
    }
    let mut held = 0;
    for piece in frames.chunks(4096) {
        codec.received(piece);
        assert_eq!(codec.next(), None);
        held = held.max(codec.input_bytes());
    }
    assert!(held <= 16, "only a header may be left: {held} bytes");
    codec.received(&unmasked(0x00, b"x"));
    assert_eq!(codec.next(), None);
    assert_eq!(codec.protocol_error().map(|broken| broken.code), Some(1009), "one too many");
}

#[test]
fn a_flood_of_pings_gets_few_pongs_including_the_last() {
    let mut codec = Codec::new(Endpoint::Accepted, MAX);
    for number in 0..100_000_u32 {
        codec.received(&masked(0x89, &number.to_be_bytes()));
        assert_eq!(codec.next(), Some(Message::Ping(number.to_be_bytes().to_vec().into())));
    }
    let pong = |number: u32| Message::Pong(number.to_be_bytes().to_vec().into());
    let first: Vec<_> = (0..32).map(pong).collect();
    assert_eq!(messages_to_peer(&mut codec), first, "as many as may wait");
    assert_eq!(messages_to_peer(&mut codec), [pong(99_999)], "then the newest");
    assert_eq!(messages_to_peer(&mut codec), []);
    codec.received(&masked(0x89, &7_u32.to_be_bytes()));
    assert!(codec.next().is_some());
    assert_eq!(messages_to_peer(&mut codec), [pong(7)], "then as before");
}

#[test]
fn no_pong_follows_a_close_frame() {
    let mut codec = Codec::new(Endpoint::Accepted, MAX);
    for _ in 0..40 {
        codec.received(&masked(0x89, b""));
        assert!(codec.next().is_some());
    }
    codec.close(1000, "");
    codec.received(&masked(0x89, b""));
    assert!(codec.next().is_some());
    let sent = messages_to_peer(&mut codec);
    assert_eq!(sent.last(), Some(&Message::Close(Some((1000, String::new())))));
    assert!(codec.output().is_empty());
}

#[test]
fn a_caller_may_write_bytes_before_the_first_frame() {
    let mut codec = Codec::new(Endpoint::Accepted, MAX);
    codec.output().extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    codec.received(&masked(0x89, b"hi"));
    assert!(codec.next().is_some());
    assert_eq!(codec.output(), b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x8a\x02hi");
}

/// Returns a new codec that received these bytes, and the messages it found.
fn decode_new(end: Endpoint, bytes: &[u8], piece: usize) -> (Codec, Vec<Message>) {
    let mut codec = Codec::new(end, MAX);
    let found = feed(&mut codec, bytes, piece);
    (codec, found)
}

/// Returns the messages in these bytes, passed in `piece` bytes at a time.
fn feed(codec: &mut Codec, bytes: &[u8], piece: usize) -> Vec<Message> {
    let mut found = Vec::new();
    for piece in bytes.chunks(piece) {
        codec.received(piece);
        found.extend(std::iter::from_fn(|| codec.next()));
    }
    found
}

/// Takes the output and returns the messages that the peer reads from it.
fn messages_to_peer(codec: &mut Codec) -> Vec<Message> {
    let peer = match codec.end {
        Endpoint::Dialled => Endpoint::Accepted,
        Endpoint::Accepted => Endpoint::Dialled,
    };
    let sent = std::mem::take(codec.output());
    let (peer, found) = decode_new(peer, &sent, usize::MAX);
    assert_eq!(peer.protocol_error(), None);
    found
}

/// Returns a frame as an accepting end sends it, given its first byte.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&head(first, payload.len(), 0)[..], payload].concat()
}

/// Returns a frame as a dialling end sends it, given its first byte.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [&head(first, payload.len(), 0x80)[..], &MASK, &masked.collect::<Vec<_>>()].concat()
}

fn head(first: u8, payload_bytes: usize, mask_bit: u8) -> Vec<u8> {
    let length = (payload_bytes as u64).to_be_bytes();
    match payload_bytes {
        0..=125 => vec![first, mask_bit + length[7]],
        126..=65535 => vec![first, mask_bit + 126, length[6], length[7]],
        _ => [&[first, mask_bit + 127][..], &length].concat(),
    }
}
