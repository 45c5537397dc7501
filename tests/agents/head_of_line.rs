//! In the text dialect a client that does not read blocks other clients of its agent, for a limited
//! time.

use rdv::mux::handshake::Dialect;
use serde_json::Value;

use crate::agent::Agent;
use crate::support::{Ending, Relay, Wire, ask};

/// More than the kernel buffers for a client that does not read, in bytes.
const LARGE_BYTES: usize = 32 << 20;

#[test]
fn a_client_that_does_not_read_a_text_response_is_disconnected_alone() {
    let relay = Relay::start(&["--agent-heartbeat", "4s"]);
    let mut agent = Agent::connect(&relay, Dialect::Text, Value::Null);
    let mut stalled = Wire::connect_narrow(relay.address());
    stalled.ask(&ask("GET", &agent.path()));
    let large = agent.recv_request();
    let mut other = relay.connect();
    other.ask(&ask("GET", &agent.path()));
    // All of it is sent only once the stalled call has ended.
    agent.respond_ok(large.number, &vec![b'x'; LARGE_BYTES]);
    let small = agent.recv_request();
    agent.respond_ok(small.number, b"not blocked");
    assert_eq!(other.response().text(), "not blocked");
    assert_eq!(stalled.head().status, 200);
    let (body, ending) = stalled.rest();
    assert!(body.len() < LARGE_BYTES, "the rest was dropped");
    assert_ne!(ending, Ending::Complete);
    other.ask(&ask("GET", &agent.path()));
    let request = agent.recv_request();
    agent.respond_ok(request.number, b"still there");
    assert_eq!(other.response().text(), "still there");
}
