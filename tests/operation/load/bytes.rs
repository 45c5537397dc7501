//! Maximum body bytes per stream.

use std::io::Write;
use std::thread;

use crate::support::{
    Ending, Framing, Relay, UNKNOWN, ask, assert_error, assert_uploaded, chunks, is_pattern,
    pattern,
};

/// The responses to both sides of a stream with too many bytes.
const TOO_LARGE: [(u16, &str, Option<&str>); 2] = [
    (
        413,
        "ContentTooLargeError",
        Some("The upload is longer than 1000 bytes, the most a stream may carry"),
    ),
    (
        502,
        "StreamSourceError",
        Some("Stream source has more than 1000 bytes, the most a stream may carry"),
    ),
];

/// A relay with a limit of 1000 bytes, for each way of transferring bytes.
fn bounded_relays() -> [Relay; 2] {
    [&["--max-stream-bytes", "1000"][..], &["--max-stream-bytes", "1000", "--no-splice"]]
        .map(Relay::start)
}

/// The status of a stream with too many bytes.
fn assert_ended_as_too_large(relay: &Relay, id: &str, bytes: usize) {
    let status = relay.status(id);
    assert_eq!(status["state"], "SRC_ERROR", "{status}");
    assert_eq!(status["bytes_transferred"], bytes, "{status}");
    assert_eq!(status["error"]["message"].as_str(), TOO_LARGE[1].2, "{status}");
}

#[test]
fn a_length_above_the_limit_is_refused_before_any_byte() {
    for relay in bounded_relays() {
        let id = relay.create();
        let mut destination = relay.waiting_destination(&id);
        let mut source = relay.connect();
        source.ask(&Framing::Length(1001).put(&id).field("Expect", "100-continue"));
        assert_error("source, second", &source.response(), TOO_LARGE[0]);
        assert_error("destination, first", &destination.response(), TOO_LARGE[1]);
        assert_ended_as_too_large(&relay, &id, 0);
        assert_eq!(destination.exchange(&ask("GET", "/ping")).status(), 200, "it goes on");

        let id = relay.create();
        let put = Framing::Length(1001).put(&id);
        assert_error("source, first", &relay.exchange(&put), TOO_LARGE[0]);
        assert_ended_as_too_large(&relay, &id, 0);
        let late = relay.get(&format!("/stream/{id}"));
        assert_error("destination, second", &late, (404, "SessionNotFoundError", None));
    }
}

#[test]
fn a_refused_upload_does_not_affect_the_connected_sides() {
    let [relay, _] = bounded_relays();
    let mut pair = relay.pair(Framing::Length(5));
    let put = Framing::Length(1001).put(&pair.id);
    assert_error("occupied", &relay.exchange(&put), (429, "AlreadyConnectedError", None));
    let put = Framing::Length(1001).put(UNKNOWN);
    assert_error("unknown", &relay.exchange(&put), (404, "SessionNotFoundError", None));
    pair.pass_first(b"hello");
    pair.complete();
}

#[test]
fn a_body_of_exactly_the_limit_passes() {
    for relay in bounded_relays() {
        for framing in [Framing::Length(1000), Framing::Chunked] {
            let data = pattern(21, 1000);
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            let mut destination = relay.connect();
            destination.ask(&ask("GET", &format!("/stream/{id}")));
            for piece in data.chunks(300) {
                source.send(framing.piece(piece));
            }
            source.send(framing.end());
            let download = destination.response();
            assert_eq!((download.ending, download.body), (Ending::Complete, data), "{framing:?}");
            assert_uploaded(&source.response());
        }
    }
}

#[test]
fn chunks_above_the_limit_truncate_the_stream() {
    for relay in bounded_relays() {
        for (http10, source_first) in [(false, false), (false, true), (true, false), (true, true)] {
            let id = relay.create();
            let mut get = ask("GET", &format!("/stream/{id}"));
            if http10 {
                get = get.http10();
            }
            let (mut source, mut destination);
            if source_first {
                source = relay.waiting_source(&id, Framing::Chunked);
                destination = relay.connect();
                destination.ask(&get);
            } else {
                destination = relay.waiting_with(&get, &id);
                source = relay.connect();
                source.ask(&Framing::Chunked.put(&id));
            }
            relay.await_state(&id, "STREAMING");
            let data = pattern(22, 1000);
            source.send(Framing::Chunked.piece(&data[..600]));
            source.send(Framing::Chunked.piece(&data[600..]));
            assert_eq!(destination.head().status, 200);
            assert_eq!(destination.body(1000), data);
            source.send(Framing::Chunked.piece(b"x"));
            let case = format!("HTTP/1.0: {http10}, source first: {source_first}");
            assert_error(&case, &source.response(), TOO_LARGE[0]);
            let (rest, ending) = destination.rest();
            assert!(rest.is_empty(), "{case}: {rest:?}");
            let cut = if http10 { Ending::Reset } else { Ending::Closed };
            assert_eq!(ending, cut, "{case}");
            assert_ended_as_too_large(&relay, &id, 1000);
        }
    }
}

#[test]
fn a_chunk_that_would_exceed_the_limit_is_refused_at_its_head() {
    for relay in bounded_relays() {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send("3e9\r\n");
        assert_error("source", &pair.source.response(), TOO_LARGE[0]);
        assert_error("destination", &pair.destination.response(), TOO_LARGE[1]);
        assert_ended_as_too_large(&relay, &pair.id, 0);

        // The same if all of it is in the socket, and is received with the upload's head.
        let id = relay.create();
        let mut source = relay.connect();
        let body = chunks(&pattern(23, 1001), &[100]);
        source.ask(&Framing::Chunked.put(&id).raw_body(&body));
        relay.await_state(&id, "SRC_CONNECTED");
        let mut destination = relay.connect();
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        let download = destination.response();
        assert_eq!((download.status(), download.ending), (200, Ending::Closed));
        assert!(download.body.len() <= 1000, "{}", download.body.len());
        assert_error("source, first", &source.response(), TOO_LARGE[0]);
        assert_ended_as_too_large(&relay, &id, 1000);
    }
}

#[test]
fn the_limit_applies_to_large_chunks_too() {
    for flags in
        [&["--max-stream-bytes", "1MiB"][..], &["--max-stream-bytes", "1MiB", "--no-splice"]]
    {
        let relay = Relay::start(flags);
        let mut pair = relay.pair(Framing::Chunked);
        let data = pattern(24, 5 << 18);
        let mut sender = pair.source.sender();
        let body = chunks(&data, &[1 << 18]);
        let sending = thread::spawn(move || sender.write_all(&body));
        let download = pair.destination.response();
        assert_eq!((download.status(), download.ending), (200, Ending::Closed));
        is_pattern(24, 1 << 20, &download.body).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(pair.source.response().status(), 413);
        sending.join().expect("the sender").expect("all of it is read or discarded");
    }
}
