//! The three messages of a handshake.

use rdv::mux::handshake::Dialect;
use rdv::mux::session::{Closed, close};
use serde_json::{Value, json};

use crate::agent::{Agent, DIALECTS, masked};
use crate::support::{Relay, ask};

#[test]
fn an_agent_is_reachable_by_name_and_by_connection_id() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let name = if dialect == Dialect::V1 { "frames" } else { "text" };
        let mut agent = Agent::named(&relay, dialect, name);
        for place in [format!("/api/{name}"), agent.path()] {
            let mut client = relay.connect();
            client.ask(&ask("GET", &format!("{place}/a?b=c")));
            let request = agent.recv_request();
            assert_eq!(request.line(), "GET /a?b=c", "{dialect:?}");
            agent.respond_ok(request.number, b"hello");
            assert_eq!(client.response().text(), "hello", "{dialect:?} {place}");
        }
        let welcome = agent.welcome();
        let (path, tunnel) = (welcome.path.as_deref(), welcome.tunnel_secret);
        match dialect {
            Dialect::Text => assert_eq!((path, tunnel), (None, None), "nothing the seed has not"),
            Dialect::V1 => {
                assert_eq!(path, Some("/api/frames"));
                assert!(tunnel.is_some(), "tunnels are wanted");
            }
        }
    }
}

#[test]
fn an_agent_without_a_name_is_reachable_by_connection_id() {
    let relay = Relay::start(&["--max-tunnels", "0"]);
    for (name, metadata) in [
        ("no metadata", Value::Null),
        ("text", json!("a dummy")),
        ("a name that is not a string", json!({ "name": 7 })),
    ] {
        let mut agent = Agent::connect(&relay, Dialect::V1, metadata);
        assert_eq!(agent.welcome().path, Some(agent.path()), "{name}");
        assert_eq!(agent.welcome().tunnel_secret, None, "{name}: none are wanted");
        let mut client = relay.connect();
        client.ask(&ask("GET", &agent.path()));
        let request = agent.recv_request();
        assert_eq!(request.line(), "GET /", "{name}");
        agent.respond_ok(request.number, b"");
        assert_eq!(client.response().status(), 200, "{name}");
    }
}

#[test]
fn a_first_message_without_metadata_is_accepted() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::raw(&relay, Dialect::Text);
    agent.send_text(r#"{"Type":"ClientHandshakeMetaData"}"#);
    let welcome = agent.text();
    assert!(welcome.starts_with(r#"{"Type":"ServerHandshakeConnectionID","#), "{welcome}");
}

#[test]
fn a_call_right_after_the_welcome_reaches_the_agent() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::raw(&relay, Dialect::Text);
    agent.send_text(r#"{"Type":"ClientHandshakeMetaData","Meta":{"name":"early"}}"#);
    agent.text();
    // An accepted agent can be called even before it has read the acknowledgement.
    let mut client = relay.connect();
    client.ask(&ask("GET", "/api/early/a").field("X-Correlation-Id", "7"));
    let request = agent.text();
    assert!(request.starts_with("GET /a HTTP/1.1\r\n"), "{request}");
    agent.send_text(r#"{"Type":"ClientHandshakeAckFrame"}"#);
    agent.send_text("HTTP/1.1 200 OK\r\nX-Correlation-Id: 7\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.response().text(), "hi");
}

#[test]
fn an_out_of_order_handshake_closes_the_connection() {
    let relay = Relay::start(&[]);
    let meta = r#"{"Type":"ClientHandshakeMetaData","Meta":null}"#;
    let ack = r#"{"Type":"ClientHandshakeAckFrame"}"#;
    for (name, first, second) in [
        ("the last first", masked(0x81, ack.as_bytes()), None),
        ("no JSON", masked(0x81, b"hello"), None),
        ("a binary message", masked(0x82, b"hello"), None),
        ("the first again", masked(0x81, meta.as_bytes()), Some(masked(0x81, meta.as_bytes()))),
        (
            "HTTP too early",
            masked(0x81, meta.as_bytes()),
            Some(masked(0x81, b"HTTP/1.1 200 OK\r\n\r\n")),
        ),
    ] {
        for dialect in DIALECTS {
            let mut agent = Agent::raw(&relay, dialect);
            agent.send_raw(&first);
            if let Some(second) = &second {
                agent.text();
                agent.send_raw(second);
            }
            let (code, reason) = agent.close_frame();
            assert_eq!(code, close::PROTOCOL, "{name}: {reason}");
        }
    }
}

#[test]
fn protocol_violations_after_the_handshake_close_the_connection() {
    let relay = Relay::start(&[]);
    for (name, dialect, bytes, wanted) in [
        ("text among frames", Dialect::V1, masked(0x81, b"hello"), close::PROTOCOL),
        ("an unknown kind", Dialect::V1, crate::agent::frame(99, 0, 1, b""), close::PROTOCOL),
        ("a frame too short", Dialect::V1, masked(0x82, b"\x01\x00"), close::PROTOCOL),
        ("bytes, no HTTP", Dialect::Text, masked(0x82, b"hello there\r\n\r\n"), close::PROTOCOL),
        ("no HTTP", Dialect::Text, masked(0x81, b"hello there\r\n\r\n"), close::PROTOCOL),
        ("no UTF-8", Dialect::Text, masked(0x81, b"\xff\r\n\r\n"), close::PROTOCOL),
        ("a message too long", Dialect::V1, masked(0x82, &vec![0; 100_000]), 1009),
    ] {
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        agent.send_raw(&bytes);
        match agent.recv_close() {
            Closed::There(code, reason) => assert_eq!(code, wanted, "{name}: {reason}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}
