//! A client that does not read blocks no other client, and costs the relay a bounded amount of
//! memory.

use rdv::mux::handshake::Dialect;
use rdv::mux::session::Event;
use serde_json::Value;

use crate::agent::{Agent, BUSY};
use crate::support::{Observed, Relay, Wire, ask, eventually};

/// Maximum growth of the relay while this much is sent to a slow client.
const GROWTH_MAX_BYTES: u64 = 4 << 20;
const BULK_BYTES: usize = 128 << 20;

#[test]
fn a_client_that_does_not_read_blocks_no_other_call() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut stalled = Wire::connect_narrow(relay.address());
    stalled.ask(&ask("GET", &agent.path()));
    let (number, _, _) = agent.recv_request_head();
    agent.respond_head(number, "HTTP/1.1 200 OK\r\n\r\n", false);
    agent.send_what_fits(number);
    let mut other = relay.connect();
    for _ in 0..3 {
        other.ask(&ask("GET", &agent.path()));
        let request = agent.recv_request();
        agent.respond_ok(request.number, b"not blocked");
        assert_eq!(other.response().text(), "not blocked");
    }
    relay.await_turn();
}

#[test]
fn a_large_response_does_not_grow_memory() {
    let relay = Relay::start(BUSY);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let place = agent.path();
    let mut client = Wire::connect_narrow(relay.address());
    let part = vec![b'x'; 1 << 20];
    client.ask(&ask("GET", &place));
    let (number, _, _) = agent.recv_request_head();
    agent.respond_head(number, &crate::agent::ok(BULK_BYTES), false);
    assert_eq!(client.head().status, 200);
    let reader = std::thread::spawn(move || client.rest().0.len());
    agent.send(number, &part, false);
    let before = relay.resident_bytes();
    let mut most = before;
    let parts = BULK_BYTES / part.len();
    for sent in 1..parts {
        agent.send(number, &part, sent + 1 == parts);
        most = most.max(relay.resident_bytes());
    }
    assert_eq!(reader.join().expect("a reader"), BULK_BYTES);
    assert!(most < before + GROWTH_MAX_BYTES, "from {before} to {most} bytes");
}

#[test]
fn an_upload_is_paused_while_the_agent_does_not_consume_it() {
    let relay = Observed::start(BUSY);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut client = relay.connect();
    client.ask(&ask("POST", &agent.path()).length(64 << 20));
    let (number, _, _) = agent.recv_request_head();
    let mut sent = 0;
    let part = vec![b'x'; 1 << 20];
    let mut received = 0;
    eventually("the window is full", || {
        sent += client.send_what_fits(&part).expect("still connected");
        while let Some(event) = agent.poll() {
            if let Event::Body { bytes, .. } = event {
                received += bytes.len();
            }
        }
        (received == 256 << 10).then_some(())
    });
    relay.await_turn();
    assert!(sent >= received);
    let mut other = relay.connect();
    other.ask(&ask("GET", &agent.path()));
    let request = agent.recv_request();
    agent.respond_ok(request.number, b"");
    assert_eq!(other.response().status(), 200, "other calls are not blocked");
    agent.cancel(number, rdv::mux::frame::CancelReason::Gone);
    assert_eq!(client.response().status(), 502);
}

#[test]
fn a_silent_agent_is_disconnected_and_its_calls_fail() {
    for dialect in crate::agent::DIALECTS {
        let relay = Relay::start(&["--agent-heartbeat", "1s"]);
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        let mut client = relay.connect();
        client.ask(&ask("GET", &agent.path()));
        agent.recv_request();
        // It stops reading, so it answers no ping.
        assert_eq!(client.response().status(), 502, "{dialect:?}");
        drop(agent);
    }
}
