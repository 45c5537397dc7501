//! The command at a relay: names, tunnels, take-overs.

use std::sync::mpsc;

use crate::expose::command::{echo, end, expose, url};
use crate::expose::server::Server;
use crate::support::{
    Authority, Balancer, ClosedPort, Ending, Process, Relay, TEST_TIMEOUT, Terminator, Wire, ask,
    eventually, is_pattern, node, pattern,
};

/// A connected agent, and its output.
pub(crate) fn exposed(api: &str, relay: &Relay, flags: &[&str]) -> Process {
    let process = expose(api, &relay.url(""), flags);
    let shown = format!("{}\n", relay.url("/api/billing"));
    eventually("the URL is printed", || (process.stdout() == shown).then_some(()));
    process
}

/// Waits until the agent has this number of idle tunnels.
pub(crate) fn await_tunnels(relay: &Relay, count: u64) {
    eventually("the tunnels are open", || {
        (relay.admin_get("/socket").json()[0]["spares"] == count).then_some(())
    });
}

#[test]
fn clients_reach_the_api_by_name_with_and_without_tunnels() {
    const BYTES: usize = 2 << 20;
    for tunnels in ["0", "3"] {
        let (api, relay) = (echo(), Relay::start(&[]));
        let process = exposed(&url(&api), &relay, &["--tunnels", tunnels]);
        let mut client = Wire::connect(relay.address());
        for seed in 0..4 {
            let body = pattern(seed, BYTES);
            let head = format!(
                "PUT /api/billing/a?b={seed} HTTP/1.1\r\nHost: h\r\nContent-Length: {BYTES}\r\n\r\n"
            );
            client.send([head.as_bytes(), &body].concat());
            let response = client.response();
            assert_eq!((response.status(), response.ending), (200, Ending::Complete), "{tunnels}");
            is_pattern(seed, BYTES, &response.body).expect("what was sent");
        }
        let finished = end(process);
        for seed in 0..4 {
            let line = format!(" PUT /a?b={seed} 200 {BYTES} bytes ");
            assert!(finished.stderr.contains(&line), "{tunnels}: {}", finished.stderr);
        }
    }
}

#[test]
fn tunnels_find_the_node_of_their_agent_behind_a_balancer() {
    let (api, a, b) = (echo(), node(&[]), node(&[]));
    let balancer = Balancer::before(&[&a, &b]);
    // The first connection, its WebSocket, is to one node; those of tunnels are to both in turn.
    let process = expose(&url(&api), &balancer.url(), &["--tunnels", "4"]);
    await_tunnels(&a, 4);
    let response = a.exchange(&ask("PUT", "/api/billing/a").body("through"));
    assert_eq!((response.status(), response.text()), (200, "through"));
    assert_eq!(b.admin_get("/socket").json().as_array().map(Vec::len), Some(0));
    end(process);
}

#[test]
fn a_relay_with_tls_is_dialled_if_its_certificate_is_trusted() {
    let (api, relay) = (echo(), Relay::start(&[]));
    let authority = Authority::new();
    let front = Terminator::start(&authority.server("localhost"), relay.address(), &[]);
    let url_of_front = format!("wss://localhost:{}", front.address().port());
    let refused = expose(&url(&api), &url_of_front, &[]).finish();
    assert_eq!(refused.status.code(), Some(7), "{}", refused.stderr);

    let file = authority.file();
    let trusted = ["--cacert", file.to_str().expect("a path")];
    let process = expose(&url(&api), &url_of_front, &trusted);
    let shown = format!("https://localhost:{}/api/billing\n", front.address().port());
    eventually("the URL is printed", || (process.stdout() == shown).then_some(()));
    let response = relay.exchange(&ask("PUT", "/api/billing/a").body("through"));
    assert_eq!((response.status(), response.text()), (200, "through"));
    // Tunnels are opened through TLS as well.
    await_tunnels(&relay, 4);
    let response = relay.exchange(&ask("PUT", "/api/billing/a").body("again"));
    assert_eq!((response.status(), response.text()), (200, "again"));
    end(process);
}

