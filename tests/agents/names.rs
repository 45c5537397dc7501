//! Ownership of names, and how long it is kept.

use rdv::mux::handshake::Dialect;
use rdv::mux::session::{Closed, close};
use serde_json::{Value, json};

use crate::agent::{Agent, DIALECTS};
use crate::support::{Relay, ask, assert_error, eventually};

/// How an agent with these metadata is refused.
fn refused(relay: &Relay, metadata: Value) -> (u16, String) {
    let mut agent = Agent::with_metadata(relay.address(), Dialect::V1, metadata);
    match agent.recv_close() {
        Closed::There(code, reason) => (code, reason),
        other => panic!("not refused, but {other:?}"),
    }
}

#[test]
fn an_invalid_name_is_refused_with_the_rule() {
    let relay = Relay::start(&[]);
    for name in ["", "Billing", "a/b", "-a", "a b", &"x".repeat(64)] {
        let (code, reason) = refused(&relay, json!({ "name": name }));
        assert_eq!(code, close::POLICY, "{name:?}");
        assert!(reason.contains("a name is 1 to 63"), "{name:?}: {reason}");
    }
}

#[test]
fn a_name_in_use_is_refused_without_the_secret() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, json!({ "name": "a", "secret": "s" }));
    for (name, metadata) in [
        ("no secret", json!({ "name": "a" })),
        ("another one", json!({ "name": "a", "secret": "S" })),
    ] {
        let (code, reason) = refused(&relay, metadata);
        assert_eq!(code, close::NAME_TAKEN, "{name}");
        assert_eq!(reason, "another agent has the name a", "{name}");
    }
    let mut client = relay.connect();
    client.ask(&ask("GET", "/api/a"));
    let request = agent.recv_request();
    agent.respond_ok(request.number, b"still here");
    assert_eq!(client.response().text(), "still here");
}

#[test]
fn the_secret_allows_taking_over_the_name() {
    let relay = Relay::start(&[]);
    let metadata = json!({ "name": "a", "secret": "s" });
    for dialect in DIALECTS {
        let mut old = Agent::connect(&relay, dialect, metadata.clone());
        let mut waiting = relay.connect();
        waiting.ask(&ask("GET", "/api/a/old"));
        assert_eq!(old.recv_request().line(), "GET /old");
        let mut new = Agent::connect(&relay, dialect, metadata.clone());
        let wanted = (close::REPLACED, "another connection has taken over the name".to_owned());
        assert_eq!(old.recv_close(), Closed::There(wanted.0, wanted.1), "{dialect:?}");
        assert_error("a call of the old one", &waiting.response(), (502, "AgentGoneError", None));
        let mut client = relay.connect();
        client.ask(&ask("GET", "/api/a/new"));
        let request = new.recv_request();
        assert_eq!(request.line(), "GET /new");
        new.respond_ok(request.number, b"");
        assert_eq!(client.response().status(), 200, "{dialect:?}");
        new.close(close::NORMAL, "");
        eventually("it disconnects", || (relay.get("/api/a").status() == 404).then_some(()));
    }
}

#[test]
fn the_name_of_a_disconnected_agent_is_reserved_for_its_secret() {
    let relay = Relay::start(&["--name-lease", "1h"]);
    let metadata = json!({ "name": "a", "secret": "s" });
    Agent::connect(&relay, Dialect::V1, metadata.clone()).disconnect();
    eventually("it disconnects", || (relay.get("/api/a").status() == 404).then_some(()));
    let (code, _) = refused(&relay, json!({ "name": "a", "secret": "t" }));
    assert_eq!(code, close::NAME_TAKEN);
    Agent::connect(&relay, Dialect::V1, metadata);
}

#[test]
fn after_its_lease_the_name_is_free() {
    let relay = Relay::start(&["--name-lease", "50ms"]);
    Agent::connect(&relay, Dialect::V1, json!({ "name": "a", "secret": "s" })).disconnect();
    eventually("another one may have it", || {
        let metadata = json!({ "name": "a", "secret": "t" });
        let mut agent = Agent::with_metadata(relay.address(), Dialect::V1, metadata);
        matches!(agent.event(), rdv::mux::session::Event::Open(_)).then_some(())
    });
}

#[test]
fn without_a_secret_the_name_is_free_after_a_disconnect() {
    let relay = Relay::start(&["--name-lease", "1h"]);
    Agent::named(&relay, Dialect::Text, "a").disconnect();
    eventually("it disconnects", || (relay.get("/api/a").status() == 404).then_some(()));
    Agent::named(&relay, Dialect::Text, "a");
}
