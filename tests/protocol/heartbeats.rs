//! Heartbeats: `102 Processing` at an interval, to clients that wait for their response.

use crate::support::{
    Ask, DISCONNECTS, Ending, Framing, Pair, Relay, Wire, ask, assert_uploaded, pattern,
};
use serde_json::json;

const HEARTBEAT: [&str; 2] = ["--heartbeat", "100ms"];

/// More than a narrow destination takes, and less than the relay's socket does.
const BYTES: usize = 300_000;

const FRAMINGS: [Framing; 2] = [Framing::Length(BYTES), Framing::Chunked];

/// A download of this stream by a client that accepts heartbeats.
fn get(id: &str) -> Ask {
    ask("GET", &format!("/stream/{id}")).named()
}

/// A source that sends its head only, and a destination that finds it waiting.
fn started(relay: &Relay, framing: Framing) -> Pair {
    let id = relay.create();
    let source = relay.waiting_source(&id, framing);
    let mut destination = relay.connect();
    destination.ask(&get(&id));
    relay.await_state(&id, "STREAMING");
    Pair { id, framing, source, destination }
}

/// A source that has sent its complete body, and a destination that reads none of it.
fn unread(relay: &Relay, framing: Framing) -> Pair {
    let id = relay.create_with(&json!({ "receipt": "acked" }));
    let mut destination = Wire::connect_narrow(relay.address());
    destination.ask(&ask("GET", &format!("/stream/{id}")));
    relay.await_state(&id, "DST_CONNECTED");
    let mut source = relay.connect();
    source.ask(&framing.put(&id).named());
    source.send(framing.piece(&pattern(0, BYTES)));
    source.send(framing.end());
    Pair { id, framing, source, destination }
}

fn assert_read(destination: &mut Wire) {
    let download = destination.response();
    assert!(download.body == pattern(0, BYTES), "{} bytes", download.body.len());
    assert_eq!(download.ending, Ending::Complete);
}

#[test]
fn they_precede_100_continue_and_the_response() {
    let relay = Relay::start(&[&HEARTBEAT[..], &["--paths"]].concat());
    let id = relay.create();
    let mut source = relay.connect();
    source.ask(&Framing::Length(5).put(&id).named().field("Expect", "100-continue"));
    source.expect_heartbeats(2);
    let mut destination = relay.waiting_paired(&id);
    assert_eq!(source.status_after_heartbeats(), 100);
    source.send("hello");
    assert_eq!(destination.response().text(), "hello");
    assert_eq!(source.status_after_heartbeats(), 200);

    let mut path = relay.connect();
    path.ask(&ask("GET", "/p/x").named());
    path.expect_heartbeats(2);
    assert_eq!(relay.exchange(&ask("PUT", "/p/x").body("hello")).status(), 200);
    assert_eq!(path.status_after_heartbeats(), 200);
}

#[test]
fn a_client_that_may_take_them_for_the_response_gets_none_unless_it_expects_100_continue() {
    let relay = Relay::start(&[&HEARTBEAT[..], &["--ttl", "3s"]].concat());
    let requests: [fn(Ask) -> Ask; 3] = [
        |ask| ask,
        |ask| ask.named().http10(),
        |ask| ask.field("User-Agent", "python-requests/2.32.0"),
    ];
    let asked = requests.map(|change| {
        let [mut silent, mut expecting] = [relay.connect(), relay.connect()];
        silent.ask(&change(ask("GET", &format!("/stream/{}", relay.create()))));
        let put = change(Framing::Length(5).put(&relay.create()));
        expecting.ask(&put.field("Expect", "100-continue"));
        [silent, expecting]
    });
    for (index, [mut silent, mut expecting]) in asked.into_iter().enumerate() {
        assert_eq!(silent.response().status(), 504, "{index}: the first head is the response");
        // HTTP/1.0 has neither.
        let first = expecting.head().status;
        assert_eq!(first, if index == 1 { 504 } else { 102 }, "{index}");
    }
}

