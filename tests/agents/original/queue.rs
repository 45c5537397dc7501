//! Requests wait for the previous response.

use std::thread;

use crate::original::Original;
use crate::support::{Relay, Wire, ask, assert_error, eventually};

/// A client with a request in progress.
fn asking(relay: &Relay, path: &str) -> Wire {
    let mut client = relay.connect();
    client.ask(&ask("GET", &format!("/api/original{path}")));
    client
}

/// Waits for this number of calls in progress.
fn await_calls(relay: &Relay, count: u64) {
    eventually("the calls are in progress", || {
        let agents = relay.admin_get("/socket").json();
        (agents[0]["requests_in_flight"] == count).then_some(())
    });
}

#[test]
fn twenty_calls_at_once_get_twenty_answers() {
    let relay = Relay::start(&[]);
    let mut original = Original::start(relay.address());
    let first = asking(&relay, "/wait");
    original.await_event("asked", 1);
    thread::scope(|scope| {
        let calls: Vec<_> = (0..20)
            .map(|number| {
                let relay = &relay;
                scope.spawn(move || {
                    let path = format!("/echo?{number}");
                    let answer = asking(relay, &path).response();
                    assert_eq!((answer.status(), answer.text()), (200, &*format!("GET {path} ")));
                })
            })
            .collect();
        await_calls(&relay, 21);
        assert_eq!(original.events("asked").len(), 1, "the others wait");
        original.go_on();
        for call in calls {
            call.join().expect("an answer");
        }
    });
    let mut first = first;
    assert_eq!(first.response().text(), "waited");
    assert_eq!(original.events("cut"), [""; 0], "no answer was cut off");
}

#[test]
fn the_rest_of_an_answer_whose_client_left_is_dropped_before_the_next_request() {
    let relay = Relay::start(&[]);
    let mut original = Original::start(relay.address());
    let mut leaving = asking(&relay, "/follow");
    original.await_event("flushed", 1);
    assert_eq!(leaving.head().status, 200);
    drop(leaving);
    await_calls(&relay, 0);
    let mut next = asking(&relay, "/echo");
    await_calls(&relay, 1);
    relay.await_turn();
    assert_eq!(original.events("asked").len(), 1, "the next one waits");
    original.go_on();
    assert_eq!(next.response().text(), "GET /echo ");
    assert_eq!(original.events("cut"), [""; 0], "no answer was cut off");
}

#[test]
fn the_queue_is_bounded_in_number_and_time() {
    let relay = Relay::start(&["--max-agent-requests", "2", "--agent-timeout", "3s"]);
    let mut original = Original::start(relay.address());
    let mut first = asking(&relay, "/wait");
    original.await_event("asked", 1);
    let mut second = asking(&relay, "/echo");
    await_calls(&relay, 2);
    assert_error("a third", &asking(&relay, "/echo").response(), (503, "TooBusyError", None));
    for client in [&mut first, &mut second] {
        assert_error("late", &client.response(), (504, "AgentTimeoutError", None));
    }
    original.go_on();
    assert_eq!(asking(&relay, "/echo?after").response().text(), "GET /echo?after ");
    assert_eq!(original.events("asked").len(), 2, "the second was never sent");
}
