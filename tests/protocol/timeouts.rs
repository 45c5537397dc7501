//! Timeouts of waiting streams, and of streams without progress.

use std::io::{Read as _, Write as _};
use std::thread;
use std::time::Duration;

use crate::support::{Ending, Framing, Relay, ask, assert_error, assert_uploaded, now};
use serde_json::json;

const EXPIRED: (u16, &str, Option<&str>) =
    (504, "SessionTimeoutError", Some("The specified session expired before both sides connected"));

#[test]
fn an_unjoined_stream_times_out() {
    let relay = Relay::start(&["--ttl", "200ms"]);
    let id = relay.create();
    let status = relay.await_state(&id, "TIMEOUT_NO_SRC_NO_DST");
    assert_eq!(status["active"], false);
    for request in [ask("GET", &format!("/stream/{id}")), Framing::Length(0).put(&id)] {
        let answer = relay.exchange(&request);
        assert_error("too late", &answer, (404, "SessionNotFoundError", None));
    }
    assert_eq!(relay.exchange(&ask("HEAD", &format!("/stream/{id}"))).status(), 404);
}

#[test]
fn a_busy_transfer_never_counts_as_stalled() {
    // Enough that the relay is the bottleneck: their turns end with the budget, and not with a
    // blocked call.
    let relay = Relay::start(&["--idle-timeout", "2s"]);
    let piece = Framing::Chunked.piece(&vec![b'x'; 1 << 20]);
    let end = now() + Duration::from_secs(5);
    thread::scope(|scope| {
        for _ in 0..16 {
            // Each moves from the start, since the next pair may take its time.
            let mut pair = relay.pair(Framing::Chunked);
            let (mut source, mut destination) = (pair.source.handle(), pair.destination.handle());
            let piece = &piece;
            scope.spawn(move || {
                while now() < end {
                    source.write_all(piece).expect("the relay takes it");
                }
                source.write_all(Framing::Chunked.end()).expect("the relay takes it");
            });
            scope.spawn(move || {
                let mut end = Vec::new();
                let mut buffer = vec![0; 1 << 18];
                while !end.ends_with(b"\r\n0\r\n\r\n") {
                    let count = destination.read(&mut buffer).expect("the relay sends it");
                    assert_ne!(count, 0, "the download was cut");
                    end.extend_from_slice(&buffer[count.saturating_sub(7)..count]);
                    end.drain(..end.len().saturating_sub(7));
                }
                assert_uploaded(&pair.source.response());
            });
        }
    });
}

#[test]
fn a_source_without_a_destination_times_out() {
    let relay = Relay::start(&["--ttl", "2s"]);
    let rows = [
        ("nothing sent", Framing::Length(10), &b""[..]),
        ("some sent", Framing::Length(1 << 20), b"hello"),
        ("all sent", Framing::Length(5), b"hello"),
        ("chunked", Framing::Chunked, b"5\r\nhello\r\n"),
    ];
    for (name, framing, sent) in rows {
        let id = relay.create();
        let mut source = relay.connect();
        source.ask(&framing.put(&id).raw_body(sent));
        assert_error(name, &source.response(), EXPIRED);
        assert_eq!(relay.status(&id)["state"], "TIMEOUT_NO_DST", "{name}");
    }
}

#[test]
fn a_source_waiting_for_100_continue_times_out() {
    let relay = Relay::start(&["--ttl", "2s"]);
    let id = relay.create();
    let put = Framing::Length(10).put(&id).field("Expect", "100-continue");
    assert_error("no 100 before", &relay.exchange(&put), EXPIRED);
}

#[test]
fn a_destination_without_a_source_times_out() {
    let relay = Relay::start(&["--ttl", "2s"]);
    for old in [false, true] {
        let id = relay.create();
        let get = ask("GET", &format!("/stream/{id}"));
        let mut destination = relay.connect();
        destination.ask(&if old { get.http10() } else { get });
        assert_error("destination", &destination.response(), EXPIRED);
        assert_eq!(relay.status(&id)["state"], "TIMEOUT_NO_SRC");
        if !old {
            let next = destination.exchange(&ask("GET", "/ping"));
            assert_eq!(next.status(), 200, "the connection is kept");
        }
    }
}

/// A new stream that waits for this number of seconds.
fn create_for(relay: &Relay, ttl_s: u64) -> String {
    relay.create_with(&json!({ "ttl_seconds": ttl_s }))
}

