//! What operators see of agents and calls: the access log, and metrics.

use std::fs;

use rdv::mux::handshake::Dialect;
use rdv::mux::session::close;
use tempfile::TempDir;

use crate::agent::{Agent, DIALECTS, ok};
use crate::support::{Ending, Observed, Relay, ask, eventually};
use crate::tunnel::Tunnel;

/// A relay with an access log.
struct Logged {
    relay: Relay,
    directory: TempDir,
}

impl Logged {
    fn start() -> Logged {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("access.log");
        let path = path.to_str().expect("UTF-8");
        let relay = Relay::start(&["--access-log", path, "--access-log-format", "%m %U%q %s %b"]);
        Logged { relay, directory }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default()
    }

    /// Waits until the log has exactly these lines for the calls.
    fn await_calls(&self, what: &str, wanted: &[&str]) {
        eventually(&format!("{what}: {wanted:?}"), || {
            let text = self.text();
            let lines: Vec<&str> = text.lines().filter(|line| line.contains("/api/")).collect();
            assert!(lines.len() <= wanted.len(), "{what}: {lines:#?}");
            (lines == wanted).then_some(())
        });
    }

    /// Waits for a line with this prefix.
    fn await_line(&self, start: &str) {
        eventually(&format!("a line {start:?}"), || {
            self.text().lines().any(|line| line.starts_with(start)).then_some(())
        });
    }
}

/// The log lines of four calls with different outcomes.
const CALLED: [&str; 4] = [
    "POST /api/a/x/y?q=1 200 11",
    "POST /api/a/x/y?q=1 201 11",
    "POST /api/a/x/y?q=1 204 -",
    "POST /api/a/x/y?q=1 404 4",
];

