//! Calls that need a token of the relay: it is consumed, and the credentials for the API pass.

use rdv::mux::handshake::Dialect;
use serde_json::json;

use crate::agent::{Agent, upgrade};
use crate::support::{Relay, TokenFile, ask};

const AGENT: &str = "agent-0123456789abcdef";
const CALLER: &str = "caller-0123456789abcdef";
const OTHER: &str = "other-0123456789abcdef";

#[test]
fn the_token_of_a_call_is_consumed_and_credentials_for_the_api_pass() {
    let tokens = TokenFile::new(&[
        ("agent", "agent", AGENT),
        ("caller", "call:billing", CALLER),
        ("other", "call:mail", OTHER),
    ]);
    for (name, flags, fields, passed) in [
        ("not required", &[][..], &[("Authorization", "Bearer of-the-api")][..], Ok("of-the-api")),
        ("in its own field", &["--require=call"], &[("Authorization", CALLER)], Ok("")),
        (
            "in the field of the relay",
            &["--require=call"],
            &[("Proxy-Authorization", CALLER), ("Authorization", "of-the-api")],
            Ok("of-the-api"),
        ),
        ("none", &["--require=call"], &[], Err(401)),
        (
            "that of the API alone",
            &["--require=call"],
            &[("Authorization", "of-the-api")],
            Err(401),
        ),
        ("for another agent", &["--require=call"], &[("Authorization", OTHER)], Err(403)),
    ] {
        let relay = Relay::start(&[&["--tokens", tokens.path()], flags].concat());
        let request =
            upgrade("/socket", Dialect::V1).field("Authorization", &format!("Bearer {AGENT}"));
        let metadata = json!({ "name": "billing" });
        let mut agent = Agent::upgraded(relay.address(), &request, Dialect::V1, metadata);
        agent.await_open();
        let mut request = ask("GET", "/api/billing/");
        for (field, token) in fields {
            request = request.field(field, &format!("Bearer {token}"));
        }
        let mut client = relay.connect();
        client.ask(&request);
        let passed = match passed {
            Err(status) => {
                assert_eq!(client.response().status(), status, "{name}");
                continue;
            }
            Ok(passed) => passed,
        };
        let received = agent.recv_request();
        let text = received.head.to_lowercase();
        assert!(!text.contains("0123456789"), "{name}: {text}");
        assert_eq!(text.contains("authorization: "), !passed.is_empty(), "{name}: {text}");
        assert!(text.contains(passed), "{name}: {text}");
        agent.respond_ok(received.number, b"");
        assert_eq!(client.response().status(), 200, "{name}");
    }
}
