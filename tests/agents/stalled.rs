//! Stalled peers: a client in the middle of its response, and an agent that does not read.

use rdv::mux::handshake::Dialect;
use serde_json::Value;

use crate::agent::Agent;
use crate::support::{Framing, Relay, Wire, ask, assert_error};

/// Maximum growth of the relay for an agent that does not read, in bytes.
const GROWTH_MAX_BYTES: u64 = 4 << 20;

/// Clients that send as much as possible to an agent that does not read. Each has a window of 256
/// KiB.
const UPLOADS: usize = 64;

/// Unrelated exchanges continue: a call of another agent, and a stream.
fn assert_others_are_served(relay: &Relay, other: &mut Agent) {
    let mut pair = relay.pair(Framing::Chunked);
    pair.pass_first(b"begun");
    for _ in 0..3 {
        let mut client = relay.connect();
        client.ask(&ask("POST", &other.path()).body("a question"));
        let request = other.recv_request();
        assert_eq!(request.body, b"a question");
        other.respond_ok(request.number, b"another agent");
        assert_eq!(client.response().text(), "another agent");
        pair.pass(b"more");
    }
    pair.complete();
}

#[test]
fn a_client_that_stalls_during_a_response_blocks_nothing() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut other = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut stalled = Wire::connect_narrow(relay.address());
    stalled.ask(&ask("GET", &agent.path()));
    let (number, _, _) = agent.recv_request_head();
    agent.respond_head(number, "HTTP/1.1 200 OK\r\n\r\n", false);
    agent.send(number, &[b'x'; 1000], false);
    assert_eq!(stalled.head().status, 200);
    assert_eq!(stalled.body(1000).len(), 1000, "it has begun");
    agent.send_what_fits(number);

    let mut client = relay.connect();
    for _ in 0..3 {
        client.ask(&ask("POST", &agent.path()).body("a question"));
        let request = agent.recv_request();
        assert_eq!(request.body, b"a question");
        agent.respond_ok(request.number, b"the same agent");
        assert_eq!(client.response().text(), "the same agent");
    }
    assert_others_are_served(&relay, &mut other);

    // It continues where it stopped.
    let reader = std::thread::spawn(move || stalled.rest().0);
    agent.send(number, b"the end", true);
    assert!(reader.join().expect("a reader").ends_with(b"the end"));
}

/// Uploads to an agent that does not read, until they block.
fn stuck_uploads(relay: &Relay, agent: &Agent, count: usize) -> Vec<Wire> {
    let part = vec![b'x'; 16 << 20];
    let upload = |_| {
        let mut client = relay.connect();
        client.ask(&ask("POST", &agent.path()).length(part.len()));
        assert!(relay.fill(&mut client, &part) < part.len(), "it has to wait");
        client
    };
    (0..count).map(upload).collect()
}

#[test]
fn uploads_to_an_agent_that_does_not_read_end_with_the_heartbeat() {
    let relay = Relay::start(&["--agent-heartbeat", "2s"]);
    let agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let echo = Agent::named(&relay, Dialect::V1, "other").echo();
    let mut clients = stuck_uploads(&relay, &agent, 1);
    assert_eq!(relay.exchange(&ask("GET", "/api/other/x")).text(), "GET /x HTTP/1.1\n");
    for client in &mut clients {
        assert_error("given up", &client.response(), (502, "AgentGoneError", None));
    }
    assert_eq!(relay.exchange(&ask("GET", "/api/other/x")).text(), "GET /x HTTP/1.1\n");
    drop((agent, relay));
    echo.join().expect("the other agent");
}

#[test]
fn an_agent_that_does_not_read_uses_little_memory_and_blocks_no_other() {
    let relay = Relay::start(&["--agent-heartbeat", "10m"]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut other = Agent::connect(&relay, Dialect::V1, Value::Null);
    let before = relay.resident_bytes();
    let clients = stuck_uploads(&relay, &agent, UPLOADS);
    let grown = relay.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_MAX_BYTES, "{} KiB for {UPLOADS} uploads", grown >> 10);
    assert_others_are_served(&relay, &mut other);
    // All of them are in progress, and blocked.
    for _ in 0..UPLOADS {
        let (_, _, over) = agent.recv_request_head();
        assert!(!over);
    }
    drop(clients);
}
