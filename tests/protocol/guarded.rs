//! Streams with tokens of their own, chosen identifiers, and creations that are repeated.

use serde_json::{Value, json};

use crate::support::{Ask, Observed, Relay, TokenFile, UNKNOWN, ask, assert_error};

/// A stream with tokens: the response to its creation.
struct Guarded(Value);

impl Guarded {
    fn create(relay: &Relay) -> Guarded {
        let answer = relay.exchange(&ask("POST", "/stream").body(r#"{"tokens":true}"#));
        assert_eq!(answer.status(), 201, "{}", answer.text());
        Guarded(answer.json())
    }

    fn text(&self, member: &str) -> &str {
        self.0[member].as_str().unwrap_or_else(|| panic!("{member} in {}", self.0))
    }

    /// A URL of the stream, with a token; `/stream/ID` and this rest.
    fn url(&self, rest: &str, token: &str) -> String {
        let mark = if rest.contains('?') { '&' } else { '?' };
        format!("/stream/{}{rest}{mark}t={}", self.text("stream"), self.text(token))
    }

    fn bare(&self, rest: &str) -> String {
        format!("/stream/{}{rest}", self.text("stream"))
    }
}

/// The status of a response, of which only the head is read.
fn status(relay: &Relay, request: &Ask) -> u16 {
    let mut client = relay.connect();
    client.ask(request);
    client.head().status
}

#[test]
fn each_token_of_a_stream_is_for_its_own_requests() {
    let relay = Relay::start(&[]);
    let stream = Guarded::create(&relay);
    let page = format!("/s/{}?t=", stream.text("stream"));
    for (name, method, rest, allowed) in [
        ("status", "GET", "/status", ["put_token", "get_token", "owner_token"].as_slice()),
        ("events", "GET", "/events", &["put_token", "get_token", "owner_token"]),
        ("head", "HEAD", "", &["put_token", "get_token", "owner_token"]),
        ("receipt", "POST", "/receipt", &["get_token"]),
        ("upload", "PUT", "/name.txt", &["put_token"]),
        ("deletion", "DELETE", "", &["owner_token"]),
    ] {
        for token in ["put_token", "get_token", "owner_token"] {
            // An upload would wait for its receiver.
            if ["DELETE", "PUT"].contains(&method) && allowed.contains(&token) {
                continue;
            }
            let found = status(&relay, &ask(method, &stream.url(rest, token)));
            assert_eq!(found != 403, allowed.contains(&token), "{name} with {token}: {found}");
            assert_ne!(found, 401, "{name} with {token}");
        }
        let answer = status(&relay, &ask(method, &stream.bare(rest)));
        assert_eq!(answer, 401, "{name} without a token");
        let unknown = format!("{}?t=00000000000040008000000000000000", stream.bare(rest));
        assert_eq!(status(&relay, &ask(method, &unknown)), 401, "{name} with an unknown token");
    }
    for (token, code) in [("put_token", 403), ("get_token", 200), ("owner_token", 403)] {
        let found = status(&relay, &ask("GET", &format!("{page}{}", stream.text(token))));
        assert_eq!(found, code, "the page with {token}");
    }
    assert_eq!(status(&relay, &ask("DELETE", &stream.url("", "owner_token"))), 204);
    let answer = relay.get(&stream.url("/status", "owner_token"));
    assert_eq!(answer.json()["state"], "CLIENT_ERROR");
    for token in ["put_token", "get_token", "owner_token"] {
        assert!(!answer.text().contains(stream.text(token)), "{}", answer.text());
    }
}

#[test]
fn a_stream_with_tokens_is_used_with_them() {
    let relay = Relay::start(&[]);
    for in_head in [false, true] {
        let stream = Guarded::create(&relay);
        let request = |method: &str, token: &str| {
            if in_head {
                let bearer = format!("Bearer {}", stream.text(token));
                ask(method, &stream.bare("")).field("Authorization", &bearer)
            } else {
                ask(method, &stream.url("", token))
            }
        };
        let mut source = relay.connect();
        source.ask(&request("PUT", "put_token").body("hello"));
        let answer = relay.exchange(&request("GET", "get_token"));
        assert_eq!((answer.status(), answer.text()), (200, "hello"));
        assert_eq!(source.response().status(), 200);
    }
}

#[test]
fn the_token_of_a_stream_replaces_one_of_the_relay_and_not_the_reverse() {
    let tokens = TokenFile::new(&[("all", "create,send,receive,list", "hush")]);
    let every = ["--tokens", tokens.path(), "--require", "create,send,receive"];
    let relay = Observed::start(&every);
    let with = |ask: Ask| ask.field("Authorization", "Bearer hush");
    let answer = relay.exchange(&with(ask("POST", "/stream").body(r#"{"tokens":true}"#)));
    let stream = Guarded(answer.json());
    // More than the unknown tokens that an address may send: it is known.
    for _ in 0..25 {
        let answer = relay.exchange(&with(ask("GET", &stream.bare("/status"))));
        assert_error("a token of the relay", &answer, (401, "UnauthorizedError", None));
        assert!(answer.text().contains("This stream has tokens of its own"), "{}", answer.text());
    }
    assert_eq!(status(&relay, &ask("GET", &stream.url("/status", "get_token"))), 200);
    let answer = relay.admin_exchange(&ask("GET", &stream.bare("/status")));
    assert_eq!(answer.status(), 200, "operators need none");
    let list = relay.exchange(&with(ask("GET", "/stream")));
    assert!(!list.text().contains(stream.text("get_token")), "{}", list.text());
}

#[test]
fn the_page_of_a_stream_passes_its_token_on() {
    let relay = Relay::start(&[]);
    let stream = Guarded::create(&relay);
    let (id, token) = (stream.text("stream"), stream.text("get_token"));
    let page = relay.exchange(&ask("GET", &format!("/s/{id}?t={token}&x=<b>")));
    for part in [
        format!("href=\"/stream/{id}?download&amp;t={token}\""),
        format!("data-query=\"?t={token}\""),
        format!("rdv receive &#39;http://relay.test/stream/{id}?t={token}&#39;"),
    ] {
        let text = page.text().replace("'http", "&#39;http").replace("'<", "&#39;<");
        assert!(text.contains(&part), "{part} in {text}");
    }
    let open = relay.create();
    let page = relay.get(&format!("/s/{open}?t={token}"));
    assert!(!page.text().contains(token), "nothing of the query is shown");
}

#[test]
fn an_identifier_is_chosen_with_a_token_only() {
    let tokens = TokenFile::new(&[("ci", "create", "hush"), ("cd", "send", "other")]);
    let relay = Relay::start(&["--tokens", tokens.path(), "--require", "agent"]);
    let body = json!({ "id": UNKNOWN.replace('0', "A") }).to_string();
    let create = || ask("POST", "/stream").body(&body);
    for token in [None, Some("other"), Some("guess")] {
        let mut request = create();
        if let Some(token) = token {
            request = request.field("Authorization", &format!("Bearer {token}"));
        }
        assert_error("no scope", &relay.exchange(&request), (403, "ForbiddenError", None));
    }
    let created = relay.exchange(&create().field("Authorization", "Bearer hush"));
    let id = UNKNOWN.replace('0', "a");
    assert_eq!((created.status(), &created.json()["stream"]), (201, &json!(id)));
    let again = || relay.exchange(&create().field("Authorization", "Bearer hush"));
    assert_error("it exists", &again(), (409, "StreamExistsError", None));
    assert_eq!(status(&relay, &ask("DELETE", &format!("/stream/{id}"))), 204);
    assert_error("it ended", &again(), (409, "StreamExistsError", None));
    for value in ["\"x\"", "1", "null", "\"00000000000040008000000000000000\""] {
        let request = ask("POST", "/stream").body(format!(r#"{{"id":{value}}}"#));
        assert_error(value, &relay.exchange(&request), (400, "InvalidBodyError", None));
    }
}

#[test]
fn a_repeated_creation_returns_the_same_stream() {
    // A token may be called like an address.
    let tokens = TokenFile::new(&[("127.0.0.1", "create", "hush"), ("cd", "create", "other")]);
    let relay = Relay::start(&["--tokens", tokens.path(), "--require", "send"]);
    let create = |token: &str, key: &str, body: &str| {
        let request = ask("POST", "/stream");
        let request = match token {
            "" => request,
            token => request.field("Authorization", &format!("Bearer {token}")),
        };
        relay.exchange(&request.field("Idempotency-Key", key).body(body))
    };
    let body = r#"{"tokens":true,"ttl_seconds":30}"#;
    let first = create("hush", "\"7\"", body);
    assert_eq!(first.status(), 201);
    let again = create("hush", "\"7\"", body);
    assert_eq!((again.status(), again.text()), (201, first.text()));
    assert_eq!(again.head.get("Location"), first.head.get("Location"));
    assert_error("another body", &create("hush", "\"7\"", "{}"), (422, "IdempotencyError", None));
    for (name, other) in [
        ("another token", create("other", "\"7\"", body)),
        ("without a token", create("", "\"7\"", body)),
        ("another key", create("hush", "\"8\"", body)),
    ] {
        assert_eq!(other.status(), 201, "{name}");
        assert_ne!(other.json()["stream"], first.json()["stream"], "{name}");
    }
    let long = "x".repeat(256);
    for key in ["", "a b", &long] {
        assert_error(key, &create("hush", key, ""), (400, "BadRequestError", None));
    }
}
