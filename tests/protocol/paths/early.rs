//! `Prefer: respond-async`: the response to a sender begins at once, and is complete only if its
//! upload succeeds. Clients such as piping-tunnel wait for it before they receive.

use super::{PATHS, assert_refused, await_state, waiting};
use crate::support::{Ending, Framing, Relay, Wire, ask};

/// A sender that has the head of its response, before any receiver is connected.
fn early(relay: &Relay, path: &str) -> Wire {
    let mut sender = relay.connect();
    sender.ask(&ask("POST", path).chunked().field("Prefer", "wait=1, respond-async"));
    let head = sender.head();
    assert_eq!((head.status, head.get("Preference-Applied")), (202, Some("respond-async")));
    assert!(head.closes(), "{head:?}");
    sender
}

#[test]
fn two_clients_that_wait_for_responses_before_they_receive_are_connected() {
    let relay = Relay::start(&[PATHS]);
    let mut senders = [early(&relay, "/p/a"), early(&relay, "/p/b")];
    let mut receivers = ["/p/a", "/p/b"].map(|path| {
        let mut receiver = relay.connect();
        receiver.ask(&ask("GET", path));
        receiver
    });
    for round in 0..3 {
        for (sender, receiver) in senders.iter_mut().zip(&mut receivers) {
            sender.send(Framing::Chunked.piece(b"piece"));
            if round == 0 {
                assert_eq!(receiver.head().status, 200);
            }
            assert_eq!(receiver.body(5), b"piece");
        }
    }
    for (sender, receiver) in senders.iter_mut().zip(&mut receivers) {
        sender.send(Framing::Chunked.end());
        assert_eq!(receiver.rest(), (Vec::new(), Ending::Complete));
        assert_eq!(sender.rest(), (Vec::new(), Ending::Complete), "the upload succeeded");
    }
}

#[test]
fn a_response_that_was_begun_is_not_complete_after_a_failure() {
    let relay = Relay::start(&[PATHS]);
    let mut sender = early(&relay, "/p/a");
    let mut receiver = relay.connect();
    receiver.ask(&ask("GET", "/p/a"));
    sender.send(Framing::Chunked.piece(b"piece"));
    receiver.head();
    assert_eq!(receiver.body(5), b"piece");
    receiver.reset();
    let (text, ending) = sender.rest();
    assert_ne!(ending, Ending::Complete);
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("Stream destination closed unexpectedly"), "{text}");

    let relay = Relay::start(&[PATHS, "--max-ttl", "1s", "--ttl", "1s"]);
    let mut sender = early(&relay, "/p/a");
    let (text, ending) = sender.rest();
    assert_ne!(ending, Ending::Complete);
    assert!(String::from_utf8(text).unwrap().starts_with("SessionTimeoutError: "));
}

#[test]
fn a_refusal_is_the_response() {
    let relay = Relay::start(&[PATHS, "--max-stream-bytes", "4", "--max-streams", "1"]);
    let put = |path| ask("PUT", path).field("Prefer", "respond-async");
    assert_refused("alone", &relay.exchange(&put("/p/a").body("hello")), 413, "4 bytes");
    let mut receiver = waiting(&relay, &ask("GET", "/p/a"), "/p/a");
    assert_refused("too many", &relay.exchange(&put("/p/b").body("x")), 503, "TooBusyError");
    assert_refused("paired", &relay.exchange(&put("/p/a").body("hello")), 413, "4 bytes");
    assert_refused("its receiver", &receiver.response(), 502, "4 bytes");
    let _sender = waiting(&relay, &ask("PUT", "/p/a").length(4), "/p/a");
    assert_refused(
        "another sender",
        &relay.exchange(&put("/p/a").body("x")),
        400,
        "Another sender",
    );
}

#[test]
fn the_preference_is_ignored_where_it_cannot_be_met() {
    let relay = Relay::start(&[PATHS]);
    let put = || ask("PUT", "/p/a").length(5).field("Prefer", "respond-async");
    for (name, request) in [
        ("a client that waits for 100 Continue", put().field("Expect", "100-continue")),
        ("HTTP/1.0", put().http10()),
    ] {
        let mut sender = relay.connect();
        sender.ask(&request);
        await_state(&relay, "SRC_CONNECTED");
        let mut receiver = relay.connect();
        receiver.ask(&ask("GET", "/p/a"));
        if request.bytes().windows(6).any(|part| part == b"Expect") {
            sender.expect_continue();
        }
        sender.send(b"hello");
        assert_eq!(receiver.response().body, b"hello", "{name}");
        assert_eq!(sender.response().status(), 200, "{name}");
    }
}
