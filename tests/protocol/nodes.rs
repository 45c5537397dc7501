//! Several relays with one name: a request for a stream or an agent of another one.

use serde_json::json;

use crate::support::{
    Ask, Framing, Relay, Response, TokenFile, UNKNOWN, ask, assert_error, assert_uploaded, node,
    pattern,
};

fn assert_redirected(what: &str, answer: &Response, location: &str) {
    assert_error(what, answer, (307, "MisdirectedError", None));
    assert_eq!(answer.head.get("Location"), Some(location), "{what}");
    assert_eq!(answer.head.get("Cache-Control"), Some("no-store"), "{what}");
    assert_eq!(answer.head.get("Rdv-Error"), Some("MisdirectedError"), "{what}");
    assert!(answer.head.get("WWW-Authenticate").is_none(), "{what}");
}

#[test]
fn an_identifier_shows_the_node_that_made_it() {
    let relay = node(&[]);
    let number = relay.address().port();
    let id = relay.create();
    assert!(id.starts_with(&format!("{number:04x}00")), "{id}");
    assert_eq!((&id[14..15], relay.status(&id)["state"].as_str()), ("8", Some("CREATED")));
    assert_eq!(relay.get("/version").json()["node"], number);
    assert_eq!(relay.admin_get("/control").json()["node"], number);
    let other = Relay::start(&[]);
    assert_eq!(&other.create()[14..15], "4", "without a number it is random");
    assert!(other.get("/version").json().get("node").is_none());
}

#[test]
fn each_request_for_a_stream_of_another_node_is_redirected_to_it() {
    let (here, there) = (node(&[]), node(&[]));
    let id = there.create();
    for (method, target) in [
        ("GET", format!("/stream/{id}")),
        ("GET", format!("/stream/{}/", id.to_uppercase())),
        ("GET", format!("/stream/{id}?download=a%0d%0ab&t=1&x=<\\\"|>")),
        ("PUT", format!("/stream/{id}")),
        ("POST", format!("/stream/{id}")),
        ("PUT", format!("/stream/{id}/a%2Fb%20c.txt?")),
        ("DELETE", format!("/stream/{id}")),
        ("GET", format!("/stream/{id}/status")),
        ("GET", format!("/stream/{id}/events")),
        ("POST", format!("/stream/{id}/error")),
        ("POST", format!("/stream/{id}/receipt")),
        ("GET", format!("/s/{id}")),
        ("GET", format!("/socket/{id}")),
        ("PATCH", format!("/socket/{id}/a//b/../c?d")),
    ] {
        let request = ask(method, &target).field("Accept", "application/json");
        let answer = here.exchange(&request.body("{}"));
        assert_redirected(&format!("{method} {target}"), &answer, &there.url(&target));
    }
    let page = here.exchange(&ask("GET", &format!("/s/{id}")).field("Accept", "text/html"));
    assert_eq!((page.status(), page.head.get("Cache-Control")), (307, Some("no-store")));
    let head = here.exchange(&ask("HEAD", &format!("/stream/{id}")));
    assert_eq!((head.status(), head.text()), (307, ""));
    let absolute = ask("GET", &format!("http://relay.test/stream/{id}?a"));
    assert_redirected(
        "absolute",
        &here.exchange(&absolute),
        &there.url(&format!("/stream/{id}?a")),
    );
    assert_eq!(there.status(&id)["state"], "CREATED", "nothing has reached it");
    assert_eq!(here.exchange(&ask("OPTIONS", &format!("/stream/{id}"))).status(), 204);
}

