//! Strict parsing of chunked bodies: a size is never misread, and every part of a chunk is bounded.

use crate::support::{
    Ending, Framing, Pair, Relay, ask, assert_error, assert_uploaded, eventually,
};

/// The source receives an error and is disconnected; the destination never takes a truncated body
/// for a complete one.
fn assert_refused(relay: &Relay, name: &str, mut pair: Pair, statuses: &[u16]) {
    let answer = pair.source.response();
    assert!(statuses.contains(&answer.status()), "{name}: {} {}", answer.status(), answer.text());
    if answer.status() == 400 {
        assert_error(name, &answer, (400, "BadRequestError", None));
    }
    pair.source.expect_end();
    let download = pair.destination.response();
    if download.status() == 200 {
        assert_ne!(download.ending, Ending::Complete, "{name}");
    } else {
        let wanted = (502, "StreamSourceError", Some("Stream source raised an error"));
        assert_error(name, &download, wanted);
    }
    relay.await_state(&pair.id, "SRC_ERROR");
}

#[test]
fn malformed_chunks_are_refused() {
    let relay = Relay::start(&[]);
    let rows: [(&str, &[u8]); 38] = [
        ("no size", b"\r\nhello\r\n0\r\n\r\n"),
        ("only an extension", b";a=b\r\nhello\r\n0\r\n\r\n"),
        ("no hexadecimal digit", b"g\r\nhello\r\n0\r\n\r\n"),
        ("a digit and a letter", b"5g\r\nhello\r\n0\r\n\r\n"),
        ("a minus", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("a plus", b"+5\r\nhello\r\n0\r\n\r\n"),
        ("a prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("a space before", b" 5\r\nhello\r\n0\r\n\r\n"),
        ("two sizes", b"5 5\r\nhello\r\n0\r\n\r\n"),
        ("an underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
        ("a comma", b"5,\r\nhello\r\n0\r\n\r\n"),
        ("a NUL", b"5\0\r\nhello\r\n0\r\n\r\n"),
        ("a digit above ASCII", "\u{ff15}\r\nhello\r\n0\r\n\r\n".as_bytes()),
        ("a bare LF after the size", b"5\nhello\r\n0\r\n\r\n"),
        ("a bare CR after the size", b"5\rhello\r\n0\r\n\r\n"),
        ("a bare LF after the data", b"5\r\nhello\n0\r\n\r\n"),
        ("nothing after the data", b"5\r\nhello0\r\n\r\n"),
        ("data longer than its size", b"4\r\nhello\r\n0\r\n\r\n"),
        ("data shorter than its size", b"6\r\nhello\r\n0\r\n\r\n"),
        ("a bare LF in an extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("a bare CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("a NUL in an extension", b"5;a=\0\r\nhello\r\n0\r\n\r\n"),
        ("a space behind the size, and nothing else", b"5 \r\nhello\r\n0\r\n\r\n"),
        ("a tab behind the last size", b"5\r\nhello\r\n0\t\r\n\r\n"),
        ("a space behind an extension", b"5;a \r\nhello\r\n0\r\n\r\n"),
        ("an extension without a name", b"5;\r\nhello\r\n0\r\n\r\n"),
        ("a second one without a name", b"5;a;\r\nhello\r\n0\r\n\r\n"),
        ("a value without a name", b"5;=b\r\nhello\r\n0\r\n\r\n"),
        ("a name without the value it announces", b"5;a=\r\nhello\r\n0\r\n\r\n"),
        ("a name that is not a token", b"5;a@b\r\nhello\r\n0\r\n\r\n"),
        ("quotes that stay open", b"5;a=\"b\r\nhello\r\n0\r\n\r\n"),
        ("quotes that close in the payload", b"5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n"),
        ("a bare LF after the last chunk", b"5\r\nhello\r\n0\n\r\n"),
        ("a bare LF at the very end", b"5\r\nhello\r\n0\r\n\n"),
        ("a trailer without a colon", b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n"),
        ("a trailer with a bare LF", b"5\r\nhello\r\n0\r\nA: b\n\r\n"),
        ("a trailer with a space before its colon", b"5\r\nhello\r\n0\r\nA : b\r\n\r\n"),
        ("a trailer with a NUL", b"5\r\nhello\r\n0\r\nA: b\0\r\n\r\n"),
    ];
    for (name, body) in rows {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send(body);
        assert_refused(&relay, name, pair, &[400]);
    }
}

#[test]
fn extensions_of_every_form_are_accepted() {
    let relay = Relay::start(&[]);
    for line in
        ["5;a", "5;a=b", "5;a=\"b\"", "5;a=\"\\\"; =\u{e9}\"", "5 ;a", "5\t; a = b ; c =\t\"\" ;d"]
    {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send(format!("{line}\r\nhello\r\n0 ;a=b\r\n\r\n"));
        assert_eq!(pair.destination.response().text(), "hello", "{line}");
        assert_uploaded(&pair.source.response());
    }
}

#[test]
fn sizes_beyond_64_bits_are_refused() {
    let relay = Relay::start(&[]);
    let rows = [
        ("2^64", "10000000000000000".to_owned()),
        ("2^64 and 5", "10000000000000005".to_owned()),
        ("2^68 and 5", "100000000000000005".to_owned()),
        ("2^128 and 5", format!("1{}5", "0".repeat(31))),
        ("twenty digits", "f".repeat(20)),
        ("a thousand digits", "f".repeat(1_000)),
    ];
    for (name, size) in rows {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send(format!("{size}\r\nhello\r\n0\r\n\r\n"));
        assert_refused(&relay, name, pair, &[400]);
    }
}

#[test]
fn huge_sizes_never_wrap_around() {
    let relay = Relay::start(&[]);
    let rows = [
        ("2^31 and 5", "80000005"),
        ("2^32", "100000000"),
        ("2^32 and 5", "100000005"),
        ("2^63 - 1", "7fffffffffffffff"),
        ("2^63", "8000000000000000"),
        ("2^63 and 5", "8000000000000005"),
        ("2^64 - 1", "ffffffffffffffff"),
    ];
    for (name, size) in rows {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send(format!("{size}\r\nhello\r\n0\r\n\r\n"));
        pair.source.finish_sending();
        let (answer, _) = pair.source.read_to_end();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{name}");
        if relay.status(&pair.id)["state"] == "DST_CONNECTED" {
            // Its end was read before its first bytes were forwarded.
            pair.destination.assert_silent();
            continue;
        }
        let download = pair.destination.response();
        let truncated = download.status() == 200 && download.ending != Ending::Complete;
        assert!(truncated || download.status() == 502, "{name}: {download:?}");
    }
}

#[test]
fn a_chunk_of_4_gib_is_accepted() {
    let relay = Relay::start(&[]);
    for size in ["ffffffff", "100000000", "100000001"] {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send(format!("{size}\r\n01234"));
        assert_eq!(pair.destination.head().status, 200, "{size}");
        assert_eq!(pair.destination.body(5), b"01234", "{size}");
        drop(pair.source);
        assert_ne!(pair.destination.rest().1, Ending::Complete, "{size}");
        relay.await_state(&pair.id, "SRC_DISCONNECTED");
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let relay = Relay::start(&[]);
    let long = "x".repeat(100 * 1024);
    let rows = [
        ("a long extension", format!("5;a={long}\r\nhello\r\n0\r\n\r\n")),
        ("a long extension of the last chunk", format!("5\r\nhello\r\n0;{long}\r\n\r\n")),
        ("a long trailer", format!("5\r\nhello\r\n0\r\nA: {long}\r\n\r\n")),
        ("many trailers", format!("5\r\nhello\r\n0\r\n{}\r\n", "A: b\r\n".repeat(20_000))),
    ];
    for (name, body) in rows {
        let mut pair = relay.pair(Framing::Chunked);
        // The response can arrive before the last byte is sent.
        let _ = pair.source.try_send(body);
        assert_refused(&relay, name, pair, &[400, 413, 431]);
    }
}

#[test]
fn endless_extensions_and_trailers_are_ended() {
    let relay = Relay::start(&["--linger-timeout", "300ms"]);
    let rows: [(&str, &[u8], &[u8]); 4] = [
        ("zeros of a size", b"", b"00000000"),
        ("bytes of an extension", b"5;", b"xxxxxxxx"),
        ("bytes of a trailer", b"5\r\nhello\r\n0\r\nA: ", b"xxxxxxxx"),
        ("trailers", b"5\r\nhello\r\n0\r\n", b"A: b\r\n"),
    ];
    for (name, start, endless) in rows {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send(start);
        let piece = endless.repeat(32 * 1024);
        eventually(&format!("no more {name} are taken"), || pair.source.try_send(&piece).err());
        assert!(!pair.destination.succeeded(), "{name}: it looks complete");
        relay.await_state(&pair.id, "SRC_ERROR");
    }
    assert!(relay.resident_bytes() < 64 << 20, "{}", relay.resident_bytes());
}

#[test]
fn json_bodies_are_parsed_as_strictly() {
    let relay = Relay::start(&[]);
    let rows: [(&str, &[u8]); 8] = [
        ("a space behind the size", b"2 \r\n{}\r\n0\r\n\r\n"),
        ("an extension without a name", b"2;\r\n{}\r\n0\r\n\r\n"),
        ("no size", b"\r\n{}\r\n0\r\n\r\n"),
        ("a bare LF", b"2\n{}\r\n0\r\n\r\n"),
        ("longer than its size", b"1\r\n{}\r\n0\r\n\r\n"),
        ("2^64 and 2", b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
        ("a minus", b"-2\r\n{}\r\n0\r\n\r\n"),
        ("a bad trailer", b"2\r\n{}\r\n0\r\nnonsense\r\n\r\n"),
    ];
    for (name, body) in rows {
        let mut wire = relay.connect();
        let answer = wire.exchange(&ask("POST", "/stream").chunked().raw_body(body));
        assert_error(name, &answer, (400, "BadRequestError", None));
        wire.expect_end();
    }
    assert_eq!(relay.admin_get("/stream").json(), serde_json::json!([]));
}

#[test]
fn bytes_after_a_chunked_body_are_the_next_request() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(Framing::Chunked);
    pair.source.send("5\r\nhello\r\n0\r\n\r\nnonsense\r\n\r\n");
    assert_eq!(pair.destination.response().text(), "hello");
    assert_uploaded(&pair.source.response());
    assert_error("the nonsense", &pair.source.response(), (400, "BadRequestError", None));
    pair.source.expect_end();
    relay.await_state(&pair.id, "FINISHED");
}
