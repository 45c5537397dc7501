//! The relay after proxies: whose address a request has.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::support::{
    Ask, Framing, Haproxy, Nginx, Observed, Relay, Wire, ask, assert_uploaded, eventually,
    stream_of,
};
use serde_json::json;
use tempfile::TempDir;

const FORMAT: &str = "%U %a %{tls_version}X %{tls_client}X";

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
        let log_flags = ["--access-log", &place, "--access-log-format", FORMAT];
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
        logged.await_line(&format!("{path} {expected} - -"));
    }
    let logged = Logged::start(&["--trusted-proxies", "10.0.0.0/8"]);
    logged.relay.exchange(&forwarded(ask("GET", "/e"), "192.0.2.1"));
    logged.await_line("/e 127.0.0.1 - -");
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

const REQUIRED: [&str; 2] = ["--proxy-protocol", "required"];

/// A header of version 2 for 192.0.2.1:4711, with these fields after the addresses.
fn version_2(fields: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
    let len = u8::try_from(addresses.len() + fields.len()).expect("a short header");
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", &[len][..], &addresses, fields].concat()
}

#[test]
fn a_connection_has_the_address_in_its_proxy_header() {
    let logged = Logged::start(&REQUIRED);
    let tls = b"\x20\0\x14\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x02me";
    for (path, header, expected) in [
        ("/a", b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(), "192.0.2.1 - -"),
        ("/b", b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(), "2001:db8::1 - -"),
        ("/c", b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1 - -"),
        ("/d", version_2(&[]), "192.0.2.1 - -"),
        ("/e", version_2(tls), "192.0.2.1 TLSv1.3 me"),
        ("/f", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), "127.0.0.1 - -"),
    ] {
        let mut wire = logged.relay.connect();
        let request = ask("GET", path).bytes();
        wire.send([&header[..], &request].concat());
        assert_eq!(wire.response().status(), 404, "{path}");
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200, "one header a connection");
        let mut slow = logged.relay.connect();
        for byte in header {
            slow.send([byte]);
        }
        slow.send(ask("GET", &format!("{path}/slow")).bytes());
        assert_eq!(slow.response().status(), 404, "{path}, byte by byte");
        for path in [path, &format!("{path}/slow")] {
            logged.await_line(&format!("{path} {expected}"));
        }
    }
}

#[test]
fn a_connection_without_a_valid_proxy_header_is_closed_and_counted() {
    let counted = |reason: &str| format!("rdv_proxy_refusals_total{{reason=\"{reason}\"}}");
    let relay = Observed::start(&REQUIRED);
    for bytes in [ask("GET", "/ping").bytes(), b"PROXY TCP4 a b\r\n".to_vec(), vec![0]] {
        let mut wire = relay.connect();
        wire.send(bytes);
        wire.expect_end();
    }
    relay.await_value(&counted("invalid"), 3.0);

    let relay = Observed::start(&[&REQUIRED[..], &["--header-timeout", "100ms"]].concat());
    let mut silent = relay.connect();
    silent.send("PROXY");
    silent.expect_end();
    relay.await_value(&counted("timeout"), 1.0);

    let elsewhere = ["--trusted-proxies", "10.0.0.0/8"];
    let relay = Observed::start(&[&REQUIRED[..], &elsewhere].concat());
    relay.connect().expect_end();
    relay.await_value(&counted("untrusted"), 1.0);
}

#[test]
fn a_declared_address_is_limited_and_not_trusted() {
    let flags = ["--max-connections-per-address", "1", "--trusted", "192.0.2.0/24"];
    let relay = Relay::start(&[&REQUIRED[..], &flags].concat());
    let connect = |client: &str| {
        let mut wire = relay.connect();
        wire.send(format!("PROXY TCP4 {client} 10.0.0.1 1 2\r\n"));
        wire
    };
    let mut first = connect("192.0.2.1");
    assert_eq!(first.exchange(&ask("GET", "/ping")).status(), 200);
    assert_eq!(connect("192.0.2.1").response().status(), 503, "a second one of this client");
    assert_eq!(connect("192.0.2.2").exchange(&ask("GET", "/ping")).status(), 200);
    assert_eq!(first.exchange(&ask("GET", "/stream")).status(), 403);
}

