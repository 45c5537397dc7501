//! Pages of other origins: which responses they can read, and what they can do.

use crate::support::{Ask, Head, Relay, UNKNOWN, ask, stream_of};
use serde_json::json;

const APP: &str = "https://app.example";
const ONE: &[&str] = &["--cors-origin", "http://b:81", "--cors-origin", APP];
const ALL: &[&str] = &["--cors-origin", "*"];

fn of_page(method: &str, target: &str) -> Ask {
    ask(method, target).field("Origin", APP).field("Sec-Fetch-Site", "cross-site")
}

/// The fields of CORS in a response.
fn cors(head: &Head) -> Vec<&str> {
    head.all("Access-Control-Allow-Origin")
}

/// Checks that a page of the allowed origin can read a response and its fields.
fn assert_readable(name: &str, head: &Head) {
    assert_eq!(cors(head), [APP], "{name}: {head:?}");
    assert_eq!(head.get("Vary"), Some("Origin"), "{name}");
    let exposed = head.list("Access-Control-Expose-Headers");
    for field in ["LOCATION", "RDV-ERROR", "RETRY-AFTER", "CONTENT-DISPOSITION", "*"] {
        assert!(exposed.iter().any(|exposed| exposed == field), "{name}: {exposed:?}");
    }
    assert_eq!(head.get("Access-Control-Allow-Credentials"), None, "{name}");
}

