//! Spare connections: requests of the relay as plain HTTP, responses framed so that a truncation is
//! detected, and replacements for lost connections.

use std::io::Write as _;
use std::sync::mpsc::{self, Receiver};

use rdv::socket::expose::{Api, Calls, HostChoice, IdleTunnels, Owner, Served};
use uuid::Uuid;

use crate::expose::command::{echo, echo_chunks};
use crate::expose::relay_end::RelayEnd;
use crate::expose::server::Server;
use crate::support::{Ending, TEST_TIMEOUT, Wire, is_pattern, pattern};

struct Setup {
    relay: RelayEnd,
    /// They are closed with it.
    tunnels: Option<IdleTunnels>,
    calls: Calls,
    served: Receiver<Served>,
}

/// The tunnels of an agent with this API, in this number.
fn setup(api: &Server, count: usize) -> Setup {
    let relay = RelayEnd::new();
    let (sender, served) = mpsc::channel();
    let calls = Calls::new(move |call| drop(sender.send(call.clone())));
    let tunnels = start(&relay, api, (count, calls.clone()), |status| panic!("refused: {status}"));
    Setup { relay, tunnels: Some(tunnels), calls, served }
}

fn start(
    relay: &RelayEnd,
    api: &Server,
    (count, calls): (usize, Calls),
    refused: impl FnOnce(u16) + Send + 'static,
) -> IdleTunnels {
    let api = Api::new(&format!("http://{}", api.address()), HostChoice::Api).expect("a URL");
    let owner = Owner {
        relay: relay.url().parse().expect("a URL"),
        connection: Uuid::from_u128(1),
        secret: Uuid::from_u128(2),
        options: rdv::client::Options::default(),
    };
    IdleTunnels::start(owner, count, (api, calls), refused).expect("threads")
}

impl Setup {
    fn served(&self) -> Served {
        self.served.recv_timeout(TEST_TIMEOUT).expect("a call is over")
    }
}

/// Sends these bytes on every connection, and closes it.
fn sending(wire: impl Into<Vec<u8>>) -> Server {
    let wire = wire.into();
    Server::start(move |connection| {
        connection.head()?;
        connection.send(&wire)?;
        Ok(None)
    })
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: relay\r\nX-Correlation-Id: c\r\n\r\n")
}

#[test]
fn tunnels_follow_a_redirect_to_the_node_of_their_agent() {
    let node = RelayEnd::new();
    let location = format!("{}/socket/spare", node.url());
    let answer = format!("HTTP/1.1 307 X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let other = RelayEnd::answering(answer.leak());
    let (api, calls) = (echo(), Calls::new(|_| ()));
    let _tunnels = start(&other, &api, (1, calls), |status| panic!("refused: {status}"));
    let (mut tunnel, lines) = node.tunnel_and_head();
    assert!(lines.contains(&format!("Rdv-Connection: {}", Uuid::from_u128(1))), "{lines:?}");
    tunnel.send(get("/a"));
    assert_eq!(tunnel.response().status(), 200);
}

#[test]
fn the_configured_number_is_opened_with_the_tunnel_secret() {
    let setup = setup(&echo(), 3);
    for _ in 0..3 {
        let (_, lines) = setup.relay.tunnel_and_head();
        assert_eq!(lines[0], "GET /socket/spare HTTP/1.1");
        for line in [
            "Connection: Upgrade".to_owned(),
            "Upgrade: rdv.spare.v1".to_owned(),
            format!("Rdv-Connection: {}", Uuid::from_u128(1)),
            format!("Rdv-Spare: {}", Uuid::from_u128(2)),
        ] {
            assert!(lines.contains(&line), "{line}: {lines:?}");
        }
    }
    assert_eq!(setup.relay.unexpected_connections(), 0);
}

#[test]
fn requests_are_served_in_sequence_on_one_connection() {
    let api = echo();
    let setup = setup(&api, 1);
    let mut tunnel = setup.relay.tunnel();
    let body = "POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    for (name, request, answer) in [
        ("no body", get("/x"), ""),
        ("sized", body.to_owned(), "hello"),
        ("chunks", chunked.to_owned(), "hello"),
        ("again", get("/y"), ""),
    ] {
        tunnel.send(request);
        let response = tunnel.response();
        assert_eq!((response.status(), response.text()), (200, answer), "{name}");
        assert_eq!(response.ending, Ending::Complete, "{name}");
        let served = setup.served();
        assert!(served.whole && served.bytes == answer.len() as u64, "{name}: {served:?}");
    }
    assert_eq!(api.connections(), 1);
}

