//! Heads of calls and of their responses over the WebSocket.

use rdv::mux::handshake::Dialect;

use crate::agent::{Agent, DIALECTS};
use crate::support::{Ending, Relay, ask, assert_error, eventually};

#[test]
fn every_method_reaches_the_agent() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let mut agent = Agent::connect(&relay, dialect, serde_json::Value::Null);
        let place = agent.path();
        let mut client = relay.connect();
        for (method, body) in [
            ("GET", &b""[..]),
            ("POST", b"some text"),
            ("PUT", b"more of it"),
            ("PATCH", b"x"),
            ("DELETE", b""),
            ("OPTIONS", b""),
            ("PROPFIND", b"<a/>"),
            ("M-SEARCH", b""),
        ] {
            let request = ask(method, &format!("{place}/x"));
            client.ask(&if body.is_empty() { request } else { request.body(body) });
            let request = agent.recv_request();
            assert_eq!(request.line(), format!("{method} /x"), "{dialect:?}");
            assert_eq!(request.body, body, "{dialect:?} {method}");
            agent.respond_ok(request.number, method.as_bytes());
            let answer = client.response();
            assert_eq!(answer.text(), method, "{dialect:?}");
            assert!(!answer.head.closes(), "{dialect:?} {method}");
        }
        client.ask(&ask("HEAD", &format!("{place}/x")));
        let request = agent.recv_request();
        assert_eq!(request.line(), "HEAD /x");
        agent.respond_head(request.number, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true);
        let answer = client.response_to("HEAD");
        assert_eq!(answer.head.get("Content-Length"), Some("7"), "{dialect:?}");
        client.ask(&ask("GET", &place));
        let request = agent.recv_request();
        agent.respond_ok(request.number, b"after HEAD");
        assert_eq!(client.response().text(), "after HEAD", "{dialect:?}");
    }
}

#[test]
fn the_rest_of_the_target_is_forwarded_unchanged() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::named(&relay, Dialect::V1, "a");
    let mut client = relay.connect();
    for (rest, wanted) in [
        ("", "/"),
        ("/", "/"),
        ("?q=1", "/?q=1"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("//a//b/", "//a//b/"),
        ("/%2e%2e/%2F?a=%20&b=/?", "/%2e%2e/%2F?a=%20&b=/?"),
        ("/stream", "/stream"),
        ("/events", "/events"),
    ] {
        client.ask(&ask("GET", &format!("/api/a{rest}")));
        let request = agent.recv_request();
        assert_eq!(request.line(), format!("GET {wanted}"), "{rest:?}");
        agent.respond_ok(request.number, b"");
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn fields_with_an_underscore_pass_only_with_pass_underscores() {
    for (flags, passes) in [(&[][..], false), (&["--pass-underscores"], true)] {
        let relay = Relay::start(flags);
        for dialect in DIALECTS {
            let mut agent = Agent::connect(&relay, dialect, serde_json::Value::Null);
            let mut client = relay.connect();
            client.ask(
                &ask("GET", &format!("{}/x", agent.path()))
                    .field("X_Forwarded_For", "192.0.2.1")
                    .field("X-A", "1")
                    .field("x_a", "2"),
            );
            let request = agent.recv_request();
            assert_eq!(
                request.get("X_Forwarded_For"),
                passes.then_some("192.0.2.1"),
                "{dialect:?}"
            );
            assert_eq!(request.get("x_a"), passes.then_some("2"), "{dialect:?}");
            assert_eq!(request.get("X-A"), Some("1"), "{dialect:?}");
            assert_eq!(request.all("X-Forwarded-For"), ["127.0.0.1"], "{dialect:?}");
            agent.respond_ok(request.number, b"");
            assert_eq!(client.response().status(), 200, "{dialect:?}");
        }
    }
}

#[test]
fn fields_pass_except_hop_by_hop_ones() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let mut agent = Agent::connect(&relay, dialect, serde_json::Value::Null);
        let place = agent.path();
        let mut client = relay.connect();
        client.ask(
            &ask("GET", &format!("{place}/x"))
                .field("Connection", "keep-alive, X-Hop")
                .field("X-Hop", "1")
                .field("Keep-Alive", "timeout=5")
                .field("TE", "trailers")
                .field("Proxy-Authorization", "Basic eA==")
                .field("Authorization", "Bearer of-the-api")
                .field("Cookie", "a=b")
                .field("X-Twice", "1")
                .field("X-Twice", "2"),
        );
        let request = agent.recv_request();
        for gone in ["Connection", "X-Hop", "Keep-Alive", "TE", "Proxy-Authorization"] {
            assert_eq!(request.get(gone), None, "{dialect:?}");
        }
        assert_eq!(request.get("Authorization"), Some("Bearer of-the-api"));
        assert_eq!(request.get("Cookie"), Some("a=b"));
        assert_eq!(request.all("X-Twice"), ["1", "2"]);
        assert_eq!(request.get("Host"), Some("relay.test"));
        assert_eq!(request.get("X-Forwarded-For"), Some("127.0.0.1"));
        assert_eq!(request.get("X-Forwarded-Proto"), Some("http"));
        assert_eq!(request.get("X-Forwarded-Host"), Some("relay.test"));
        assert_eq!(request.get("X-Forwarded-Prefix"), Some(place.as_str()));
        let head = "HTTP/1.1 201 Whatever\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
                    Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nLocation: /x/1\r\n\
                    Content-Length: 2\r\n\r\n";
        agent.respond_with(request.number, head, b"ok");
        let answer = client.response();
        assert_eq!((answer.status(), answer.text()), (201, "ok"));
        let cookies = ["a=1", "b=2"].map(|cookie| format!("{cookie}; Path={place}/"));
        assert_eq!(answer.head.all("Set-Cookie"), cookies);
        assert_eq!(answer.head.get("Location"), Some("/x/1"));
        assert_eq!(answer.head.get("X-Hop"), None);
        assert_eq!(answer.head.get("Keep-Alive"), None);
        assert!(answer.head.get("Date").is_some(), "one is made");
        assert!(!answer.head.closes());
    }
}

