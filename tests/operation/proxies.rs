//! The relay after proxies: whose address a request has.

use std::fs;
use std::path::PathBuf;

use crate::support::{Ask, Relay, Wire, ask, eventually, stream_of};
use tempfile::TempDir;

/// These tests are the proxy, and so is 10.0.0.0/8.
const PROXIES: [&str; 4] = ["--trusted-proxies", "127.0.0.0/8", "--trusted-proxies", "10.0.0.0/8"];

/// A request forwarded for this client.
fn forwarded(ask: Ask, client: &str) -> Ask {
    ask.field("X-Forwarded-For", client)
}

struct Logged {
    relay: Relay,
    log: PathBuf,
    _directory: TempDir,
}

impl Logged {
    fn start(flags: &[&str]) -> Logged {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("access.log");
        let place = log.to_str().expect("UTF-8").to_owned();
        let log_flags = ["--access-log", &place, "--access-log-format", "%U %a"];
        let relay = Relay::start(&[flags, &log_flags].concat());
        Logged { relay, log, _directory: directory }
    }

    /// Waits for a line of the access log.
    fn await_line(&self, line: &str) {
        eventually(&format!("{line:?} in the log"), || {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            text.lines().any(|found| found == line).then_some(())
        });
    }
}

#[test]
fn a_request_is_logged_with_the_address_of_its_client() {
    let logged = Logged::start(&PROXIES);
    let mut wire = logged.relay.connect();
    for (path, name, value, expected) in [
        ("/a", "X-Forwarded-For", "192.0.2.1, 10.1.1.1", "192.0.2.1"),
        ("/b", "Forwarded", "for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
        ("/c", "X-Forwarded-For", "unknown", "127.0.0.1"),
        ("/d", "X-Other", "192.0.2.1", "127.0.0.1"),
    ] {
        let answer = wire.exchange(&ask("GET", path).field(name, value));
        assert_eq!(answer.status(), 404);
        logged.await_line(&format!("{path} {expected}"));
    }
    let logged = Logged::start(&["--trusted-proxies", "10.0.0.0/8"]);
    logged.relay.exchange(&forwarded(ask("GET", "/e"), "192.0.2.1"));
    logged.await_line("/e 127.0.0.1");
}

#[test]
fn streams_and_requests_count_for_the_client_and_connections_of_the_proxy_do_not() {
    let limits = ["--max-streams-per-address", "1", "--max-connections-per-address", "1"];
    let relay = Relay::start(&[&PROXIES[..], &limits].concat());
    let mut proxy: Vec<Wire> = (0..4).map(|_| relay.connect()).collect();
    let create = |client: &str| forwarded(ask("POST", "/stream"), client);
    let id = stream_of(&proxy[0].exchange(&create("192.0.2.1")));
    assert_eq!(proxy[1].exchange(&create("192.0.2.1")).status(), 503, "its second stream");
    stream_of(&proxy[1].exchange(&create("192.0.2.2")));

    let ping = |client: &str| forwarded(ask("GET", "/ping"), client);
    let get = forwarded(ask("GET", &format!("/stream/{id}")), "192.0.2.1");
    proxy[2].ask(&get);
    eventually("the destination waits", || {
        let status = proxy[3].exchange(&ask("GET", &format!("/stream/{id}/status")));
        (status.json()["state"] == "DST_CONNECTED").then_some(())
    });
    let refused = proxy[0].exchange(&ping("192.0.2.1"));
    assert_eq!(refused.status(), 503, "one of its requests waits");
    assert!(refused.text().contains("max-connections-per-address"), "{}", refused.text());
    assert_eq!(proxy[0].exchange(&ping("192.0.2.2")).status(), 200, "another client");
    assert_eq!(proxy[0].exchange(&ask("GET", "/ping")).status(), 200, "the proxy itself");
    let put = forwarded(ask("PUT", &format!("/stream/{id}")), "192.0.2.3").body("x");
    assert_eq!(proxy[3].exchange(&put).status(), 200);
    assert_eq!(proxy[2].response().text(), "x");
    for wire in &mut proxy {
        assert_eq!(wire.exchange(&ping("192.0.2.1")).status(), 200, "no request of it is left");
    }
}

#[test]
fn a_proxy_is_not_trusted_for_its_clients() {
    let trusted = ["--trusted", "127.0.0.0/8", "--trusted", "192.0.2.0/24"];
    let hosts = ["--admin-hosts", "relay.test"];
    let relay = Relay::start(&[&PROXIES[..], &trusted, &hosts].concat());
    for list in [ask("GET", "/stream"), forwarded(ask("GET", "/stream"), "192.0.2.1")] {
        assert_eq!(relay.exchange(&list).status(), 403, "with or without its field");
    }
    let relay = Relay::start(&[&trusted[..], &hosts].concat());
    assert_eq!(relay.get("/stream").status(), 200, "not a proxy");
}
