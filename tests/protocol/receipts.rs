//! Receipts: a receiver that announces one reports whether it has the data.

use serde_json::{Value, json};

use crate::support::{
    Ask, Ending, Framing, Relay, Response, UNKNOWN, Wire, ask, assert_error, assert_uploaded,
};

const UNEXPECTED: (u16, &str, Option<&str>) = (
    409,
    "ReceiptError",
    Some("No receipt is expected: none was announced with the GET, or it was already sent"),
);

fn get(id: &str) -> Ask {
    ask("GET", &format!("/stream/{id}"))
}

fn announced(id: &str) -> Ask {
    get(id).field("Rdv-Receipt", "expected")
}

fn put(id: &str) -> Ask {
    Framing::Length(5).put(id).raw_body(b"hello")
}

fn send(relay: &Relay, id: &str, receipt: &Value) -> Response {
    let body = receipt.to_string();
    relay.exchange(&ask("POST", &format!("/stream/{id}/receipt")).body(body))
}

/// A stream whose receiver has read the complete body of 5 bytes.
fn received(relay: &Relay, receiver: impl Fn(&str) -> Ask) -> String {
    let id = relay.create();
    let mut destination = relay.connect();
    destination.ask(&receiver(&id));
    relay.await_state(&id, "DST_CONNECTED");
    assert_uploaded(&relay.exchange(&put(&id)));
    assert_eq!(destination.response().text(), "hello");
    id
}

#[test]
fn a_receipt_is_shown_in_the_status() {
    let relay = Relay::start(&[]);
    for (name, receipt, shown) in [
        ("confirmed", json!({ "bytes": 5 }), json!({ "receipt": "confirmed" })),
        (
            "with a digest",
            json!({ "bytes": 5, "digest": "sha-256=:x:" }),
            json!({ "receipt": "confirmed", "receipt_digest": "sha-256=:x:" }),
        ),
        (
            "failed",
            json!({ "error": "no space left" }),
            json!({ "receipt": "failed", "receipt_error": "no space left" }),
        ),
        (
            "not all bytes",
            json!({ "bytes": 4 }),
            json!({ "receipt": "failed", "receipt_error": "the receiver has 4 of 5 bytes" }),
        ),
    ] {
        let id = received(&relay, announced);
        assert_eq!(relay.status(&id)["receipt"], "expected", "{name}");
        assert_eq!(send(&relay, &id, &receipt).status(), 200, "{name}");
        let status = relay.status(&id);
        assert_eq!(status["state"], "FINISHED", "{name}");
        for (member, value) in shown.as_object().expect("an object") {
            assert_eq!(&status[member], value, "{name}");
        }
        assert_error(name, &send(&relay, &id, &receipt), UNEXPECTED);
    }
}

#[test]
fn a_receiver_that_announces_none_sends_none() {
    let relay = Relay::start(&[]);
    for (name, receiver) in [
        ("a plain client", get as fn(&str) -> Ask),
        ("another value", |id| get(id).field("Rdv-Receipt", "no")),
    ] {
        let id = received(&relay, receiver);
        assert_eq!(relay.status(&id)["receipt"], "none", "{name}");
        assert_error(name, &send(&relay, &id, &json!({ "bytes": 5 })), UNEXPECTED);
        assert_eq!(relay.status(&id)["receipt"], "none", "{name}");
    }
}

#[test]
fn a_receipt_that_is_invalid_or_too_early_changes_nothing() {
    let relay = Relay::start(&[]);
    let early = (409, "ReceiptError", Some("The transfer is not complete; send the receipt again"));
    let id = relay.create();
    let mut destination = relay.connect();
    destination.ask(&announced(&id));
    relay.await_state(&id, "DST_CONNECTED");
    assert_error("waiting", &send(&relay, &id, &json!({ "bytes": 0 })), early);
    let mut source = relay.connect();
    source.ask(&Framing::Length(5).put(&id).raw_body(b"hell"));
    relay.await_state(&id, "STREAMING");
    assert_error("streaming", &send(&relay, &id, &json!({ "bytes": 4 })), early);
    for body in [json!({}), json!({ "bytes": -1 }), json!({ "bytes": "5" }), json!([])] {
        let answer = send(&relay, &id, &body);
        assert_error("invalid", &answer, (400, "InvalidBodyError", None));
    }
    let unknown = (404, "SessionNotFoundError", None);
    assert_error("unknown", &send(&relay, UNKNOWN, &json!({ "bytes": 5 })), unknown);
    assert_error("no UUID", &send(&relay, "x", &json!({ "bytes": 5 })), unknown);
    assert_eq!(relay.status(&id)["receipt"], "expected");
    // A failure counts at any time: the disk can be full before the end.
    assert_eq!(send(&relay, &id, &json!({ "error": "no space left" })).status(), 200);
    assert_eq!(relay.status(&id)["receipt"], "failed");
}

#[test]
fn a_receiver_that_leaves_takes_its_announcement_with_it() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let mut first = relay.connect();
    first.ask(&announced(&id));
    relay.await_state(&id, "DST_CONNECTED");
    assert_eq!(relay.status(&id)["receipt"], "expected");
    drop(first);
    relay.await_state(&id, "CREATED");
    assert_eq!(relay.status(&id)["receipt"], "none");
}

#[test]
fn events_end_once_the_receipt_is_known() {
    let relay = Relay::start(&[]);
    for (receiver, states) in
        [(announced as fn(&str) -> Ask, &["expected", "confirmed"][..]), (get, &["none"])]
    {
        let id = received(&relay, receiver);
        let mut subscriber = relay.connect();
        subscriber.ask(&ask("GET", &format!("/stream/{id}/events")));
        assert_eq!(subscriber.head().status, 200);
        let mut seen = Vec::new();
        if states.len() > 1 {
            seen = some_event(&mut subscriber);
            assert_eq!(send(&relay, &id, &json!({ "bytes": 5 })).status(), 200);
        }
        let (rest, ending) = subscriber.rest();
        seen.extend_from_slice(&rest);
        assert_eq!(ending, Ending::Complete);
        let text = String::from_utf8(seen).expect("UTF-8");
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let receipts: Vec<_> =
            data.map(|data| crate::support::parse(data.as_bytes())["receipt"].clone()).collect();
        assert_eq!(receipts, states);
    }
}

/// The first event.
fn some_event(subscriber: &mut Wire) -> Vec<u8> {
    let mut event = Vec::new();
    while !event.ends_with(b"\n\n") {
        event.extend_from_slice(&subscriber.read_some(usize::MAX));
    }
    event
}

#[test]
fn a_file_may_be_called_receipt() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let mut destination = relay.connect();
    destination.ask(&get(&id));
    relay.await_state(&id, "DST_CONNECTED");
    let upload = ask("PUT", &format!("/stream/{id}/receipt")).length(5).raw_body(b"hello");
    assert_uploaded(&relay.exchange(&upload));
    let response = destination.response();
    let disposition = response.head.get("Content-Disposition").expect("a name");
    assert!(disposition.contains("receipt"), "{disposition}");
}