#[test]
fn a_call_is_logged_with_the_bytes_of_its_response_body() {
    for dialect in DIALECTS {
        let logged = Logged::start();
        let mut agent = Agent::named(&logged.relay, dialect, "a");
        let mut client = logged.relay.connect();
        for (name, head, body) in [
            ("sized", ok(11), "hello there"),
            ("in chunks", "HTTP/1.1 201 Created\r\n\r\n".to_owned(), "hello there"),
            ("empty", "HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ""),
            ("a refusal", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n".to_owned(), "none"),
        ] {
            client.ask(&ask("POST", "/api/a/x/y?q=1").body("a question"));
            let request = agent.recv_request();
            agent.respond_with(request.number, &head, body.as_bytes());
            assert_eq!(client.response().text(), body, "{dialect:?} {name}");
        }
        logged.await_calls(&format!("{dialect:?}"), &CALLED);
    }
}

#[test]
fn a_call_through_a_tunnel_is_logged_the_same_way() {
    let logged = Logged::start();
    let agent = Agent::named(&logged.relay, Dialect::V1, "a");
    let mut tunnel = Tunnel::of(&logged.relay, &agent);
    let mut client = logged.relay.connect();
    for (name, answer, body) in [
        ("sized", format!("{}hello there", ok(11)), "hello there"),
        (
            "in chunks",
            "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n"
                .to_owned(),
            "hello there",
        ),
        ("empty", "HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ""),
        ("a refusal", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone".to_owned(), "none"),
    ] {
        client.ask(&ask("POST", "/api/a/x/y?q=1").body("a question"));
        tunnel.recv_request();
        tunnel.send(answer);
        assert_eq!(client.response().text(), body, "{name}");
        // Free for the next call.
        eventually("it is free", || {
            (logged.relay.admin_get("/socket").json()[0]["requests_in_flight"] == 0).then_some(())
        });
    }
    logged.await_calls("on a tunnel", &CALLED);
}

#[test]
fn an_interrupted_call_is_logged_with_the_bytes_that_were_sent() {
    let logged = Logged::start();
    let mut agent = Agent::named(&logged.relay, Dialect::V1, "a");
    let mut client = logged.relay.connect();
    client.ask(&ask("GET", "/api/a/half"));
    let request = agent.recv_request();
    agent.respond_head(request.number, &ok(100), false);
    agent.send(request.number, b"half", false);
    assert_eq!(client.head().status, 200);
    assert_eq!(client.body(4), b"half");
    agent.cancel(request.number, rdv::mux::frame::CancelReason::Broke("it broke".into()));
    assert_eq!(client.rest(), (Vec::new(), Ending::Closed));
    let mut client = logged.relay.connect();
    client.ask(&ask("GET", "/api/a/gone"));
    agent.recv_request();
    agent.disconnect();
    let bytes = client.response().body.len();
    let gone = format!("GET /api/a/gone 502 {bytes}");
    logged.await_calls("interrupted", &["GET /api/a/half 200 4", &gone]);
}

#[test]
fn an_upgraded_connection_is_logged_with_the_bytes_sent_to_its_client() {
    let logged = Logged::start();
    let agent = Agent::named(&logged.relay, Dialect::V1, "a");
    let mut tunnel = Tunnel::of(&logged.relay, &agent);
    let mut client = logged.relay.connect();
    let request = ask("GET", "/api/a/ws").field("Connection", "Upgrade").field("Upgrade", "x");
    client.ask(&request);
    tunnel.head();
    tunnel.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello");
    assert_eq!(client.head().status, 101);
    let mut api = tunnel.into_wire();
    client.send("four");
    assert_eq!(api.raw(4), b"four");
    logged.await_calls("it continues", &[]);
    client.finish_sending();
    api.finish_sending();
    logged.await_calls("it is over", &["GET /api/a/ws 101 5"]);
    assert_eq!(logged.relay.admin_get("/socket").json()[0]["requests"], 1);
}

#[test]
fn a_websocket_and_its_tunnels_are_logged_when_they_close() {
    let logged = Logged::start();
    let mut agent = Agent::named(&logged.relay, Dialect::V1, "a");
    let tunnel = Tunnel::of(&logged.relay, &agent);
    logged.relay.await_turn();
    assert!(!logged.text().contains(" 101 "), "they go on: {}", logged.text());
    drop(tunnel);
    logged.await_line("GET /socket/spare 101 ");
    assert!(!logged.text().contains("GET /socket 101 "), "{}", logged.text());
    agent.close(close::NORMAL, "");
    agent.disconnect();
    logged.await_line("GET /socket 101 ");
    logged.relay.await_turn();
    assert_eq!(logged.text().matches(" 101 ").count(), 2, "one for each: {}", logged.text());
}

#[test]
fn agents_and_calls_are_counted_by_route_and_phase() {
    let relay = Observed::start(&[]);
    let mut agent = Agent::named(&relay, Dialect::V1, "a");
    let mut client = relay.connect();
    client.ask(&ask("GET", "/api/a/x"));
    let request = agent.recv_request();
    let connections = |scrape: &crate::support::Scrape, wanted: [u32; 3]| {
        let [agents, calling, tunnels] = wanted;
        scrape.assert_counts(&[
            (r#"rdv_connections{phase="agent"}"#, agents),
            (r#"rdv_connections{phase="calling"}"#, calling),
            (r#"rdv_connections{phase="spare"}"#, tunnels),
        ]);
    };
    connections(&relay.scrape(), [1, 1, 0]);
    agent.respond_ok(request.number, b"hello");
    assert_eq!(client.response().status(), 200);
    connections(&relay.scrape(), [1, 0, 0]);

    let mut tunnel = Tunnel::of(&relay, &agent);
    connections(&relay.scrape(), [1, 0, 1]);
    client.ask(&ask("GET", "/api/a/x"));
    tunnel.recv_request();
    connections(&relay.scrape(), [1, 1, 1]);
    tunnel.respond_ok(b"hello");
    assert_eq!(client.response().status(), 200);

    assert_eq!(relay.get("/api/nobody/x").status(), 404);
    assert_eq!(relay.admin_exchange(&ask("GET", "/socket")).status(), 200);
    relay.scrape().assert_counts(&[
        (r#"rdv_requests_total{route="attach",status="101"}"#, 1),
        (r#"rdv_requests_total{route="spare",status="101"}"#, 1),
        (r#"rdv_requests_total{route="call",status="200"}"#, 2),
        (r#"rdv_requests_total{route="call",status="404"}"#, 1),
        (r#"rdv_requests_total{route="agents",status="200"}"#, 1),
    ]);
    agent.close(close::NORMAL, "");
    agent.disconnect();
    relay.await_value(r#"rdv_connections{phase="agent"}"#, 0.0);
    relay.await_value(r#"rdv_connections{phase="spare"}"#, 0.0);
}