#[test]
fn a_correlation_id_is_generated_kept_and_returned() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let mut agent = Agent::connect(&relay, dialect, serde_json::Value::Null);
        let place = agent.path();
        let mut client = relay.connect();
        client.ask(&ask("GET", &place));
        let request = agent.recv_request();
        let minted = request.get("X-Correlation-Id").expect("one").to_owned();
        agent.respond_ok(request.number, b"");
        assert_eq!(client.response().head.get("X-Correlation-Id"), Some(minted.as_str()));
        client.ask(&ask("GET", &place).field("X-Correlation-Id", "mine-1"));
        let request = agent.recv_request();
        assert_eq!(request.get("X-Correlation-Id"), Some("mine-1"));
        agent.respond_ok(request.number, b"");
        assert_eq!(client.response().head.get("X-Correlation-Id"), Some("mine-1"));
    }
    let answer = relay.exchange(&ask("GET", "/api/nobody").field("X-Correlation-Id", "mine-2"));
    assert_error("an error", &answer, (404, "AgentNotFoundError", None));
    assert_eq!(answer.head.get("X-Correlation-Id"), Some("mine-2"));
    let mut client = relay.connect();
    let first = client.exchange(&ask("GET", "/api/nobody"));
    assert!(first.head.get("X-Correlation-Id").is_some(), "minted for an error, too");
    let other = client.exchange(&ask("GET", "/ping"));
    assert_eq!(other.head.get("X-Correlation-Id"), None, "of the call before");
}

#[test]
fn an_http_1_0_body_ends_with_the_connection() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let mut agent = Agent::connect(&relay, dialect, serde_json::Value::Null);
        for (name, head) in
            [("sized", crate::agent::ok(5)), ("not sized", "HTTP/1.1 200 OK\r\n\r\n".to_owned())]
        {
            let mut client = relay.connect();
            client.ask(&ask("GET", &agent.path()).http10());
            let request = agent.recv_request();
            assert_eq!(request.line(), "GET /", "{dialect:?} {name}: HTTP/1.1 to the agent");
            assert_eq!(request.get("Host"), Some(""));
            agent.respond_with(request.number, &head, b"hello");
            let answer = client.response();
            assert_eq!(answer.text(), "hello", "{dialect:?} {name}");
            assert_eq!(answer.ending, Ending::Complete, "{dialect:?} {name}");
            assert_eq!(answer.head.get("Transfer-Encoding"), None);
            client.expect_end();
        }
    }
}

