//! The origins of APIs: sandboxed in the relay's own, or on hosts of their own.

use rdv::mux::handshake::Dialect;

use crate::agent::{Agent, DIALECTS, ok};
use crate::support::{Ask, Head, Relay, Wire, ask, assert_error};
use crate::tunnels::Setup;

const SANDBOX: &str = "sandbox allow-scripts allow-forms allow-popups allow-downloads";
const HOSTS: [&str; 4] = ["--agent-host", "apis.example", "--agent-host", "*.relay.test"];

/// The policies of a response.
fn policies(head: &Head) -> Vec<&str> {
    head.all("Content-Security-Policy")
}

/// A request on the host of the agent `billing`.
fn hosted(method: &str, target: &str) -> Ask {
    Ask::to_host(method, target, "Billing.Relay.test:8080")
}

/// Sends a request that reaches the agent, which responds with this head; returns the target that it
/// received, its prefix, and the client's response.
fn call(client: &mut Wire, agent: &mut Agent, request: &Ask, answer: &str) -> (String, Head) {
    client.ask(request);
    let received = agent.recv_request();
    let prefix = received.get("X-Forwarded-Prefix").unwrap_or("none");
    let line = format!("{} {prefix}", received.line());
    agent.respond_head(received.number, answer, true);
    (line, client.response_to(request.method()).head)
}

#[test]
fn responses_in_the_origin_of_the_relay_are_sandboxed() {
    for dialect in DIALECTS {
        let relay = Relay::start(&HOSTS);
        let mut agent = Agent::named(&relay, dialect, "billing");
        let mut client = relay.connect();
        for (name, request, answer, expected) in [
            ("a page", ask("GET", "/api/billing"), ok(0), vec![SANDBOX]),
            ("by connection", ask("GET", &agent.path()), ok(0), vec![SANDBOX]),
            (
                "an error",
                ask("POST", "/api/billing"),
                "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n".to_owned(),
                vec![SANDBOX],
            ),
            (
                "not modified",
                ask("GET", "/api/billing"),
                "HTTP/1.1 304 x\r\n\r\n".to_owned(),
                vec![SANDBOX],
            ),
            (
                "with a policy of its own",
                ask("GET", "/api/billing"),
                "HTTP/1.1 200 x\r\nContent-Security-Policy: sandbox\r\nContent-Length: 0\r\n\r\n"
                    .to_owned(),
                vec!["sandbox", SANDBOX],
            ),
            (
                "on a host of APIs",
                Ask::to_host("GET", "/api/billing", "APIs.example:80"),
                ok(0),
                vec![],
            ),
            ("on its own host", hosted("GET", "/"), ok(0), vec![]),
            ("again in that of the relay", ask("GET", "/api/billing"), ok(0), vec![SANDBOX]),
        ] {
            let (_, head) = call(&mut client, &mut agent, &request, &answer);
            assert_eq!(policies(&head), expected, "{dialect:?}: {name}");
        }
        let missing = client.exchange(&ask("GET", "/api/nobody"));
        assert!(policies(&missing.head).is_empty(), "JSON of the relay");
    }
}