#[test]
fn each_served_request_is_reported() {
    let setup = setup(&sending("HTTP/1.1 404 X\r\nContent-Length: 3\r\n\r\nno\n"), 1);
    let mut tunnel = setup.relay.tunnel();
    tunnel.send(get("/there?x=1"));
    assert_eq!(tunnel.response().status(), 404);
    let served = setup.served();
    assert_eq!((served.method.as_str(), served.path.as_str()), ("GET", "/there?x=1"));
    assert_eq!((served.status, served.bytes, served.whole), (Some(404), 3, true));
    assert_eq!(served.correlation.as_deref(), Some("c"));
    assert!(setup.calls.wait(TEST_TIMEOUT));
}

#[test]
fn responses_are_framed_to_keep_the_connection_open() {
    for (name, wire, length, body) in [
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Some("2"), "hi"),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            None,
            "hi",
        ),
        ("to the close", "HTTP/1.0 200 OK\r\n\r\nhi", None, "hi"),
        ("nothing", "HTTP/1.1 204 No Content\r\n\r\n", None, ""),
    ] {
        let setup = setup(&sending(wire), 1);
        let mut tunnel = setup.relay.tunnel();
        for _ in 0..2 {
            tunnel.send(get("/"));
            let response = tunnel.response();
            assert_eq!(response.head.get("content-length"), length, "{name}");
            assert_eq!((response.text(), response.ending), (body, Ending::Complete), "{name}");
        }
        assert_eq!(setup.relay.unexpected_connections(), 0, "{name}");
    }
}