#[test]
fn a_destination_gets_them_until_the_head_of_its_response() {
    let relay = Relay::start(&HEARTBEAT);
    for framing in [Framing::Length(10), Framing::Chunked] {
        let mut pair = started(&relay, framing);
        pair.destination.expect_heartbeats(3);
        pair.source.send(framing.piece(b"hello"));
        assert_eq!(pair.destination.status_after_heartbeats(), 200, "{framing:?}");
        assert_eq!(pair.destination.body(5), b"hello");
        relay.await_heartbeats(3);
        pair.destination.assert_silent();
        pair.pass(b"world");
        pair.complete();
        // What was due next ends neither connection.
        relay.await_heartbeats(2);
        for wire in [&mut pair.source, &mut pair.destination] {
            assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
        }
    }
}

#[test]
fn a_destination_gets_them_while_its_source_is_replaced() {
    let relay = Relay::start(&HEARTBEAT);
    for way in DISCONNECTS {
        let Pair { id, source, mut destination, .. } = started(&relay, Framing::Length(5));
        destination.expect_heartbeats(2);
        source.leave(way);
        relay.await_state(&id, "DST_CONNECTED");
        relay.await_heartbeats(3);
        destination.expect_heartbeats(2);
        assert_uploaded(&relay.exchange(&Framing::Length(5).put(&id).raw_body(b"hello")));
        assert_eq!(destination.status_after_heartbeats(), 200, "{way:?}");
        assert_eq!(destination.body(5), b"hello");
    }
}

#[test]
fn a_source_gets_none_during_its_upload() {
    let relay = Relay::start(&HEARTBEAT);
    for framing in [Framing::Length(10), Framing::Chunked] {
        let id = relay.create();
        let destination = relay.waiting_destination(&id);
        let mut source = relay.connect();
        source.ask(&framing.put(&id).named());
        relay.await_state(&id, "STREAMING");
        let mut pair = Pair { id, framing, source, destination };
        relay.await_heartbeats(3);
        pair.source.assert_silent();
        pair.pass_first(b"hello");
        relay.await_heartbeats(3);
        pair.source.assert_silent();
        pair.pass(b"world");
        pair.complete();
    }
}

#[test]
fn a_source_gets_them_once_its_body_is_sent() {
    let relay = Relay::start(&HEARTBEAT);
    for framing in FRAMINGS {
        let Pair { id, mut source, mut destination, .. } = unread(&relay, framing);
        source.expect_heartbeats(3);
        assert_eq!(relay.status(&id)["state"], "STREAMING");
        assert_read(&mut destination);
        assert_eq!(source.status_after_heartbeats(), 200, "{framing:?}");
        relay.await_state(&id, "FINISHED");
    }
}

#[test]
fn a_body_that_the_relay_has_not_read_yet_is_sent_too() {
    // The rest of it will be read at this rate.
    let relay = Relay::start(&[&HEARTBEAT[..], &["--max-rate", "10"]].concat());
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    let mut source = relay.connect();
    source.ask(&Framing::Length(2_000).put(&id).named().raw_body(&pattern(0, 2_000)));
    assert_eq!(destination.head().status, 200);
    source.expect_heartbeats(3);
    let transferred = relay.status(&id)["bytes_transferred"].as_u64().expect("a number");
    assert!(transferred < 2_000, "{transferred}");
}

#[test]
fn a_source_may_leave_once_its_body_is_sent() {
    let relay = Relay::start(&HEARTBEAT);
    for framing in FRAMINGS {
        for way in DISCONNECTS {
            let Pair { id, mut source, mut destination, .. } = unread(&relay, framing);
            source.expect_heartbeats(1);
            source.leave(way);
            relay.await_heartbeats(3);
            assert_read(&mut destination);
            relay.await_state(&id, "FINISHED");
        }
    }
}