#[test]
fn responses_through_tunnels_are_sandboxed_upgrades_are_not() {
    let mut setup = Setup::start(&["--agent-host", "apis.example"]);
    for (host, expected) in [("relay.test", vec![SANDBOX]), ("apis.example", vec![])] {
        setup.client.ask(&Ask::to_host("GET", &setup.place, host));
        setup.tunnel.recv_request();
        setup.tunnel.respond_ok(b"");
        assert_eq!(policies(&setup.client.response().head), expected, "{host}");
    }
    let upgrade = ask("GET", &setup.place).field("Connection", "Upgrade").field("Upgrade", "x");
    setup.client.ask(&upgrade);
    setup.tunnel.recv_request();
    setup.tunnel.send("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    let head = setup.client.head();
    assert_eq!((head.status, policies(&head)), (101, vec![]));
}

#[test]
fn on_its_own_host_an_agent_receives_every_path() {
    let relay = Relay::start(&HOSTS);
    let mut agent = Agent::named(&relay, Dialect::V1, "billing");
    let mut client = relay.connect();
    for (name, request, line) in [
        ("the root", hosted("GET", "/"), "GET / none"),
        ("a path of the relay", hosted("POST", "/stream"), "POST /stream none"),
        ("the ping", hosted("GET", "/ping"), "GET /ping none"),
        ("a path of agents", hosted("GET", "/api/billing/x"), "GET /api/billing/x none"),
        ("the list of agents", hosted("GET", "/socket"), "GET /socket none"),
        ("options", hosted("OPTIONS", "/x"), "OPTIONS /x none"),
        ("the host of the target", ask("GET", "http://billing.relay.test/a?b"), "GET /a?b none"),
        (
            "a service worker",
            hosted("GET", "/sw.js").field("Service-Worker", "script"),
            "GET /sw.js none",
        ),
        ("in the origin of the relay", ask("GET", "/api/billing/x"), "GET /x /api/billing"),
        (
            "on a host of APIs",
            Ask::to_host("GET", "/api/billing/x", "apis.example"),
            "GET /x /api/billing",
        ),
    ] {
        let moved = "HTTP/1.1 302 x\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n";
        let (received, head) = call(&mut client, &mut agent, &request, moved);
        assert_eq!(received, line, "{name}");
        assert_eq!(head.get("Location"), Some("/y"), "{name}");
    }
}

/// A response with fields for the complete origin, and with cookies.
const FAR_REACHING: &str = "HTTP/1.1 200 x\r\nClear-Site-Data: \"*\"\r\nnel: {}\r\nRefresh: 9\r\n\
    Strict-Transport-Security: max-age=9\r\nSet-Cookie: a=b; Path=/; Domain=test\r\n\
    Set-Cookie: c=d; HttpOnly\r\nContent-Length: 0\r\n\r\n";

/// What is left of it in the relay's origin.
fn assert_confined(head: &Head, prefix: &str) {
    for gone in ["Clear-Site-Data", "NEL", "Strict-Transport-Security"] {
        assert_eq!(head.get(gone), None, "{prefix}");
    }
    assert_eq!(head.get("Refresh"), Some("9"), "{prefix}");
    let cookies = [format!("a=b; Path={prefix}/"), format!("c=d; HttpOnly; Path={prefix}/")];
    assert_eq!(head.all("Set-Cookie"), cookies, "{prefix}");
}

/// What is left of it on a host of APIs.
fn assert_unconfined(head: &Head) {
    for kept in ["Clear-Site-Data", "NEL", "Strict-Transport-Security", "Refresh"] {
        assert!(head.get(kept).is_some(), "{kept}");
    }
    assert_eq!(head.all("Set-Cookie"), ["a=b; Path=/", "c=d; HttpOnly"]);
}

#[test]
fn an_agent_affects_the_origin_of_the_relay_at_its_own_paths_only() {
    for dialect in DIALECTS {
        let relay = Relay::start(&HOSTS);
        let mut agent = Agent::named(&relay, dialect, "billing");
        let mut client = relay.connect();
        let by_connection = agent.path();
        for prefix in ["/api/billing", &by_connection] {
            let request = ask("GET", &format!("{prefix}/x"));
            assert_confined(&call(&mut client, &mut agent, &request, FAR_REACHING).1, prefix);
            let request = Ask::to_host("GET", prefix, "apis.example");
            assert_unconfined(&call(&mut client, &mut agent, &request, FAR_REACHING).1);
        }
        assert_unconfined(&call(&mut client, &mut agent, &hosted("GET", "/"), FAR_REACHING).1);
    }
}

#[test]
fn an_early_response_is_confined_as_well() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::named(&relay, Dialect::V1, "billing");
    let mut client = relay.connect();
    client.ask(&ask("PUT", "/api/billing/x").field("Content-Length", "9"));
    let (number, _, _) = agent.recv_request_head();
    agent.respond_head(number, FAR_REACHING, true);
    assert_confined(&client.response().head, "/api/billing");
}

