//! What a single agent, or a connection before its handshake, can cost the relay.

use std::collections::HashSet;

use rdv::mux::handshake::Dialect;
use serde_json::{Value, json};

use crate::agent::{Agent, DIALECTS, frame, upgrade};
use crate::support::{Relay, TRUSTING, ask, assert_error};
use crate::tunnel::Tunnel;

const INTERIM: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

#[test]
fn interim_responses_through_a_tunnel_are_bounded() {
    let relay = Relay::start(&[]);
    let agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut tunnel = Tunnel::of(&relay, &agent);
    let mut client = relay.connect();
    client.ask(&ask("GET", &agent.path()));
    tunnel.recv_request();
    tunnel.send(INTERIM.repeat(16));
    tunnel.respond_ok(b"after sixteen");
    assert_eq!(client.response().text(), "after sixteen");

    for (name, flood) in [
        ("complete", INTERIM.repeat(17)),
        ("one that does not end", format!("HTTP/1.1 100 {}", "C".repeat(80 << 10))),
    ] {
        let mut tunnel = Tunnel::of(&relay, &agent);
        let mut client = relay.connect();
        client.ask(&ask("GET", &agent.path()));
        tunnel.recv_request();
        // The relay can close it during this write.
        let _ = std::io::Write::write_all(&mut tunnel.sender(), flood.as_bytes());
        assert_error(name, &client.response(), (502, "AgentBrokeError", None));
        tunnel.drain();
    }
}

#[test]
fn interim_responses_through_a_websocket_are_bounded() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut client = relay.connect();
    client.ask(&ask("GET", &agent.path()));
    let request = agent.recv_request();
    for _ in 0..17 {
        agent.send_raw(&frame(2, 0, request.number, INTERIM.as_bytes()));
    }
    assert_error("one too many", &client.response(), (502, "AgentBrokeError", None));
    client.ask(&ask("GET", &agent.path()));
    let request = agent.recv_request();
    agent.respond_ok(request.number, b"the next one");
    assert_eq!(client.response().text(), "the next one");
}

#[test]
fn pending_handshakes_are_bounded_and_not_counted_as_agents() {
    for dialect in DIALECTS {
        let relay = Relay::start(&["--max-agents", "1"]);
        let pending: Vec<Agent> = (0..7).map(|_| Agent::raw(&relay, dialect)).collect();
        let mut agent = Agent::named(&relay, dialect, "a");
        let mut client = relay.connect();
        client.ask(&ask("GET", "/api/a/x"));
        let request = agent.recv_request();
        agent.respond_ok(request.number, b"");
        assert_eq!(client.response().status(), 200, "{dialect:?}");
        drop((agent, pending));

        // Half of the places for one address, and half of the rest for the next.
        let relay = Relay::start(&["--open-agents", "--trusted-proxies=127.0.0.1"]);
        let mut pending = Vec::new();
        for (address, granted) in [("192.0.2.1", 50), ("192.0.2.2", 25)] {
            let request = upgrade("/socket", dialect).field("X-Forwarded-For", address);
            for number in 0..granted {
                let mut client = relay.connect();
                client.ask(&request);
                assert_eq!(client.head().status, 101, "{number} of {address}");
                pending.push(client);
            }
            let answer = relay.exchange(&request);
            assert_error("one too many", &answer, (503, "TooBusyError", None));
        }
    }
}

#[test]
fn a_handshake_beyond_max_agents_is_closed() {
    let relay = Relay::start(&["--max-agents", "1"]);
    let mut late = Agent::raw(&relay, Dialect::V1);
    let _first = Agent::named(&relay, Dialect::V1, "first");
    late.send_text(r#"{"Type":"ClientHandshakeMetaData"}"#);
    assert_eq!(late.close_frame().0, 1013);
}

#[test]
fn a_flood_of_small_frames_is_processed_to_its_end() {
    for (name, first) in [("pings", 0x89), ("pongs", 0x8a)] {
        let relay = Relay::start(&[]);
        let mut agent = Agent::named(&relay, Dialect::V1, "a");
        agent.send_raw(&[first, 0x80, 1, 2, 3, 4].repeat(20_000));
        let mut client = relay.connect();
        client.ask(&ask("GET", "/api/a/x"));
        let request = agent.recv_request();
        agent.respond_ok(request.number, b"heard");
        assert_eq!(client.response().text(), "heard", "{name}");
    }
}

#[test]
fn a_long_list_contains_each_agent_once() {
    let relay = Relay::start(&TRUSTING);
    let note = "x".repeat(3000);
    let connect = |number| {
        let metadata = json!({ "name": format!("a{number}"), "note": note });
        Agent::connect(&relay, Dialect::V1, metadata)
    };
    let agents: Vec<Agent> = (0..100).map(connect).collect();
    let answer = relay.get("/socket");
    assert_eq!(answer.head.get("Transfer-Encoding"), Some("chunked"));
    let list = answer.json();
    let names: HashSet<&str> =
        list.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!((list.as_array().map(Vec::len), names.len()), (Some(100), 100));
    drop(agents);
}