#[test]
fn what_names_no_other_node_is_served_here() {
    let (relay, plain) = (node(&[]), Relay::start(&[]));
    let own = format!("{:04x}0000-0000-8000-8000-000000000000", relay.address().port());
    for id in [own.as_str(), UNKNOWN, "no-uuid", "ffffffff-ffff-ffff-ffff-ffffffffffff"] {
        for target in [format!("/stream/{id}"), format!("/stream/{id}/status")] {
            assert_error(id, &relay.get(&target), (404, "SessionNotFoundError", None));
        }
    }
    let of_node = relay.create();
    let answer = plain.get(&format!("/stream/{of_node}"));
    assert_error("without a number", &answer, (404, "SessionNotFoundError", None));
    assert!(relay.pair(Framing::Chunked).source.try_send(b"0\r\n\r\n").is_ok());
}

#[test]
fn without_a_url_another_node_is_named() {
    let relay = Relay::start(&["--node-id", "7", "--cors-origin", "*"]);
    let target = "/stream/00ab0000-0000-8000-8000-000000000000";
    let answer = relay.get(target);
    assert_error("no URL", &answer, (421, "MisdirectedError", None));
    assert!(answer.text().contains("node 171") && answer.text().contains("node-url"));
    assert!(answer.head.get("Location").is_none());
    let page = relay.exchange(&ask("GET", target).field("Accept", "text/html"));
    assert_eq!(page.status(), 421);
    assert!(page.text().contains("Misdirected Request") && page.text().contains("node 171"));
}

#[test]
fn operators_are_sent_nowhere() {
    let (here, there) = (node(&[]), node(&[]));
    let id = there.create();
    for (method, target) in
        [("GET", format!("/stream/{id}/status")), ("DELETE", format!("/stream/{id}"))]
    {
        let answer = here.admin_exchange(&ask(method, &target));
        assert_error(method, &answer, (421, "MisdirectedError", None));
        let named = format!("node {}, {};", there.address().port(), there.url(""));
        assert!(answer.text().contains(&named), "{}", answer.text());
    }
    assert_eq!(there.status(&id)["state"], "CREATED");
}

#[test]
fn no_byte_of_a_body_is_lost_to_a_redirect() {
    let (here, there) = (node(&[]), node(&[]));
    let id = there.create();
    let data = pattern(3, 600_000);
    let put = || ask("PUT", &format!("/stream/{id}")).field("Accept", "application/json");
    let mut patient = here.connect();
    patient.ask(&put().length(data.len()).field("Expect", "100-continue"));
    assert_redirected("in place of 100", &patient.response(), &there.url(&format!("/stream/{id}")));
    let mut eager = here.connect();
    eager.ask(&put().length(data.len()));
    eager.send(&data);
    assert_redirected("while it sends", &eager.response(), &there.url(&format!("/stream/{id}")));
    let mut download = there.waiting_destination(&id);
    let mut upload = there.connect();
    upload.ask(&put().body(&data));
    assert_eq!(download.head().status, 200);
    assert!(download.body(data.len()) == data);
    assert_uploaded(&upload.response());
}

#[test]
fn a_redirected_connection_serves_the_next_request() {
    let (here, there) = (node(&[]), node(&[]));
    let (own, other) = (here.create(), there.create());
    let mut client = here.connect();
    for _ in 0..3 {
        let answer = client.exchange(&ask("GET", &format!("/stream/{other}/status")));
        assert_eq!(answer.status(), 307);
        let answer = client.exchange(&ask("POST", &format!("/stream/{other}/error")).body("{}"));
        assert_eq!(answer.status(), 307);
        let answer = client.exchange(&ask("GET", &format!("/stream/{own}/status")));
        assert_eq!(answer.json()["state"], "CREATED");
    }
}

#[test]
fn the_node_of_a_stream_checks_its_tokens() {
    let tokens = TokenFile::new(&[("all", "create,send,receive", "hush")]);
    let flags = ["--tokens", tokens.path(), "--require", "create,send,receive"];
    let (here, there) = (node(&flags), node(&flags));
    let create = ask("POST", "/stream").field("Authorization", "Bearer hush");
    let id = there.exchange(&create).json()["stream"].as_str().expect("an id").to_owned();
    let target = format!("/stream/{id}");
    for request in [ask("GET", &target), ask("GET", &target).field("Authorization", "Bearer no")] {
        assert_redirected("no token", &here.exchange(&request), &there.url(&target));
        assert_eq!(there.exchange(&request).status(), 401);
    }
}

