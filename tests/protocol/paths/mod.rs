//! Paths: `PUT /p/PATH` meets `GET /p/PATH`.

mod duplex;
mod early;
mod forms;
mod life;
mod piping_server;

use crate::support::{Ask, Relay, Response, Wire, ask, eventually};

const PATHS: &str = "--paths";

/// Waits until a side is connected to this path.
fn await_side(relay: &Relay, path: &str) {
    eventually(&format!("a side at {path}"), || {
        (relay.exchange(&ask("HEAD", path)).status() == 200).then_some(())
    });
}

/// Waits until the only active stream, that of a path, is in this state.
fn await_state(relay: &Relay, state: &str) {
    eventually(&format!("state {state}"), || {
        let list = relay.admin_get("/stream?active=true").json();
        (list[0]["state"] == state).then_some(())
    });
}

/// A side of a path that waits for the other one.
fn waiting(relay: &Relay, request: &Ask, path: &str) -> Wire {
    let mut wire = relay.connect();
    wire.ask(request);
    await_side(relay, path);
    wire
}

/// The response to each side; the sender is connected first, or last.
fn transfer(relay: &Relay, put: &Ask, get: &Ask, path: &str) -> [Response; 2] {
    let mut sender = waiting(relay, put, path);
    let download = relay.exchange(get);
    let first = [sender.response(), download];
    let mut receiver = waiting(relay, get, path);
    let upload = relay.exchange(put);
    let last = [upload, receiver.response()];
    for (one, other) in first.iter().zip(&last) {
        assert_eq!((one.status(), one.text()), (other.status(), other.text()), "in either order");
    }
    last
}

/// A refusal of this kind, as one line of text.
fn assert_refused(what: &str, answer: &Response, status: u16, part: &str) {
    assert_eq!(answer.status(), status, "{what}: {}", answer.text());
    assert_eq!(answer.head.get("Content-Type"), Some("text/plain; charset=utf-8"), "{what}");
    assert!(answer.text().contains(part) && answer.text().ends_with('\n'), "{}", answer.text());
    assert_eq!(answer.text().lines().count(), 1, "{what}: {}", answer.text());
}
