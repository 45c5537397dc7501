//! Streams whose source is answered once the destination's TCP has acknowledged every byte.

use crate::support::{
    Ask, DISCONNECTS, Disconnect, Ending, Framing, Lineage, Pair, Relay, Wire, ask, assert_error,
    assert_uploaded, eventually, pattern,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// More than a narrow destination takes, and less than the relay's socket does.
const BYTES: usize = 300_000;

const LENGTH: Framing = Framing::Length(BYTES);

const CLOSED: (u16, &str, Option<&str>) =
    (502, "StreamDestinationError", Some("Stream destination closed unexpectedly"));

const UNACKED: &str = "not acknowledged by the destination's TCP";

fn create(relay: &Relay) -> String {
    relay.create_with(&json!({ "receipt": "acked" }))
}

fn receipt(status: &Value) -> [&Value; 3] {
    ["receipt", "receipt_by", "receipt_error"].map(|member| &status[member])
}

/// A stream whose complete body was handed over to a destination that reads none of it.
fn held(relay: &Relay, framing: Framing, change: impl FnOnce(Ask) -> Ask) -> Pair {
    let id = create(relay);
    let mut destination = Wire::connect_narrow(relay.address());
    destination.ask(&change(ask("GET", &format!("/stream/{id}"))));
    relay.await_state(&id, "DST_CONNECTED");
    let mut source = relay.connect();
    source.ask(&framing.put(&id));
    source.send(framing.piece(&pattern(0, BYTES)));
    source.send(framing.end());
    let handed_over = || (relay.status(&id)["bytes_transferred"] == BYTES).then_some(());
    eventually("all bytes are handed over", handed_over);
    Pair { id, framing, source, destination }
}

/// What a destination reads that takes its time.
fn read_all(destination: &mut Wire) -> Ending {
    let download = destination.response();
    assert!(download.body == pattern(0, BYTES), "{} bytes", download.body.len());
    download.ending
}

#[test]
fn the_response_waits_until_a_slow_destination_has_received_everything() {
    let relay = Relay::start(&[]);
    let new: fn(Ask) -> Ask = |get| get;
    for (framing, change) in
        [(LENGTH, new), (Framing::Chunked, new), (Framing::Chunked, Ask::http10)]
    {
        let mut pair = held(&relay, framing, change);
        pair.source.assert_silent();
        let status = relay.status(&pair.id);
        assert_eq!(status["state"], "STREAMING", "{framing:?}");
        assert_eq!(receipt(&status), [&json!("expected"), &json!("tcp"), &Value::Null]);
        assert_eq!(read_all(&mut pair.destination), Ending::Complete, "{framing:?}");
        assert_uploaded(&pair.source.response());
        let status = relay.status(&pair.id);
        assert_eq!(
            (&status["state"], &status["bytes_transferred"]),
            (&json!("FINISHED"), &json!(BYTES))
        );
        assert_eq!(receipt(&status), [&json!("confirmed"), &json!("tcp"), &Value::Null]);
    }
}

#[test]
fn a_plain_stream_does_not_wait() {
    let relay = Relay::start(&[]);
    let mut pair = relay.narrow_pair(LENGTH);
    pair.source.send(pattern(0, BYTES));
    assert_uploaded(&pair.source.response());
    assert_eq!(relay.await_state(&pair.id, "FINISHED")["receipt"], "none");
    assert_eq!(read_all(&mut pair.destination), Ending::Complete);
}

#[test]
fn small_and_empty_bodies_are_acknowledged_on_connections_that_go_on() {
    let relay = Relay::start(&[]);
    let (mut source, mut destination) = (relay.connect(), relay.connect());
    for body in ["", "hello", "", "goodbye"] {
        let id = create(&relay);
        // The second request of the destination is sent ahead.
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        destination.ask(&ask("GET", "/ping"));
        source.ask(&Framing::Length(body.len()).put(&id).raw_body(body.as_bytes()));
        assert_eq!(destination.response().text(), body);
        assert_uploaded(&source.response());
        assert_eq!(destination.response().text(), "pong");
        assert_eq!(relay.status(&id)["receipt"], "confirmed", "{body:?}");
    }
}

#[test]
fn a_destination_that_closes_after_the_last_byte_has_acknowledged_it() {
    let relay = Relay::start(&[]);
    for size in [0, 5, BYTES] {
        let id = create(&relay);
        let mut destination = relay.waiting_destination(&id);
        let mut source = relay.connect();
        source.ask(&Framing::Length(size).put(&id).raw_body(&pattern(0, size)));
        assert_eq!(destination.response().body.len(), size);
        drop(destination);
        assert_uploaded(&source.response());
        assert_eq!(relay.status(&id)["receipt"], "confirmed", "{size}");
    }
}

#[test]
fn the_end_of_a_connection_shows_whether_everything_was_acknowledged() {
    let relay = Relay::start(&[]);
    for (way, state) in DISCONNECTS.into_iter().zip(["FINISHED", "DST_DISCONNECTED"]) {
        let Pair { id, mut source, mut destination, .. } = held(&relay, LENGTH, |get| get);
        relay.while_stopped(|| {
            assert_eq!(read_all(&mut destination), Ending::Complete, "{way:?}");
            destination.leave(way);
        });
        match way {
            Disconnect::Close => assert_uploaded(&source.response()),
            Disconnect::Reset => assert_error("reset", &source.response(), CLOSED),
        }
        relay.await_state(&id, state);
    }
}

#[test]
fn a_destination_that_leaves_with_bytes_on_their_way_fails_the_upload() {
    let relay = Relay::start(&[]);
    for way in DISCONNECTS {
        let Pair { id, mut source, destination, .. } = held(&relay, LENGTH, |get| get);
        // Closed with bytes unread, its kernel sends a reset as well.
        destination.leave(way);
        assert_error(&format!("{way:?}"), &source.response(), CLOSED);
        let status = relay.status(&id);
        assert_eq!(
            (&status["state"], &status["bytes_transferred"]),
            (&json!("DST_DISCONNECTED"), &json!(BYTES))
        );
        assert_eq!(receipt(&status), [&json!("failed"), &json!("tcp"), &json!(UNACKED)], "{way:?}");
    }
    let mut pair = held(&relay, Framing::Chunked, |get| get);
    pair.destination.finish_sending();
    assert_error("half-closed", &pair.source.response(), CLOSED);
    relay.await_state(&pair.id, "DST_DISCONNECTED");
}

#[test]
fn a_destination_that_acknowledges_nothing_for_the_idle_timeout_fails_the_upload() {
    let relay = Relay::start(&["--idle-timeout", "1s"]);
    let mut pair = held(&relay, LENGTH, |get| get);
    let wanted = (502, "StreamDestinationError", Some("Stream destination raised an error"));
    assert_error("stalled", &pair.source.response(), wanted);
    let status = relay.status(&pair.id);
    assert_eq!(status["state"], "DST_ERROR");
    assert_eq!(receipt(&status), [&json!("failed"), &json!("tcp"), &json!(UNACKED)]);
}

#[test]
fn a_source_that_leaves_early_does_not_end_the_wait() {
    let relay = Relay::start(&[]);
    for way in DISCONNECTS {
        let Pair { id, source, mut destination, .. } = held(&relay, LENGTH, |get| get);
        source.leave(way);
        relay.await_turn();
        assert_eq!(relay.status(&id)["state"], "STREAMING", "{way:?}");
        assert_eq!(read_all(&mut destination), Ending::Complete, "{way:?}");
        assert_eq!(relay.await_state(&id, "FINISHED")["receipt"], "confirmed", "{way:?}");
    }
}

#[test]
fn a_stream_may_be_deleted_meanwhile_and_takes_no_other_client() {
    let relay = Relay::start(&[]);
    let mut pair = held(&relay, LENGTH, |get| get);
    let target = format!("/stream/{}", pair.id);
    let occupied = (429, "AlreadyConnectedError", None);
    assert_error("destination", &relay.get(&target), occupied);
    assert_error("source", &relay.exchange(&Framing::Length(0).put(&pair.id)), occupied);
    assert_error("report", &relay.report(&pair.id), (409, "StreamStartedError", None));
    assert_eq!(relay.exchange(&ask("DELETE", &target)).status(), 204);
    assert_error("deleted", &pair.source.response(), (410, "StreamDeletedError", None));
    let status = relay.status(&pair.id);
    assert_eq!(status["state"], "CLIENT_ERROR");
    assert_eq!(receipt(&status), [&json!("failed"), &json!("tcp"), &json!(UNACKED)]);
    // All of it had been handed over.
    assert_eq!(read_all(&mut pair.destination), Ending::Complete);
    pair.destination.expect_end();
}

#[test]
fn a_draining_relay_waits_for_the_acknowledgement() {
    let relay = Relay::start(&[]);
    let mut pair = held(&relay, LENGTH, |get| get);
    relay.signal(Signal::SIGTERM);
    pair.source.assert_silent();
    assert_eq!(read_all(&mut pair.destination), Ending::Complete);
    assert_uploaded(&pair.source.response());
    assert!(relay.finish().status.success());
}

#[test]
fn a_relay_that_stops_fails_the_upload() {
    let relay = Relay::start(&["--drain-timeout", "100ms"]);
    let mut pair = held(&relay, LENGTH, |get| get);
    relay.signal(Signal::SIGTERM);
    assert_error("stopped", &pair.source.response(), (503, "TooBusyError", None));
    assert_eq!(read_all(&mut pair.destination), Ending::Complete);
}

#[test]
fn a_waiting_stream_keeps_its_promise_in_the_next_process() {
    let mut relays = Lineage::start(&[]);
    let id = create(&relays.first);
    relays.hand_over();
    let relay = &relays.first;
    assert_eq!(receipt(&relay.status(&id)), [&json!("expected"), &json!("tcp"), &Value::Null]);
}

#[test]
fn a_receiver_that_announces_a_receipt_still_sends_it() {
    let relay = Relay::start(&[]);
    let announce = |get: Ask| get.field("Rdv-Receipt", "expected");
    let mut pair = held(&relay, LENGTH, announce);
    let expected = [&json!("expected"), &json!("receiver"), &Value::Null];
    assert_eq!(receipt(&relay.status(&pair.id)), expected);
    pair.source.assert_silent();
    assert_eq!(read_all(&mut pair.destination), Ending::Complete);
    assert_uploaded(&pair.source.response());
    assert_eq!(receipt(&relay.status(&pair.id)), expected);
    let confirm = ask("POST", &format!("/stream/{}/receipt", pair.id));
    assert_eq!(relay.exchange(&confirm.body(json!({ "bytes": BYTES }).to_string())).status(), 200);
    let confirmed = [&json!("confirmed"), &json!("receiver"), &Value::Null];
    assert_eq!(receipt(&relay.status(&pair.id)), confirmed);
}

#[test]
fn events_end_with_the_acknowledgement() {
    let relay = Relay::start(&[]);
    let mut pair = held(&relay, LENGTH, |get| get);
    let mut subscriber = relay.connect();
    subscriber.ask(&ask("GET", &format!("/stream/{}/events", pair.id)));
    assert_eq!(subscriber.head().status, 200);
    let first = String::from_utf8(subscriber.read_some(usize::MAX)).expect("UTF-8");
    assert!(first.contains("\"receipt\":\"expected\""), "{first}");
    assert_eq!(read_all(&mut pair.destination), Ending::Complete);
    let (rest, ending) = subscriber.rest();
    let rest = String::from_utf8(rest).expect("UTF-8");
    let last = rest.lines().rfind(|line| line.starts_with("data: ")).expect("an event");
    assert!(last.contains("\"receipt\":\"confirmed\""), "{last}");
    assert_eq!(ending, Ending::Complete);
}