#[test]
fn a_stream_waits_for_its_requested_ttl() {
    let relay = Relay::start(&["--ttl", "200ms"]);
    let long_lived = create_for(&relay, 600);
    let brief = create_for(&relay, 3);
    let mut source = relay.waiting_source(&brief, Framing::Length(5));
    let usual = relay.create();
    relay.await_state(&usual, "TIMEOUT_NO_SRC_NO_DST");
    assert_eq!(relay.status(&long_lived)["state"], "CREATED");
    assert_error("three seconds", &source.response(), EXPIRED);
    assert_eq!(relay.status(&brief)["state"], "TIMEOUT_NO_DST");
    let mut destination = relay.waiting_destination(&long_lived);
    assert_uploaded(&relay.exchange(&Framing::Length(5).put(&long_lived).raw_body(b"hello")));
    assert_eq!(destination.response().text(), "hello");
}

#[test]
fn a_ttl_below_the_default_ends_earlier() {
    let relay = Relay::start(&["--ttl", "1h"]);
    let (usual, brief) = (relay.create(), create_for(&relay, 1));
    relay.await_state(&brief, "TIMEOUT_NO_SRC_NO_DST");
    assert_eq!(relay.status(&usual)["state"], "CREATED");
}

#[test]
fn a_report_is_kept_for_the_ttl_of_its_stream() {
    let relay = Relay::start(&["--ttl", "2s"]);
    let (long_lived, usual) = (create_for(&relay, 600), relay.create());
    for id in [&long_lived, &usual] {
        assert_eq!(relay.report(id).status(), 200);
    }
    relay.await_state(&usual, "TIMEOUT_NO_SRC_NO_DST");
    let put = Framing::Length(0).put(&long_lived);
    assert_error("the report", &relay.exchange(&put), (400, "Error", None));
}

#[test]
fn the_ttl_does_not_end_a_running_transfer() {
    let relay = Relay::start(&["--ttl", "2s"]);
    let mut pair = relay.pair(Framing::Length(20));
    pair.pass_first(b"0123456789");
    let later = relay.create();
    relay.await_state(&later, "TIMEOUT_NO_SRC_NO_DST");
    assert_eq!(relay.status(&pair.id)["state"], "STREAMING");
    pair.pass(b"0123456789");
    pair.complete();
    relay.await_state(&pair.id, "FINISHED");
}

#[test]
fn the_ttl_does_not_end_a_pair_without_data() {
    let relay = Relay::start(&["--ttl", "2s"]);
    let mut pair = relay.pair(Framing::Chunked);
    let later = relay.create();
    relay.await_state(&later, "TIMEOUT_NO_SRC_NO_DST");
    pair.pass_first(b"hello");
    pair.complete();
}

#[test]
fn an_idle_transfer_times_out() {
    let relay = Relay::start(&["--idle-timeout", "1s"]);
    for framing in [Framing::Length(10), Framing::Chunked] {
        for old in [false, true] {
            let mut pair = relay.pair_with(framing, |get| if old { get.http10() } else { get });
            pair.source.send(framing.piece(b"hello"));
            let download = pair.destination.response();
            assert_eq!((download.status(), download.text()), (200, "hello"), "{framing:?}");
            assert_ne!(download.ending, Ending::Complete, "{framing:?}, old: {old}");
            // The response to the source is not specified, but it is not a success, and it is
            // final.
            assert!(!pair.source.succeeded(), "{framing:?}");
            pair.source.read_to_end();
            let status = relay.status(&pair.id);
            assert_eq!(
                (&status["active"], &status["bytes_transferred"]),
                (&false.into(), &5.into())
            );
        }
    }
}

#[test]
fn a_pair_without_data_times_out() {
    let relay = Relay::start(&["--idle-timeout", "1s"]);
    let mut pair = relay.pair(Framing::Length(10));
    assert!(!pair.destination.succeeded());
    assert_eq!(relay.status(&pair.id)["active"], false);
}

#[test]
fn the_idle_timeout_does_not_end_a_waiting_stream() {
    let relay = Relay::start(&["--idle-timeout", "1s", "--keep-alive-timeout", "1s"]);
    let id = relay.create();
    let mut source = relay.waiting_source(&id, Framing::Length(5));
    let mut idle = relay.pair(Framing::Length(5));
    assert!(!idle.destination.succeeded());
    assert_eq!(relay.status(&id)["state"], "SRC_CONNECTED", "it waits; it is not idle");
    source.send("hello");
    assert_eq!(relay.get(&format!("/stream/{id}")).text(), "hello");
    assert_uploaded(&source.response());
}