#[test]
fn a_page_of_an_allowed_origin_uses_a_stream() {
    let relay = Relay::start(ONE);
    let created =
        relay.exchange(&of_page("POST", "/stream").body(r#"{"upload_headers":{"X-A":1}}"#));
    assert_readable("create", &created.head);
    let id = stream_of(&created);
    let path = format!("/stream/{id}");
    let mut events = relay.connect();
    events.ask(&of_page("GET", &format!("{path}/events")));
    assert_readable("events", &events.head());
    let mut source = relay.connect();
    source.ask(&of_page("PUT", &format!("{path}/a.bin")).body("data"));
    relay.await_state(&id, "SRC_CONNECTED");
    assert_readable("existence", &relay.exchange(&of_page("HEAD", &path)).head);
    let download = relay.exchange(&of_page("GET", &path));
    assert_readable("download", &download.head);
    assert_eq!(download.text(), "data");
    let uploaded = source.response();
    assert_readable("upload", &uploaded.head);
    assert_eq!(uploaded.head.get("X-A"), Some("1"));
    assert_readable("status", &relay.exchange(&of_page("GET", &format!("{path}/status"))).head);
}

#[test]
fn a_page_of_an_allowed_origin_reads_errors() {
    let relay = Relay::start(&[ONE, &["--max-head", "512", "--max-json-body", "16"]].concat());
    let missing = format!("/stream/{UNKNOWN}");
    let long = "x".repeat(600);
    for (name, request, status) in [
        ("an unknown stream", of_page("GET", &missing), 404),
        ("an unknown path", of_page("GET", "/nowhere"), 404),
        ("another method", of_page("PATCH", "/stream"), 405),
        ("an unknown agent", of_page("GET", "/api/nobody"), 404),
        ("the list", of_page("GET", "/stream"), 403),
        ("a body that is too large", of_page("POST", "/stream").body(" ".repeat(17)), 413),
        ("an unknown expectation", of_page("GET", "/ping").field("Expect", "x"), 417),
        ("a head that is too large", of_page("GET", "/ping").field("X", &long), 431),
        ("an invalid head", of_page("GET", "/ping").field("Content-Length", "x"), 400),
    ] {
        let answer = relay.exchange(&request);
        assert_eq!(answer.status(), status, "{name}: {}", answer.text());
        assert_readable(name, &answer.head);
    }
    let slow = Relay::start(&[ONE, &["--header-timeout", "1s"]].concat());
    let mut wire = slow.connect();
    wire.send(format!("GET /ping HTTP/1.1\r\nOrigin: {APP}\r\n"));
    let answer = wire.response();
    assert_eq!(answer.status(), 408);
    assert_readable("a head that is too slow", &answer.head);
}

#[test]
fn a_page_of_an_allowed_origin_ends_its_own_stream() {
    for (name, flags, status) in [
        ("an allowed origin", ONE, 204),
        ("every origin", ALL, 204),
        ("another origin", &["--cors-origin", "http://b"], 403),
        ("no origin is allowed", &[], 403),
    ] {
        let relay = Relay::start(flags);
        let path = format!("/stream/{}", relay.create());
        let mut waiting = relay.connect();
        waiting.ask(&of_page("GET", &path));
        relay.await_turn();
        let answer = relay.exchange(&of_page("DELETE", &path));
        assert_eq!(answer.status(), status, "{name}");
        assert_eq!(cors(&answer.head).len(), usize::from(status == 204), "{name}");
        if status == 204 {
            let ended = waiting.response();
            assert_eq!((ended.status(), cors(&ended.head).len()), (410, 1), "{name}");
        }
    }
}

#[test]
fn a_preflight_permits_the_methods_of_the_path() {
    let relay = Relay::start(ONE);
    let id = relay.create();
    for (target, methods) in [
        ("/stream".to_owned(), "GET, HEAD, POST, OPTIONS"),
        (format!("/stream/{id}"), "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        (format!("/stream/{id}/a.bin"), "PUT, OPTIONS"),
        (format!("/stream/{id}/error"), "POST, PUT, OPTIONS"),
        ("/ping".to_owned(), "GET, HEAD, OPTIONS"),
    ] {
        let request = of_page("OPTIONS", &target)
            .field("Access-Control-Request-Method", "PUT")
            .field("Access-Control-Request-Headers", "content-type,rdv-receipt")
            .field("Access-Control-Request-Private-Network", "true");
        let answer = relay.exchange(&request);
        assert_eq!(answer.status(), 204, "{target}");
        assert_readable(&target, &answer.head);
        for (name, value) in [
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", "content-type, rdv-receipt"),
            ("Access-Control-Allow-Private-Network", "true"),
            ("Access-Control-Max-Age", "7200"),
            ("Allow", methods),
        ] {
            assert_eq!(answer.head.get(name), Some(value), "{target}: {name}");
        }
        let plain = relay.exchange(&of_page("OPTIONS", &target));
        assert_eq!(plain.head.get("Access-Control-Allow-Methods"), None, "{target}: no preflight");
    }
}

#[test]
fn pages_of_other_origins_read_nothing() {
    let origin = |value: &str| ask("OPTIONS", "/stream").field("Origin", value);
    for (name, flags, request, allowed, vary) in [
        ("off", &[][..], origin(APP), None, None),
        ("not listed", ONE, origin("https://x.app.example"), None, Some("Origin")),
        ("null", ONE, origin("null"), None, Some("Origin")),
        ("no page", ONE, ask("OPTIONS", "/stream"), None, Some("Origin")),
        ("two", ONE, origin(APP).field("Origin", APP), None, Some("Origin")),
        ("all", ALL, origin(APP), Some("*"), None),
        ("all, and null", ALL, origin("null"), Some("*"), None),
    ] {
        let relay = Relay::start(flags);
        let request = request.field("Access-Control-Request-Method", "POST");
        let answer = relay.exchange(&request);
        assert_eq!(answer.status(), 204, "{name}");
        assert_eq!(answer.head.get("Access-Control-Allow-Origin"), allowed, "{name}");
        let methods = answer.head.get("Access-Control-Allow-Methods");
        assert_eq!(methods.is_some(), allowed.is_some(), "{name}");
        assert_eq!(answer.head.get("Vary"), vary, "{name}");
    }
}

#[test]
fn operators_and_agents_keep_their_own_list_of_origins() {
    let relay = Relay::start(ALL);
    let state = relay.admin_exchange(&of_page("GET", "/control"));
    assert_eq!((state.status(), cors(&state.head).len()), (403, 0));
    let agent = of_page("GET", "/socket")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let answer = relay.exchange(&agent);
    assert_eq!((answer.status(), cors(&answer.head).len()), (403, 0));
}

#[test]
fn fields_of_the_creator_take_precedence() {
    let relay = Relay::start(ONE);
    let own = json!({ "access-control-allow-origin": "https://other.example" });
    let id = relay.create_with(&json!({ "download_headers": own, "upload_headers": own }));
    let path = format!("/stream/{id}");
    let mut source = relay.connect();
    source.ask(&of_page("PUT", &path).body("data"));
    relay.await_state(&id, "SRC_CONNECTED");
    for head in [
        relay.exchange(&of_page("HEAD", &path)).head,
        relay.exchange(&of_page("GET", &path)).head,
        source.response().head,
    ] {
        assert_eq!(cors(&head), ["https://other.example"]);
    }
    let next = source.exchange(&of_page("GET", "/ping"));
    assert_readable("the next request of the connection", &next.head);
}
