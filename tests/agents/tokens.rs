//! Access for agents by a file of tokens.

use nix::sys::signal::Signal;
use rdv::mux::handshake::Dialect;
use rdv::mux::session::{Closed, Event, close};
use serde_json::{Value, json};

use crate::agent::{Agent, upgrade};
use crate::support::{Relay, TokenFile, assert_error, eventually};

const BILLING: &str = "billing-0123456789";
const ANY: &str = "any-0123456789abcdef";
const OTHER: &str = "other-0123456789abcdef";

struct Guarded {
    relay: Relay,
    tokens: TokenFile,
}

impl Guarded {
    fn start() -> Guarded {
        let tokens = TokenFile::new(&[
            ("billing", "agent:billing", BILLING),
            ("any", "agent,list", ANY),
            ("ci", "create", OTHER),
        ]);
        let relay = Relay::start(&["--tokens", tokens.path()]);
        Guarded { relay, tokens }
    }

    /// The response to an agent with this token in the upgrade.
    fn connect_with(&self, header: Option<&str>, metadata: Value) -> Event {
        let mut request = upgrade("/socket", Dialect::V1);
        if let Some(token) = header {
            request = request.field("Authorization", &format!("Bearer {token}"));
        }
        Agent::upgraded(self.relay.address(), &request, Dialect::V1, metadata).event()
    }
}

#[test]
fn a_token_is_accepted_in_the_upgrade_or_in_the_metadata() {
    let guarded = Guarded::start();
    for (name, header, metadata) in [
        ("in the head", Some(BILLING), json!({ "name": "billing" })),
        ("in the metadata", None, json!({ "name": "billing", "token": BILLING })),
        ("without a name", Some(BILLING), Value::Null),
        ("for any name", Some(ANY), json!({ "name": "other" })),
        ("the head counts", Some(ANY), json!({ "name": "more", "token": "unknown" })),
    ] {
        let event = guarded.connect_with(header, metadata);
        assert!(matches!(event, Event::Open(_)), "{name}: {event:?}");
        guarded.relay.await_turn();
    }
}

#[test]
fn agents_without_a_valid_token_are_refused() {
    let guarded = Guarded::start();
    let request =
        upgrade("/socket", Dialect::Text).field("Authorization", "Bearer nobody-has-this-one");
    let answer = guarded.relay.exchange(&request);
    assert_error("an unknown one in the head", &answer, (401, "UnauthorizedError", None));
    assert_eq!(answer.head.all("WWW-Authenticate").len(), 2);
    let answer = guarded.relay.exchange(
        &upgrade("/socket", Dialect::V1).field("Authorization", &format!("Bearer {OTHER}")),
    );
    assert_error("a token for others", &answer, (403, "ForbiddenError", None));
    for (name, header, metadata, wanted) in [
        ("none at all", None, Value::Null, "token"),
        ("an unknown one", None, json!({ "token": "nobody-has-this-one" }), "not valid here"),
        ("one for others", None, json!({ "token": OTHER }), "scope agent"),
        (
            "another's name",
            Some(BILLING),
            json!({ "name": "other" }),
            "not valid for the requested",
        ),
    ] {
        match guarded.connect_with(header, metadata) {
            Event::Closed(Closed::There(code, reason)) => {
                assert_eq!(code, close::POLICY, "{name}: {reason}");
                assert!(reason.contains(wanted), "{name}: {reason}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn tokens_are_reloaded() {
    let guarded = Guarded::start();
    guarded.tokens.write(&[("billing", "agent:billing", "another-0123456789")]);
    guarded.relay.signal(Signal::SIGHUP);
    eventually("the new token is known", || {
        let request =
            upgrade("/socket", Dialect::V1).field("Authorization", "Bearer another-0123456789");
        let mut wire = guarded.relay.connect();
        wire.ask(&request);
        (wire.head().status == 101).then_some(())
    });
    let answer = guarded.relay.exchange(
        &upgrade("/socket", Dialect::V1).field("Authorization", &format!("Bearer {BILLING}")),
    );
    assert_error("the old one is not", &answer, (401, "UnauthorizedError", None));
}

#[test]
fn tokens_and_secrets_are_never_shown() {
    let guarded = Guarded::start();
    let metadata =
        json!({ "name": "billing", "token": BILLING, "secret": "hush-hush", "more": "public" });
    let request = upgrade("/socket", Dialect::V1).field("Authorization", &format!("Bearer {ANY}"));
    let address = guarded.relay.address();
    let mut agent = Agent::upgraded(address, &request, Dialect::V1, metadata);
    agent.await_open();
    guarded.relay.await_turn();
    let tunnel = agent.welcome().tunnel_secret.expect("a secret").to_string();
    let list = guarded.relay.admin_get("/socket");
    assert_eq!(list.json()[0]["metadata"], json!({ "name": "billing", "more": "public" }));
    agent.close(close::NORMAL, "");
    eventually("it disconnects", || {
        (guarded.relay.get("/api/billing").status() == 404).then_some(())
    });
    guarded.relay.signal(Signal::SIGTERM);
    let finished = guarded.relay.finish();
    for secret in [BILLING, ANY, "hush-hush", &tunnel] {
        for (name, text) in
            [("the list", list.text()), ("stdout", &finished.stdout), ("stderr", &finished.stderr)]
        {
            assert!(!text.contains(secret), "{name}: {text}");
        }
    }
}
