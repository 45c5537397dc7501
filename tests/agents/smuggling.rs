//! Bytes of one connection must not become part of another call or request.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::Duration;

use rdv::mux::frame::CancelReason;
use rdv::mux::handshake::Dialect;
use rdv::mux::session::Cancelled;
use serde_json::Value;
use socket2::SockRef;

use crate::agent::{Agent, ok, upgrade};
use crate::support::{Relay, TEST_TIMEOUT, ask, eventually, is_pattern, pattern};
use crate::tunnel::Tunnel;

/// A relay that forwards to an API.
pub(crate) fn relay_with_api(flags: &[&str]) -> (Relay, TcpListener) {
    let api = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = api.local_addr().expect("an address").to_string();
    (Relay::start(&[&["--socket-api", &address], flags].concat()), api)
}

fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn a_client_that_resets_before_its_upgrade_takes_no_agent_slot() {
    let relay = Relay::start(&["--max-agents", "1"]);
    for _ in 0..3 {
        let mut wire = relay.connect();
        relay.await_turn();
        relay.while_stopped(|| {
            wire.ask(&upgrade("/socket", Dialect::V1));
            wire.reset();
        });
        relay.await_turn();
    }
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut client = relay.connect();
    client.ask(&ask("GET", &agent.path()));
    let request = agent.recv_request();
    agent.respond_ok(request.number, b"here");
    assert_eq!(client.response().text(), "here");
}

#[test]
fn bytes_after_a_body_of_an_agent_are_not_a_request_to_the_api() {
    for (name, length, body) in [
        ("too long", 2, "hiGET /admin HTTP/1.1\r\nHost: api.test\r\n\r\n"),
        ("too short", 3, "hi"),
        ("nothing", 3, ""),
    ] {
        let (relay, api) = relay_with_api(&[]);
        let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
        let number = agent.send_request(&post(length), body.as_bytes());
        let (head, _) = agent.recv_response(number);
        assert!(head.starts_with("HTTP/1.1 400 "), "{name}: {head}");
        if body.is_empty() {
            continue;
        }
        let (mut stream, _) = api.accept().expect("the API is called");
        stream.set_read_timeout(Some(TEST_TIMEOUT)).expect("SO_RCVTIMEO");
        let mut received = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut received);
        let received = String::from_utf8_lossy(&received);
        assert!(!received.contains("admin"), "{name}: {received}");
    }
}

#[test]
fn a_reset_by_the_api_does_not_complete_a_close_delimited_response() {
    let (relay, api) = relay_with_api(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let number = agent.send_request("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", b"");
    let (stream, _) = api.accept().expect("the API is called");
    let mut api = Tunnel::over(stream);
    api.recv_request();
    api.send("HTTP/1.1 200 OK\r\n\r\nhalf");
    assert_eq!(agent.recv_body_after_head(number), b"half");
    SockRef::from(&api.sender()).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    drop(api);
    let cancelled = agent.recv_cancel(number);
    assert!(matches!(cancelled, Cancelled::There(CancelReason::Broke(_))), "{cancelled:?}");
}

#[test]
fn requests_from_agents_count_towards_max_connections() {
    let (relay, api) = relay_with_api(&["--max-connections", "2"]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let client = eventually("there is room for one more", || {
        let mut wire = relay.connect();
        (wire.exchange(&ask("GET", "/ping")).status() == 200).then_some(wire)
    });
    let number = agent.send_request("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", b"");
    let (head, _) = agent.recv_response(number);
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    drop((client, api));
}

#[test]
fn unsolicited_bytes_on_a_tunnel_are_no_response() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut tunnel = Tunnel::of(&relay, &agent);
    let mut client = relay.connect();
    client.ask(&ask("GET", &agent.path()));
    tunnel.recv_request();
    // Enough to be spliced, so that the bytes after it stay in the socket.
    let body = pattern(3, 100_000);
    tunnel.send(ok(body.len()));
    client.head();
    let mut other = relay.connect();
    relay.await_turn();
    // The end of the first call and the start of the next are read in one turn.
    relay.while_stopped(|| {
        tunnel.send([&body, ok(2).as_bytes(), b"no"].concat());
        other.ask(&ask("GET", &agent.path()));
    });
    is_pattern(3, body.len(), &client.body(body.len())).expect("the complete response");
    let request = agent.recv_request();
    agent.respond_ok(request.number, b"yes");
    assert_eq!(other.response().text(), "yes");
    tunnel.expect_end();
}

#[test]
fn a_tunnel_that_announces_its_close_is_not_reused() {
    for (name, version, fields) in [
        ("the second Connection field", "1.1", "Connection: x-own\r\nConnection: close\r\n"),
        ("HTTP/1.0", "1.0", ""),
    ] {
        let relay = Relay::start(&[]);
        let agent = Agent::connect(&relay, Dialect::V1, Value::Null);
        let mut tunnel = Tunnel::of(&relay, &agent);
        let mut client = relay.connect();
        client.ask(&ask("GET", &agent.path()));
        tunnel.recv_request();
        tunnel.send(format!("HTTP/{version} 200 OK\r\n{fields}Content-Length: 2\r\n\r\nhi"));
        assert_eq!(client.response().text(), "hi", "{name}");
        tunnel.expect_end();
    }
}

#[test]
fn an_agent_cannot_inject_lines_into_the_log() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let id = agent.welcome().connection.to_string();
    agent.close(4000, "bye\nagent connected path=/api/billing");
    let log = eventually("it disconnects", || {
        Some(relay.process().stderr())
            .filter(|log| log.contains("agent disconnected path=/socket/"))
    });
    assert!(log.contains(r"4000 bye\nagent"), "{log}");
    assert!(log.contains(&id[..8]) && !log.contains(&id), "{log}");
}