#[test]
fn the_identifier_of_a_connection_is_that_of_its_first_request() {
    let relay = Relay::start(&[&REQUIRED[..], &["--request-id"]].concat());
    let mut wire = relay.connect();
    wire.send(version_2(b"\x05\0\x04id-1"));
    let mut id = |ask: Ask| wire.exchange(&ask).head.get("X-Request-Id").expect("an id").to_owned();
    assert_eq!(id(ask("GET", "/ping")), "id-1");
    assert_ne!(id(ask("GET", "/ping")), "id-1");
    assert_eq!(id(ask("GET", "/ping").field("X-Request-Id", "own")), "own");
}

#[test]
fn both_versions_of_haproxy_are_accepted() {
    let logged = Logged::start(&REQUIRED);
    for (path, option) in [
        ("/one", "send-proxy"),
        ("/two", "send-proxy-v2"),
        ("/three", "send-proxy-v2 proxy-v2-options ssl,cert-cn,crc32c,unique-id"),
    ] {
        let relay = logged.relay.address();
        let Some(haproxy) = Haproxy::tcp(&format!("{relay} {option}")) else { return };
        let mut wire = haproxy.connect_from("127.0.0.9");
        assert_eq!(wire.exchange(&ask("GET", path)).status(), 404);
        logged.await_line(&format!("{path} 127.0.0.9 - -"));
    }
}

const HEARTBEAT: [&str; 2] = ["--heartbeat", "1s"];
/// More than a narrow destination takes, and less than the relay's socket does.
const SENT: usize = 300_000;
/// The idle timeout of the proxies below.
const IDLE: &str = "5s";

/// Waits in each way longer than the idle timeout of the proxy at this address.
fn outlast(relay: &Relay, proxy: SocketAddr) {
    let acked = relay.create_with(&json!({ "receipt": "acked" }));
    let [waiting_destination, waiting_source, begun] = [(); 3].map(|()| relay.create());
    let target = |id: &str| format!("/stream/{id}");
    let get = |id: &str| ask("GET", &target(id)).named();
    let through = |ask: &Ask| {
        let mut wire = Wire::connect(proxy);
        wire.ask(ask);
        wire
    };
    let mut waiting_destination = (through(&get(&waiting_destination)), waiting_destination);
    let put = ask("PUT", &target(&waiting_source)).named().body("hello");
    let mut waiting_source = (through(&put), waiting_source);
    let mut slow_source = relay.waiting_source(&begun, Framing::Length(5));
    let mut begun_destination = through(&get(&begun));
    relay.await_state(&begun, "STREAMING");
    let mut slow_destination = Wire::connect_narrow(relay.address());
    slow_destination.ask(&ask("GET", &target(&acked)));
    relay.await_state(&acked, "DST_CONNECTED");
    let mut sent_source = through(&ask("PUT", &target(&acked)).named().body(vec![0; SENT]));

    // A client without a name gets no heartbeats; it began to wait last.
    let mut silent = through(&ask("GET", &target(&relay.create())));
    assert_eq!(silent.head().status, 504, "the proxy cuts it");

    let put = |id: &str| relay.exchange(&ask("PUT", &target(id)).body("hello"));
    assert_uploaded(&put(&waiting_destination.1));
    slow_source.send("hello");
    for destination in [&mut waiting_destination.0, &mut begun_destination] {
        assert_eq!(destination.status_after_heartbeats(), 200);
        assert_eq!(destination.body(5), b"hello");
    }
    assert_uploaded(&slow_source.response());
    assert_eq!(relay.get(&target(&waiting_source.1)).text(), "hello");
    assert_eq!(slow_destination.response().body.len(), SENT);
    for source in [&mut waiting_source.0, &mut sent_source] {
        assert_eq!(source.status_after_heartbeats(), 200);
    }
}

#[test]
fn a_heartbeat_outlasts_the_idle_timeouts_of_haproxy() {
    let relay = Relay::start(&HEARTBEAT);
    let Some(haproxy) = Haproxy::http(IDLE, &relay.address().to_string()) else { return };
    outlast(&relay, haproxy.address());
}

#[test]
fn a_heartbeat_outlasts_the_idle_timeouts_of_nginx() {
    let relay = Relay::start(&HEARTBEAT);
    let directives = format!(
        "proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off; \
         proxy_read_timeout {IDLE}; proxy_send_timeout {IDLE}; send_timeout {IDLE};"
    );
    let Some(nginx) = Nginx::start(relay.address(), &directives) else { return };
    outlast(&relay, nginx.address());
}