#[test]
fn calls_of_one_connection_are_answered_in_order() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let agent = Agent::connect(&relay, dialect, serde_json::Value::Null);
        let place = agent.path();
        let echo = agent.echo();
        let mut client = relay.connect();
        let post = |n: u32| ask("POST", &format!("{place}/{n}")).body(format!("body {n}"));
        let mut all = Vec::new();
        for n in 0..20 {
            all.extend(post(n).bytes());
            all.extend(ask("GET", "/ping").bytes());
        }
        client.send(&all);
        for n in 0..20 {
            let answer = client.response();
            assert_eq!(answer.text(), format!("POST /{n} HTTP/1.1\nbody {n}"), "{dialect:?}");
            assert_eq!(client.response().text(), "pong", "{dialect:?}");
        }
        await_idle(&relay, &place);
        drop(echo);
    }
}

/// Waits until this agent has no call in progress.
fn await_idle(relay: &Relay, place: &str) {
    eventually("no call is under way", || {
        let list = relay.admin_get("/socket").json();
        let all = list.as_array().expect("a list");
        let mine = all.iter().find(|one| place.ends_with(one["id"].as_str().expect("an id")))?;
        (mine["requests_in_flight"] == 0).then_some(())
    });
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let mut agent = Agent::connect(&relay, dialect, serde_json::Value::Null);
        let place = agent.path();
        let mut client = relay.connect();
        for (name, head, status, length) in [
            ("204", "HTTP/1.1 204 No Content\r\n\r\n", 204, None),
            (
                "304 with a length",
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: \"x\"\r\n\r\n",
                304,
                Some("9"),
            ),
            ("an empty 200", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, Some("0")),
            ("an odd status", "HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", 599, Some("0")),
        ] {
            client.ask(&ask("GET", &place));
            let request = agent.recv_request();
            agent.respond_head(request.number, head, true);
            let answer = client.response();
            assert_eq!(answer.status(), status, "{dialect:?} {name}");
            assert_eq!(answer.head.get("Content-Length"), length, "{dialect:?} {name}");
            assert!(answer.body.is_empty(), "{dialect:?} {name}");
        }
    }
}

#[test]
fn interim_responses_of_an_agent_are_skipped() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, serde_json::Value::Null);
    let mut client = relay.connect();
    client.ask(&ask("GET", &agent.path()));
    let request = agent.recv_request();
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    agent.send_raw(&crate::agent::frame(2, 0, request.number, hints));
    agent.respond_ok(request.number, b"final");
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (200, "final"));

    let mut agent = Agent::connect(&relay, Dialect::Text, serde_json::Value::Null);
    client.ask(&ask("GET", &agent.path()));
    let request = agent.recv_request();
    let id = request.get("X-Correlation-Id").expect("an id");
    agent.send_text(&format!("HTTP/1.1 102 Processing\r\nX-Correlation-Id: {id}\r\n\r\n"));
    agent.respond_ok(request.number, b"final");
    assert_eq!(client.response().text(), "final");
}

#[test]
fn a_suspended_relay_still_accepts_calls() {
    let relay = crate::support::Observed::start(&[]);
    let agent = Agent::named(&relay, Dialect::V1, "a");
    let echo = agent.echo();
    assert_eq!(relay.admin_exchange(&ask("POST", "/control/suspend")).status(), 200);
    let answer = relay.exchange(&ask("POST", "/stream"));
    assert_error("a new stream", &answer, (503, "TooBusyError", None));
    assert_eq!(relay.get("/api/a/x").text(), "GET /x HTTP/1.1\n");
    drop(echo);
}
