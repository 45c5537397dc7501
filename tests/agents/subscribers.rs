//! The list of connected agents, and events for connects and disconnects.

use rdv::mux::handshake::Dialect;
use rdv::mux::session::close;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::support::{Observed, Relay, TRUSTING, Wire, ask, assert_error, parse};

/// The name and the data of the next event.
fn event(wire: &mut Wire) -> (String, Value) {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        text.push_str(std::str::from_utf8(&wire.body(1)).expect("UTF-8"));
    }
    let line = |start: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_else(|| panic!("no {start} in {text:?}")).to_owned()
    };
    (line("event: "), parse(line("data: ").as_bytes()))
}

#[test]
fn the_list_contains_an_object_per_agent() {
    let relay = Relay::start(&[]);
    assert_eq!(relay.admin_get("/socket").json(), json!([]));
    let mut agent = Agent::connect(&relay, Dialect::V1, json!({ "name": "a", "of": [1, 2] }));
    let mut client = relay.connect();
    client.ask(&ask("GET", "/api/a"));
    let request = agent.recv_request();
    let list = relay.admin_get("/socket").json();
    let shown = &list[0];
    assert_eq!(shown["id"], agent.welcome().connection.to_string());
    assert_eq!(shown["name"], "a");
    assert_eq!(shown["metadata"], json!({ "name": "a", "of": [1, 2] }));
    assert_eq!(shown["protocol"], "rdv.socket.v1");
    assert_eq!((&shown["requests_in_flight"], &shown["requests"]), (&json!(1), &json!(1)));
    assert_eq!(shown["spares"], 0);
    for field in ["remote_addr", "connected_at", "last_heartbeat_at"] {
        assert!(shown[field].is_string(), "{field}: {shown}");
    }
    for field in ["age_seconds", "bytes_in", "bytes_out"] {
        assert!(shown[field].is_u64(), "{field}: {shown}");
    }
    agent.respond_ok(request.number, b"");
    assert_eq!(client.response().status(), 200);
    let text = Agent::connect(&relay, Dialect::Text, Value::Null);
    let list = relay.admin_get("/socket").json();
    let id = json!(text.welcome().connection.to_string());
    let shown = list.as_array().expect("a list").iter().find(|one| one["id"] == id);
    assert_eq!(shown.expect("the second one")["protocol"], "text");
    drop(text);
}

#[test]
fn agents_are_listed_on_the_admin_listener_only() {
    let relay = Observed::start(&[]);
    let _agent = Agent::named(&relay, Dialect::V1, "a");
    assert_eq!(relay.admin_exchange(&ask("GET", "/socket")).json()[0]["name"], "a");
    for target in ["/socket", "/socket/events"] {
        let refused = relay.get(target);
        assert_error(target, &refused, (403, "ForbiddenError", None));
        assert!(refused.text().contains("rdv ctl agents"), "{}", refused.text());
    }
}

#[test]
fn connects_and_disconnects_are_sent_as_events() {
    let relay = Relay::start(&[&TRUSTING[..], &["--agent-heartbeat", "1s"]].concat());
    let mut subscriber = relay.connect();
    subscriber.ask(&ask("GET", "/socket/events"));
    assert_eq!(subscriber.head().get("Content-Type"), Some("text/event-stream"));
    for (name, leaves, kind) in [
        ("closed", (|mut agent| agent.close(close::NORMAL, "")) as fn(Agent), "ConnectionClosed"),
        ("lost", Agent::disconnect, "ConnectionFailure"),
        // Its pings are not read.
        ("silent", std::mem::forget, "ConnectionFailure"),
    ] {
        let agent = Agent::named(&relay, Dialect::V1, name);
        let id = agent.welcome().connection.to_string();
        let (received, data) = event(&mut subscriber);
        assert_eq!(received, "ConnectionReceived", "{name}");
        assert_eq!((&data["connection_id"], &data["name"]), (&json!(id), &json!(name)));
        leaves(agent);
        let (left, data) = event(&mut subscriber);
        assert_eq!((left.as_str(), &data["type"]), (kind, &json!(kind)), "{name}: {data}");
        assert_eq!(data["connection_id"], id, "{name}");
        assert!(data["reason"].is_string() && data["at"].is_string(), "{name}: {data}");
    }
    let mut refused =
        Agent::with_metadata(relay.address(), Dialect::V1, json!({ "name": "No Name" }));
    refused.recv_close();
    let (kind, data) = event(&mut subscriber);
    assert_eq!((kind.as_str(), &data["connection_id"]), ("ConnectionFailure", &Value::Null));
}
