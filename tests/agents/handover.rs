//! Agents and calls during a hand-over to a new process.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use rdv::mux::handshake::Dialect;
use serde_json::json;

use crate::agent::{Agent, DIALECTS, upgrade};
use crate::support::{Lineage, Wire, ask, assert_error, await_end_of, eventually};
use crate::tunnel::Tunnel;

/// A relay with a listener for agents, and its address.
fn with_listener() -> (Lineage, SocketAddr) {
    let line = Lineage::start(&["--socket-listen", "127.0.0.1:0"]);
    let address = eventually("agents are served", || {
        let printed = line.first.process().stdout();
        let place =
            printed.lines().find_map(|line| line.strip_prefix("agents are served on ws://"));
        place.and_then(|place| place.parse().ok())
    });
    (line, address)
}

/// An agent that can prove ownership of its name, at a listener for agents only.
fn attach(line: &Lineage, address: SocketAddr, dialect: Dialect, name: &str) -> Agent {
    let metadata = json!({ "name": name, "secret": format!("the secret of {name}") });
    let mut agent = Agent::upgraded(address, &upgrade("/", dialect), dialect, metadata);
    agent.await_open();
    line.first.await_turn();
    agent
}

/// A call of the agent, served by the current process.
fn assert_called(line: &Lineage, agent: &mut Agent, name: &str) {
    let mut client = Wire::connect(line.address());
    client.ask(&ask("GET", &format!("/api/{name}/x")));
    let request = agent.recv_request();
    assert_eq!(request.line(), "GET /x", "{name}");
    agent.respond_ok(request.number, b"here again");
    assert_eq!(client.response().text(), "here again", "{name}");
}

#[test]
fn agents_move_to_the_new_process_and_the_old_one_completes_calls() {
    for dialect in DIALECTS {
        let (mut line, address) = with_listener();
        let mut idle = attach(&line, address, dialect, "idle");
        let mut busy = attach(&line, address, dialect, "busy");
        let mut client = line.first.connect();
        client.ask(&ask("GET", "/api/busy/before"));
        let request = busy.recv_request();
        line.hand_over();

        idle.was_sent_away();
        let nobody = Wire::connect(line.address()).exchange(&ask("GET", "/api/idle/x"));
        assert_error("the new one", &nobody, (404, "AgentNotFoundError", None));
        let mut idle = attach(&line, address, dialect, "idle");
        assert_called(&line, &mut idle, "idle");
        // The name of an agent that is still busy is free for it, too.
        let mut again = attach(&line, address, dialect, "busy");
        assert_called(&line, &mut again, "busy");

        assert!(!line.first.ended(), "{dialect:?}: a call goes on");
        busy.respond_ok(request.number, b"to its end");
        let answer = client.response();
        assert_eq!(answer.text(), "to its end", "{dialect:?}");
        assert!(answer.head.closes(), "{dialect:?}");
        busy.was_sent_away();
        drop((busy, client));
        line.await_end_of_first();
        assert_called(&line, &mut idle, "idle");
        assert_called(&line, &mut again, "busy");
        line.order(Signal::SIGTERM);
        idle.was_sent_away();
        again.was_sent_away();
        drop((idle, again));
        await_end_of(line.serving());
        assert!(!line.log().contains("panicked"), "{}", line.log());
    }
}

#[test]
fn a_call_through_a_tunnel_is_completed_by_the_old_process() {
    let (mut line, address) = with_listener();
    let mut agent = attach(&line, address, Dialect::V1, "a");
    let mut idle = Tunnel::at(address, &agent);
    let mut tunnel = Tunnel::at(address, &agent);
    let mut client = line.first.connect();
    client.ask(&ask("GET", "/api/a/before"));
    // The most recent tunnel connection is used first.
    tunnel.recv_request();
    line.hand_over();
    idle.expect_end();
    let mut again = attach(&line, address, Dialect::V1, "a");
    assert!(!line.first.ended(), "a call goes on");
    tunnel.respond_ok(b"to its end");
    assert_eq!(client.response().text(), "to its end");
    agent.was_sent_away();
    drop((agent, tunnel, client));
    line.await_end_of_first();
    assert_called(&line, &mut again, "a");
}