#[test]
fn an_interrupted_response_is_truncated_for_the_client() {
    let api = Server::start(|connection| {
        connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")?;
        Ok(None)
    });
    for tunnels in ["0", "2"] {
        let relay = Relay::start(&[]);
        let process = exposed(&url(&api), &relay, &["--tunnels", tunnels]);
        for _ in 0..3 {
            let response = relay.exchange(&ask("GET", "/api/billing/"));
            assert_eq!((response.status(), response.text()), (200, "half"), "{tunnels}");
            assert_ne!(response.ending, Ending::Complete, "{tunnels}");
        }
        end(process);
    }
}

#[test]
fn an_unreachable_api_is_reported_to_the_client() {
    let closed = ClosedPort::new();
    let api = closed.address();
    for tunnels in ["0", "2"] {
        let relay = Relay::start(&[]);
        let process = exposed(&format!("http://{api}"), &relay, &["--tunnels", tunnels]);
        let response = relay.exchange(&ask("GET", "/api/billing/"));
        assert_eq!(response.status(), 502, "{tunnels}");
        assert_eq!(response.json()["name"], "ApiUnreachableError", "{tunnels}");
        let stderr = end(process).stderr;
        let warned = stderr.lines().next().expect("a line");
        assert!(warned.contains(" WARN ] ") && warned.contains(&api.to_string()), "{stderr}");
        assert!(warned.ends_with("; is it running?"), "{stderr}");
    }
}

#[test]
fn a_name_is_taken_over_only_with_its_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "a secret of some length\n").expect("a file");
    let with = ["--secret-file", secret.to_str().expect("UTF-8")];
    let (api, relay) = (echo(), Relay::start(&[]));
    let first = exposed(&url(&api), &relay, &with);
    let other = expose(&url(&api), &relay.url(""), &["--name-timeout", "0s"]).finish();
    assert_eq!(other.status.code(), Some(5), "{}", other.stderr);
    assert!(other.stderr.contains("choose another name"), "{}", other.stderr);
    let second = exposed(&url(&api), &relay, &with);
    let first = first.finish();
    assert_eq!(first.status.code(), Some(5), "{}", first.stderr);
    assert_eq!(relay.exchange(&ask("GET", "/api/billing/")).status(), 200);
    end(second);
}

#[test]
fn a_client_disconnect_closes_the_connection_to_a_silent_api() {
    for (name, begun) in
        [("an idle event stream", "HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n"), ("a long poll", "")]
    {
        for tunnels in ["0", "2"] {
            let (called, call) = mpsc::channel();
            let api = Server::start(move |connection| {
                let head = connection.head()?;
                let _ = called.send(());
                connection.send(begun)?;
                connection.await_release()?;
                // No more is sent: only the end of the other side is detected.
                let _ = connection.line();
                Ok(Some(head))
            });
            let relay = Relay::start(&[]);
            let process = exposed(&url(&api), &relay, &["--tunnels", tunnels]);
            let mut client = Wire::connect(relay.address());
            client.ask(&ask("GET", "/api/billing/silent"));
            if begun.is_empty() {
                call.recv_timeout(TEST_TIMEOUT).expect("the API is called");
            } else {
                assert_eq!(client.head().status, 200, "{name}, {tunnels}");
            }
            drop(client);
            api.release();
            assert_eq!(api.request().line, "GET /silent HTTP/1.1", "{name}, {tunnels}");
            let stderr = end(process).stderr;
            let status = if begun.is_empty() { "-" } else { "200" };
            let line = format!(" GET /silent {status} ");
            let found = stderr.lines().find(|found| found.contains(&line));
            assert!(found.is_some_and(|line| line.ends_with("interrupted")), "{name}: {stderr}");
        }
    }
}
