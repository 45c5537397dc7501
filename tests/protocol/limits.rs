//! Limits: what is bounded, how a refusal is reported, and that one client does not affect others.

use std::io::Write;
use std::thread;

use crate::support::{
    Ending, Framing, Pair, Relay, UNKNOWN, Wire, ask, assert_error, eventually, is_pattern,
    pattern, stream_of,
};

const BUSY: (u16, &str, Option<&str>) = (503, "TooBusyError", None);

#[test]
fn streams_are_bounded() {
    let unjoined = ["--max-unjoined-streams-per-address", "0"];
    let flags = [&["--max-streams", "2", "--retention", "100ms"], &unjoined[..]].concat();
    let relay = Relay::start(&flags);
    let create = ask("POST", "/stream");
    let (first, _second) = (relay.create(), relay.create());
    let mut wire = relay.connect();
    assert_error("a third", &wire.exchange(&create), BUSY);
    assert_error("again", &wire.exchange(&create), BUSY);
    let delete = ask("DELETE", &format!("/stream/{first}"));
    assert_eq!(wire.exchange(&delete).status(), 204);
    let created = eventually("a place is free", || {
        let answer = wire.exchange(&create);
        (answer.status() != 503).then_some(answer)
    });
    stream_of(&created);
}

#[test]
fn a_slow_reader_throttles_its_source_and_loses_nothing() {
    let relay = Relay::start(&[]);
    let data = pattern(11, 64 << 20);
    for framing in [Framing::Length(data.len()), Framing::Chunked] {
        let mut pair = relay.narrow_pair(framing);
        let body = [&framing.piece(&data), framing.end()].concat();
        let sent = relay.fill(&mut pair.source, &body);
        assert!(relay.resident_bytes() < 64 << 20, "{}", relay.resident_bytes());
        let mut sender = pair.source.handle();
        let sending = thread::spawn(move || sender.write_all(&body[sent..]).expect("the rest"));
        let download = pair.destination.response();
        assert_eq!(download.ending, Ending::Complete, "{framing:?}");
        is_pattern(11, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
        sending.join().expect("the sender");
        assert_eq!(pair.source.response().status(), 200, "{framing:?}");
    }
}

#[test]
fn stalled_readers_do_not_block_others() {
    let relay = Relay::start(&["--max-pipes", "2"]);
    let data = pattern(12, 16 << 20);
    let mut stalled: Vec<Pair> =
        (0..6).map(|_| relay.narrow_pair(Framing::Length(data.len()))).collect();
    for pair in &mut stalled {
        relay.fill(&mut pair.source, &data);
    }
    let mut pair = relay.pair(Framing::Length(data.len()));
    let mut sender = pair.source.handle();
    thread::scope(|scope| {
        scope.spawn(|| sender.write_all(&data).expect("the upload"));
        let download = pair.destination.response();
        is_pattern(12, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
    });
    assert_eq!(pair.source.response().status(), 200);
    for pair in &stalled {
        assert_eq!(relay.status(&pair.id)["state"], "STREAMING");
    }
}

#[test]
fn a_waiting_upload_is_not_buffered() {
    let relay = Relay::start(&[]);
    relay.await_turn();
    let before = relay.resident_bytes();
    let data = vec![b'w'; 16 << 20];
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let id = relay.create();
        let mut source = relay.waiting_source(&id, Framing::Length(data.len()));
        let sent = relay.fill(&mut source, &data);
        assert!(sent < data.len(), "TCP pushes back: {sent}");
        waiting.push(source);
    }
    let grown = relay.resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes for {} waiting uploads", waiting.len());
}

#[test]
fn unread_responses_block_only_their_connection() {
    let relay = Relay::start(&[]);
    let before = relay.resident_bytes();
    let mut deaf = Wire::connect_narrow(relay.address());
    let requests = ask("GET", "/version").bytes().repeat(2_000_000);
    let sent = relay.fill(&mut deaf, &requests);
    assert!(sent < requests.len(), "the relay reads no further than it can answer: {sent}");
    let grown = relay.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes for unread answers");
    assert_eq!(deaf.response().status(), 200, "and they are all still there");
}

#[test]
fn a_connection_without_a_request_is_closed() {
    let relay = Relay::start(&["--keep-alive-timeout", "300ms", "--header-timeout", "300ms"]);
    let mut mute = relay.connect();
    mute.read_to_end();
    relay.await_turn();
}

#[test]
fn an_incomplete_body_times_out() {
    let relay = Relay::start(&[
        "--header-timeout",
        "300ms",
        "--keep-alive-timeout",
        "300ms",
        "--idle-timeout",
        "300ms",
    ]);
    let mut wire = relay.connect();
    wire.ask(&ask("POST", "/stream").length(10).raw_body(b"{"));
    let (answer, _) = wire.read_to_end();
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{:?}", String::from_utf8_lossy(&answer));
    assert_eq!(relay.admin_get("/stream").json(), serde_json::json!([]));
}

#[test]
fn an_early_response_is_never_lost_to_a_reset() {
    let relay = Relay::start(&[]);
    let piece = vec![b'x'; 65_536];
    for _ in 0..20 {
        let mut source = relay.connect();
        source.ask(&ask("PUT", &format!("/stream/{UNKNOWN}")).length(1 << 30));
        // Less than the bytes discarded for a client after its response.
        for _ in 0..12 {
            source.send(&piece);
        }
        assert_error("refused", &source.response(), (404, "SessionNotFoundError", None));
        source.finish_sending();
        source.expect_end();
    }
}

#[test]
fn bytes_after_the_last_request_do_not_reset_its_response() {
    let relay = Relay::start(&[]);
    for _ in 0..20 {
        let mut wire = relay.connect();
        relay.while_stopped(|| {
            wire.ask(&ask("GET", "/ping").closing());
            wire.send([b'x'; 3000]);
            wire.finish_sending();
        });
        assert_eq!(wire.response().text(), "pong");
        assert_eq!(wire.read_to_end(), (Vec::new(), Ending::Closed));
    }
}

#[test]
fn lingering_discards_at_most_linger_bytes() {
    let relay = Relay::start(&["--linger-bytes", "64KiB", "--linger-timeout", "1h"]);
    let mut source = relay.connect();
    source.ask(&ask("PUT", &format!("/stream/{UNKNOWN}")).length(1 << 40));
    assert_eq!(source.response().status(), 404);
    // Closed or blocked: only as much is sent as the buffers of both kernels hold.
    let endless = vec![b'x'; 64 << 20];
    let sent = relay.fill(&mut source, &endless);
    assert!(sent < 32 << 20, "{sent} bytes were sent");
}

#[test]
fn lingering_ends_after_its_timeout() {
    let relay = Relay::start(&["--linger-bytes", "1GiB", "--linger-timeout", "200ms"]);
    let mut source = relay.connect();
    source.ask(&ask("PUT", &format!("/stream/{UNKNOWN}")).length(1 << 40));
    assert_eq!(source.response().status(), 404);
    source.expect_end();
    eventually("it is closed", || source.try_send([b'x']).err());
}

#[test]
fn lingering_connections_are_bounded() {
    let flags = ["--max-lingering", "2", "--linger-timeout", "1h", "--max-connections", "16"];
    let relay = Relay::start(&flags);
    let mut lingering = Vec::new();
    for _ in 0..12 {
        let mut source = relay.connect();
        source.ask(&ask("PUT", &format!("/stream/{UNKNOWN}")).length(1 << 40));
        assert_eq!(source.response().status(), 404);
        lingering.push(source);
    }
    let closed = |wires: &mut Vec<Wire>| {
        wires.retain_mut(|wire| wire.try_send([b'x']).is_ok());
        wires.len()
    };
    eventually("only two are lingered with", || (closed(&mut lingering) <= 2).then_some(()));
    relay.await_turn();
}

#[test]
fn half_closed_connections_are_closed() {
    let relay = Relay::start(&["--keep-alive-timeout", "1s"]);
    let mut wire = relay.connect();
    wire.finish_sending();
    wire.expect_end();
    let mut wire = relay.connect();
    wire.ask(&ask("GET", "/ping"));
    wire.finish_sending();
    assert_eq!(wire.response().status(), 200, "earlier requests get a response");
    wire.expect_end();
    let mut wire = relay.connect();
    wire.send("GET /pi");
    wire.finish_sending();
    wire.read_to_end();
    relay.await_turn();
}