#[test]
fn pages_of_other_origins_can_follow_a_redirect() {
    let (here, there) = (node(&["--cors-origin", "https://app.example"]), node(&[]));
    let target = format!("/stream/{}", there.create());
    let answer = here.exchange(&ask("PUT", &target).field("Origin", "https://app.example"));
    assert_redirected("a page", &answer, &there.url(&target));
    let allowed = answer.head.get("Access-Control-Allow-Origin");
    assert_eq!(allowed, Some("https://app.example"));
    assert!(answer.head.list("Access-Control-Expose-Headers").contains(&"LOCATION".to_owned()));
    let preflight = ask("OPTIONS", &target)
        .field("Origin", "https://app.example")
        .field("Access-Control-Request-Method", "PUT");
    assert_eq!(here.exchange(&preflight).status(), 204);
}

/// A creation with this identifier, by a client that may choose it.
fn creation(id: &str) -> Ask {
    let body = json!({ "id": id }).to_string();
    ask("POST", "/stream").field("Authorization", "Bearer hush").body(body)
}

#[test]
fn a_chosen_identifier_names_the_node_that_takes_it() {
    let tokens = TokenFile::new(&[("all", "create", "hush")]);
    let flags = ["--tokens", tokens.path(), "--require", "list"];
    let (here, there) = (node(&flags), node(&flags));
    let id = |relay: &Relay, end: u8| {
        format!("{:04x}00aa-0000-8000-8000-0000000000{end:02x}", relay.address().port())
    };
    let answer = here.exchange(&creation(&id(&here, 1)));
    assert_eq!(answer.json()["stream"], id(&here, 1), "{}", answer.text());
    let answer = here.exchange(&creation(&id(&there, 2)));
    assert_redirected("another node's", &answer, &there.url("/stream"));
    assert_eq!(there.exchange(&creation(&id(&there, 2))).status(), 201);
    let answer = here.exchange(&creation("0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0"));
    assert_error("random", &answer, (400, "InvalidBodyError", None));
    let begin = format!("{:04x}xxxx-xxxx-8xxx-", here.address().port());
    assert!(answer.text().contains(&begin), "{}", answer.text());
    let anonymous = ask("POST", "/stream").body(json!({ "id": id(&there, 3) }).to_string());
    assert_error("no token", &here.exchange(&anonymous), (403, "ForbiddenError", None));
}

#[test]
fn calls_and_tunnels_of_another_nodes_agent_are_redirected() {
    let (here, there) = (node(&[]), node(&[]));
    let id = format!("{:04x}0001-0000-8000-8000-000000000000", there.address().port());
    let upgrade = |target: &str, protocol: &str| {
        ask("GET", target).field("Connection", "Upgrade").field("Upgrade", protocol)
    };
    let call = upgrade(&format!("/socket/{id}/ws?a"), "websocket");
    let answer = here.exchange(&call.field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="));
    assert_redirected("an upgrade", &answer, &there.url(&format!("/socket/{id}/ws?a")));
    let tunnel = upgrade("/socket/spare", "rdv.spare.v1").field("Rdv-Connection", &id);
    let answer = here.exchange(&tunnel.clone().field("Rdv-Spare", UNKNOWN));
    assert_redirected("a tunnel", &answer, &there.url("/socket/spare"));
    assert_error("its node", &there.exchange(&tunnel), (403, "SpareRefusedError", None));
    let mut client = here.connect();
    client.ask(&ask("POST", &format!("/socket/{id}/a")).length(3).field("Expect", "100-continue"));
    assert_redirected("a call", &client.response(), &there.url(&format!("/socket/{id}/a")));
    let named = here.get("/api/billing/a");
    assert_error("by name", &named, (404, "AgentNotFoundError", None));
}
