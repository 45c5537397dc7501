//! Agents that could delay the relay's shutdown.

use nix::sys::signal::Signal;
use rdv::mux::frame::CancelReason;
use rdv::mux::handshake::Dialect;
use rdv::mux::session::{Cancelled, Closed, Event, close};
use serde_json::Value;

use crate::agent::Agent;
use crate::smuggling::relay_with_api;
use crate::support::{Relay, ask, eventually};

#[test]
fn an_agent_sends_no_new_requests_to_a_draining_relay() {
    let (mut relay, api) = relay_with_api(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut client = relay.connect();
    client.ask(&ask("GET", &agent.path()));
    let request = agent.recv_request();
    relay.signal(Signal::SIGTERM);
    agent.await_event(|event| matches!(event, Event::Draining).then_some(()));
    let number = agent.send_request("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", b"");
    let (head, _) = agent.recv_response(number);
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    agent.respond_ok(request.number, b"done");
    assert_eq!(client.response().text(), "done");
    assert!(matches!(agent.recv_close(), Closed::There(close::GOING_AWAY, _)));
    eventually("the relay ends", || relay.ended().then_some(()));
    drop(api);
}

#[test]
fn a_refused_request_ends_without_its_body() {
    let relay = Relay::start(&[]);
    for length in ["", "Content-Length: 9\r\n"] {
        let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
        let head = format!("POST / HTTP/1.1\r\nHost: api.test\r\n{length}\r\n");
        let number = agent.session.request(head.as_bytes(), false).expect("open");
        agent.flush();
        let (head, _) = agent.recv_response(number);
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        assert_eq!(agent.recv_cancel(number), Cancelled::There(CancelReason::Done), "{length:?}");
        eventually("no exchange is in progress", || {
            (relay.admin_get("/socket").json()[0]["requests_in_flight"] == 0).then_some(())
        });
        agent.disconnect();
        eventually("it disconnects", || {
            relay.admin_get("/socket").json()[0].is_null().then_some(())
        });
    }
}
