//! Agents and calls at shutdown of the relay.

use nix::sys::signal::Signal;
use rdv::mux::handshake::Dialect;
use rdv::mux::session::{Closed, close};
use serde_json::Value;

use crate::agent::{Agent, DIALECTS, ok};
use crate::support::{Ending, Relay, ask, assert_error};
use crate::tunnel::Tunnel;

#[test]
fn a_draining_relay_completes_calls_and_then_closes_agents() {
    for dialect in DIALECTS {
        let relay = Relay::start(&[]);
        let mut idle = Agent::connect(&relay, dialect, Value::Null);
        let mut unknown = Agent::raw(&relay, dialect);
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        let mut client = relay.connect();
        client.ask(&ask("GET", &agent.path()));
        let request = agent.recv_request();
        relay.signal(Signal::SIGTERM);
        idle.was_sent_away();
        match dialect {
            Dialect::V1 => assert_eq!(unknown.close_frame().0, close::GOING_AWAY),
            Dialect::Text => assert_eq!(unknown.recv_close(), Closed::Lost),
        }
        agent.respond_ok(request.number, b"to its end");
        let answer = client.response();
        assert_eq!(answer.text(), "to its end", "{dialect:?}");
        assert!(answer.head.closes(), "{dialect:?}");
        agent.was_sent_away();
        drop((idle, unknown, agent, client));
        assert!(relay.finish().status.success(), "{dialect:?}");
    }
}

#[test]
fn a_draining_relay_completes_calls_through_tunnels() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut tunnel = Tunnel::of(&relay, &agent);
    let mut idle = Tunnel::of(&relay, &agent);
    let mut client = relay.connect();
    client.ask(&ask("GET", &agent.path()));
    // The most recent tunnel connection is used first.
    idle.recv_request();
    relay.signal(Signal::SIGTERM);
    tunnel.expect_end();
    idle.respond_ok(b"to its end");
    assert_eq!(client.response().text(), "to its end");
    agent.was_sent_away();
    drop(agent);
    assert!(relay.finish().status.success());
}

#[test]
fn an_immediate_stop_ends_calls_and_closes_agents() {
    for dialect in DIALECTS {
        let relay = Relay::start(&[]);
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        let mut waiting = relay.connect();
        waiting.ask(&ask("GET", &agent.path()));
        agent.recv_request();
        let mut other = Agent::connect(&relay, dialect, Value::Null);
        let mut begun = relay.connect();
        begun.ask(&ask("GET", &other.path()));
        let request = other.recv_request();
        other.respond_head(request.number, &ok(100), false);
        other.send(request.number, b"half", false);
        assert_eq!(begun.head().status, 200);
        assert_eq!(begun.body(4), b"half");
        relay.signal(Signal::SIGINT);
        assert_error("waiting", &waiting.response(), (503, "TooBusyError", None));
        assert_eq!(begun.rest(), (Vec::new(), Ending::Closed), "{dialect:?}");
        agent.was_sent_away();
        other.was_sent_away();
        drop((agent, other));
        assert!(relay.finish().status.success(), "{dialect:?}");
    }
}