#[test]
fn a_head_request_is_answered_without_a_body() {
    let setup = setup(&sending("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), 1);
    let mut tunnel = setup.relay.tunnel();
    for _ in 0..2 {
        tunnel.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        let response = tunnel.response_to("HEAD");
        assert_eq!(response.head.get("content-length"), Some("9"));
    }
}

#[test]
fn large_responses_of_any_framing_arrive_complete() {
    const BYTES: usize = 5 << 20;
    let body = pattern(1, BYTES);
    let plain = [b"HTTP/1.1 200 OK\r\nContent-Length: 5242880\r\n\r\n", &body[..]].concat();
    let large = crate::support::chunks(&body, &[1 << 18, 3, 1 << 14]);
    let chunked = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &large[..]].concat();
    let closing = [b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat();
    for (name, wire) in [("length", plain), ("chunks", chunked), ("close", closing)] {
        let setup = setup(&sending(wire), 1);
        let mut tunnel = setup.relay.tunnel();
        for _ in 0..2 {
            tunnel.send(get("/"));
            let response = tunnel.response();
            assert_eq!(response.ending, Ending::Complete, "{name}");
            is_pattern(1, BYTES, &response.body).expect(name);
            assert_eq!(setup.served().bytes, BYTES as u64, "{name}");
        }
    }
}

#[test]
fn an_interrupted_response_closes_the_tunnel_and_a_new_one_opens() {
    for (name, wire) in [
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf".to_owned()),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n".to_owned()),
        ("much", format!("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{}", "x".repeat(50_000))),
    ] {
        let setup = setup(&sending(wire), 1);
        let mut tunnel = setup.relay.tunnel();
        tunnel.send(get("/"));
        let response = tunnel.response();
        assert_eq!(response.status(), 200, "{name}");
        assert_ne!(response.ending, Ending::Complete, "{name}");
        assert!(!setup.served().whole, "{name}");
        drop(setup.relay.tunnel());
    }
}

#[test]
fn events_are_forwarded_as_they_are_sent() {
    let server = Server::start(|connection| {
        let request = connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")?;
        connection.await_release()?;
        connection.send("data: 2\n\n")?;
        Ok(Some(request))
    });
    let setup = setup(&server, 1);
    let mut tunnel = setup.relay.tunnel();
    tunnel.send(get("/events"));
    assert_eq!(tunnel.head().get("content-type"), Some("text/event-stream"));
    assert_eq!(tunnel.body(9), b"data: 1\n\n");
    server.release();
    assert_eq!(tunnel.rest(), (b"data: 2\n\n".to_vec(), Ending::Complete));
}

#[test]
fn a_relay_disconnect_closes_the_connection_to_the_api() {
    for (name, wire) in [
        ("before the answer", ""),
        ("amid it", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"),
    ] {
        let server = Server::start(move |connection| {
            let request = connection.head()?;
            connection.send(wire)?;
            assert!(connection.line().is_err(), "nothing comes but the end");
            Ok(Some(request))
        });
        let setup = setup(&server, 1);
        let mut tunnel = setup.relay.tunnel();
        tunnel.send(get("/slow"));
        if !wire.is_empty() {
            tunnel.head();
            tunnel.body(4);
        }
        drop(tunnel);
        assert_eq!(server.request().line, "GET /slow HTTP/1.1", "{name}");
        assert!(!setup.served().whole, "{name}");
    }
}

#[test]
fn an_early_response_is_forwarded_and_the_rest_of_the_request_unread() {
    let api = sending("HTTP/1.1 413 X\r\nContent-Length: 4\r\n\r\nlong");
    let setup = setup(&api, 1);
    let mut tunnel = setup.relay.tunnel();
    tunnel.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nsome");
    let response = tunnel.response();
    assert_eq!((response.status(), response.text()), (413, "long"));
    assert_eq!(response.ending, Ending::Complete);
    // Bytes after this on the connection would be read as the rest of the body, so it closes.
    assert!(tunnel.try_response().is_err());
    setup.relay.tunnel();
}

#[test]
fn a_response_may_overlap_with_its_request() {
    let setup = setup(&echo_chunks(), 1);
    let mut tunnel = setup.relay.tunnel();
    tunnel.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(tunnel.head().status, 200);
    let mut sender = tunnel.sender();
    for piece in ["one", "two"] {
        sender.write_all(format!("3\r\n{piece}\r\n").as_bytes()).expect("room");
        assert_eq!(tunnel.body(3), piece.as_bytes());
    }
    sender.write_all(b"0\r\n\r\n").expect("room");
    assert_eq!(tunnel.rest(), (Vec::new(), Ending::Complete));
}

#[test]
fn an_interrupted_request_is_incomplete_at_the_api() {
    let api = echo();
    let setup = setup(&api, 1);
    let mut tunnel = setup.relay.tunnel();
    tunnel.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf");
    drop(tunnel);
    let received = api.request();
    // The end can arrive before the data that precedes it.
    assert!(!received.is_complete && b"half".starts_with(&received.body), "{received:?}");
}

#[test]
fn a_failing_api_is_a_bad_gateway_and_the_tunnel_stays_open() {
    let api = sending("");
    let setup = setup(&api, 1);
    let mut tunnel = setup.relay.tunnel();
    for _ in 0..2 {
        tunnel.send(get("/"));
        let response = tunnel.response();
        assert_eq!(response.status(), 502);
        assert_eq!(response.json()["name"], "ApiError");
    }
}

#[test]
fn an_invalid_request_closes_the_tunnel() {
    let setup = setup(&echo(), 1);
    let mut tunnel = setup.relay.tunnel();
    tunnel.send("what?\r\n\r\n");
    assert!(tunnel.try_response().is_err());
    setup.relay.tunnel();
}

#[test]
fn stopping_the_agent_closes_its_tunnels() {
    let mut setup = setup(&echo(), 2);
    let mut both: Vec<Wire> = (0..2).map(|_| setup.relay.tunnel()).collect();
    drop(setup.tunnels.take());
    for tunnel in &mut both {
        assert!(tunnel.try_response().is_err());
    }
    assert_eq!(setup.relay.unexpected_connections(), 0);
}

#[test]
fn tunnels_are_not_retried_indefinitely_at_a_relay_that_refuses_them() {
    let relay = RelayEnd::answering("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n");
    let (sender, receiver) = mpsc::channel();
    let calls = Calls::new(|_| {});
    let _tunnels = start(&relay, &echo(), (1, calls), move |status| {
        sender.send(status).expect("the test receives");
    });
    assert_eq!(receiver.recv_timeout(TEST_TIMEOUT), Ok(404));
    for _ in 0..3 {
        relay.tunnel();
    }
    assert_eq!(relay.unexpected_connections(), 0);
}