#[test]
fn it_does_so_through_tunnels_too_and_with_upgrades() {
    let mut setup = Setup::start(&["--agent-host", "apis.example"]);
    let prefix = setup.place.clone();
    setup.client.ask(&ask("GET", &prefix));
    setup.tunnel.recv_request();
    setup.tunnel.send(FAR_REACHING);
    assert_confined(&setup.client.response().head, &prefix);
    setup.client.ask(&Ask::to_host("GET", &prefix, "apis.example"));
    setup.tunnel.recv_request();
    setup.tunnel.send(FAR_REACHING);
    assert_unconfined(&setup.client.response().head);
    let upgrade = ask("GET", &prefix).field("Connection", "Upgrade").field("Upgrade", "x");
    setup.client.ask(&upgrade);
    setup.tunnel.recv_request();
    let switching = FAR_REACHING.replace("200 x", "101 x\r\nConnection: Upgrade\r\nUpgrade: x");
    setup.tunnel.send(&switching);
    assert_confined(&setup.client.head(), &prefix);
}

#[test]
fn hosts_of_apis_serve_nothing_of_the_relay() {
    let relay = Relay::start(&HOSTS);
    let stream = format!("/stream/{}", relay.create());
    for (name, request, error) in [
        ("create", Ask::to_host("POST", "/stream", "apis.example"), "BadRouteError"),
        ("a stream", Ask::to_host("GET", &stream, "apis.example"), "BadRouteError"),
        ("a ping", Ask::to_host("GET", "/ping", "APIS.example."), "BadRouteError"),
        ("two final dots", Ask::to_host("GET", "/ping", "apis.example.."), "BadRouteError"),
        ("agents", Ask::to_host("GET", "/socket", "apis.example:80"), "BadRouteError"),
        ("the server", Ask::to_host("OPTIONS", "*", "apis.example"), "BadRouteError"),
        ("in the target", ask("GET", "http://apis.example/ping"), "BadRouteError"),
        ("an unknown agent", hosted("GET", "/ping"), "AgentNotFoundError"),
        (
            "of a host with dots",
            Ask::to_host("GET", "/ping", "x.relay.test.."),
            "AgentNotFoundError",
        ),
        ("an empty name", Ask::to_host("GET", "/ping", ".relay.test"), "AgentNotFoundError"),
        (
            "an unknown agent on a host of APIs",
            Ask::to_host("GET", "/api/x", "apis.example"),
            "AgentNotFoundError",
        ),
    ] {
        assert_error(name, &relay.exchange(&request), (404, error, None));
    }
    assert_eq!(relay.get("/ping").status(), 200, "on another host");
    let operator = relay.admin_exchange(&Ask::to_host("GET", "/healthz", "apis.example"));
    assert_eq!(operator.status(), 200, "operators are not callers");
}

#[test]
fn service_workers_are_refused_in_the_origin_of_the_relay() {
    let relay = Relay::start(&[]);
    let _agent = Agent::named(&relay, Dialect::V1, "a");
    let id = relay.create();
    let mut source = relay.connect();
    source.ask(&ask("PUT", &format!("/stream/{id}")).body("self.x = 1"));
    relay.await_state(&id, "SRC_CONNECTED");
    for target in ["/api/a/sw.js".to_owned(), format!("/stream/{id}")] {
        let answer = relay.exchange(&ask("GET", &target).field("Service-Worker", "script"));
        assert_error(&target, &answer, (403, "ForbiddenError", None));
        assert!(answer.text().contains("agent-host"), "{}", answer.text());
    }
    assert_eq!(relay.get(&format!("/stream/{id}")).text(), "self.x = 1", "it was not joined");
}

#[test]
fn an_api_decides_itself_which_pages_read_its_responses() {
    let relay = Relay::start(&["--cors-origin", "*"]);
    let mut agent = Agent::named(&relay, Dialect::V1, "a");
    let mut client = relay.connect();
    let preflight = ask("OPTIONS", "/api/a/x")
        .field("Origin", "https://app.example")
        .field("Access-Control-Request-Method", "PUT");
    let (line, head) = call(&mut client, &mut agent, &preflight, &ok(0));
    assert_eq!(line, "OPTIONS /x /api/a");
    assert_eq!(head.get("Access-Control-Allow-Origin"), None);
    let own = "HTTP/1.1 204 x\r\nAccess-Control-Allow-Origin: https://app.example\r\n\r\n";
    let (_, head) = call(&mut client, &mut agent, &preflight, own);
    assert_eq!(head.all("Access-Control-Allow-Origin"), ["https://app.example"]);
    assert_eq!(head.get("Access-Control-Expose-Headers"), None);
}
