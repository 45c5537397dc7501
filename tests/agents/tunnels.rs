//! Calls over tunnels, as plain HTTP/1.1.

use std::io::Write as _;

use rdv::mux::handshake::Dialect;
use rdv::mux::session::close;
use serde_json::Value;

use crate::agent::{Agent, BUSY, ok};
use crate::support::{Ending, Relay, Wire, ask, assert_error, chunks, is_pattern, pattern};
use crate::tunnel::{Tunnel, open_request};

/// A relay, an agent with one tunnel, and a client.
pub(crate) struct Setup {
    pub(crate) relay: Relay,
    pub(crate) agent: Agent,
    pub(crate) tunnel: Tunnel,
    pub(crate) client: Wire,
    pub(crate) place: String,
}

impl Setup {
    pub(crate) fn start(flags: &[&str]) -> Setup {
        let relay = Relay::start(&[BUSY, flags].concat());
        let agent = Agent::connect(&relay, Dialect::V1, Value::Null);
        let tunnel = Tunnel::of(&relay, &agent);
        let client = relay.connect();
        let place = agent.path();
        Setup { relay, agent, tunnel, client, place }
    }

    /// A call over the tunnel, with an immediate response.
    pub(crate) fn assert_next_call_succeeds(&mut self) {
        self.client.ask(&ask("GET", &format!("{}/again", self.place)));
        let request = self.tunnel.recv_request();
        assert_eq!(request.line(), "GET /again");
        self.tunnel.respond_ok(b"fine");
        assert_eq!(self.client.response().text(), "fine");
    }
}

#[test]
fn only_the_agent_can_open_its_tunnels() {
    let relay = Relay::start(&["--max-tunnels", "1"]);
    let agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let welcome = agent.welcome();
    let id = welcome.connection.to_string();
    let secret = welcome.tunnel_secret.expect("a secret").to_string();
    for (name, connection, secret) in [
        ("a wrong secret", id.as_str(), crate::support::UNKNOWN),
        ("a wrong connection", crate::support::UNKNOWN, secret.as_str()),
        ("no ids at all", "x", "y"),
    ] {
        let answer = relay.exchange(&open_request(connection, secret));
        assert_error(name, &answer, (403, "SpareRefusedError", None));
    }
    let _tunnel = Tunnel::of(&relay, &agent);
    let answer = relay.exchange(&open_request(&id, &secret));
    assert_error("one too many", &answer, (403, "SpareRefusedError", None));
    assert_eq!(relay.admin_get("/socket").json()[0]["spares"], 1);
}

#[test]
fn a_tunnel_is_reused() {
    let mut setup = Setup::start(&[]);
    for number in 0..5 {
        let request = ask("POST", &format!("{}/{number}", setup.place)).field("Keep-Alive", "x");
        setup.client.ask(&request.body(format!("body {number}")));
        let request = setup.tunnel.recv_request();
        assert_eq!(request.line(), format!("POST /{number}"));
        assert_eq!(request.body, format!("body {number}").as_bytes());
        assert_eq!(request.get("X-Forwarded-For"), Some("127.0.0.1"));
        assert_eq!(request.get("Keep-Alive"), None);
        setup.tunnel.respond_ok(format!("answer {number}").as_bytes());
        let answer = setup.client.response();
        assert_eq!(answer.text(), format!("answer {number}"));
        let id = request.get("X-Correlation-Id");
        assert_eq!(answer.head.get("X-Correlation-Id"), id);
        assert!(!answer.head.closes());
    }
}

#[test]
fn a_tunnel_is_reusable_after_a_response_of_any_framing() {
    let mut setup = Setup::start(&[]);
    for (name, method, answer, status, body) in [
        ("HEAD", "HEAD", ok(7), 200, ""),
        ("204", "DELETE", "HTTP/1.1 204 No Content\r\n\r\n".into(), 204, ""),
        ("304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n".into(), 304, ""),
        ("empty", "GET", ok(0), 200, ""),
        ("sized", "GET", format!("{}sized", ok(5)), 200, "sized"),
        ("interim", "GET", format!("HTTP/1.1 103 Early Hints\r\n\r\n{}x", ok(1)), 200, "x"),
        (
            "chunked",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
                .into(),
            200,
            "abc",
        ),
    ] {
        setup.client.ask(&ask(method, &setup.place));
        setup.tunnel.recv_request();
        setup.tunnel.send(answer);
        let answer = setup.client.response_to(method);
        assert_eq!((answer.status(), answer.text()), (status, body), "{name}");
        assert_eq!(answer.ending, Ending::Complete, "{name}");
        setup.assert_next_call_succeeds();
    }
}

#[test]
fn large_bodies_pass_unchanged_in_both_directions() {
    const LENGTH: usize = 16 << 20;
    let mut setup = Setup::start(&[]);
    let data = pattern(11, LENGTH);
    for (name, bytes) in [
        ("sized", ask("POST", &setup.place).body(&data).bytes()),
        (
            "chunked",
            ask("POST", &setup.place).chunked().raw_body(&chunks(&data, &[70_000, 9])).bytes(),
        ),
    ] {
        std::thread::scope(|scope| {
            let mut sender = setup.client.sender();
            scope.spawn(move || sender.write_all(&bytes).expect("an upload"));
            let request = setup.tunnel.recv_request();
            is_pattern(11, LENGTH, &request.body).unwrap_or_else(|why| panic!("{name}: {why}"));
        });
        std::thread::scope(|scope| {
            let mut sender = setup.tunnel.sender();
            let answer = if name == "sized" {
                [ok(LENGTH).as_bytes(), &data].concat()
            } else {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                [&head[..], &chunks(&data, &[100_000, 3])].concat()
            };
            scope.spawn(move || sender.write_all(&answer).expect("an answer"));
            let answer = setup.client.response();
            is_pattern(11, LENGTH, &answer.body).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(answer.ending, Ending::Complete, "{name}");
        });
        // Low-water marks are back to a minimum on both connections after a bulk transfer.
        setup.assert_next_call_succeeds();
        setup.assert_next_call_succeeds();
    }
}

#[test]
fn an_early_response_ends_the_upload_and_both_connections() {
    let mut setup = Setup::start(&[]);
    setup.client.ask(&ask("POST", &setup.place).length(1 << 30).raw_body(b"some"));
    setup.tunnel.head();
    setup.tunnel.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let answer = setup.client.response();
    assert_eq!((answer.status(), answer.text()), (403, "no"));
    assert!(answer.head.closes());
    setup.client.finish_sending();
    setup.client.expect_end();
    setup.tunnel.drain();
    setup.relay.await_turn();
}

#[test]
fn a_tunnel_that_closes_after_its_response_is_not_reused() {
    let mut setup = Setup::start(&[]);
    setup.client.ask(&ask("GET", &setup.place));
    setup.tunnel.recv_request();
    setup.tunnel.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let answer = setup.client.response();
    assert_eq!(answer.text(), "ok");
    assert!(!answer.head.closes(), "the client's connection is another one");
    setup.tunnel.expect_end();
    // The next call uses the WebSocket.
    setup.client.ask(&ask("GET", &setup.place));
    let request = setup.agent.recv_request();
    setup.agent.respond_ok(request.number, b"over frames");
    assert_eq!(setup.client.response().text(), "over frames");
}

#[test]
fn an_idle_tunnel_that_closes_fails_no_call() {
    let Setup { relay, mut agent, tunnel, mut client, place } = Setup::start(&[]);
    drop(tunnel);
    crate::support::eventually("it is removed", || {
        (relay.admin_get("/socket").json()[0]["spares"] == 0).then_some(())
    });
    client.ask(&ask("GET", &place));
    let request = agent.recv_request();
    agent.respond_ok(request.number, b"over frames");
    assert_eq!(client.response().text(), "over frames");
}

#[test]
fn a_tunnel_lost_during_a_call_is_a_bad_gateway_or_a_truncation() {
    for (name, begun, http10, ending) in [
        ("before the answer", false, false, Ending::Complete),
        ("within it", true, false, Ending::Closed),
        ("within it, HTTP/1.0", true, true, Ending::Reset),
    ] {
        let Setup { relay, agent: _agent, mut tunnel, mut client, place } = Setup::start(&[]);
        let request = ask("GET", &place);
        client.ask(&if http10 { request.http10() } else { request });
        tunnel.recv_request();
        if begun {
            tunnel.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
            assert_eq!(client.head().status, 200, "{name}");
            assert_eq!(client.body(4), b"half", "{name}");
            drop(tunnel);
            assert_eq!(client.rest(), (Vec::new(), ending), "{name}");
        } else {
            drop(tunnel);
            assert_error(name, &client.response(), (502, "AgentGoneError", None));
        }
        relay.await_turn();
    }
}

#[test]
fn a_client_disconnect_closes_the_tunnel() {
    for begun in [false, true] {
        let Setup { relay, agent: _agent, mut tunnel, client, place } = Setup::start(&[]);
        let mut client = client;
        client.ask(&ask("GET", &place));
        tunnel.recv_request();
        if begun {
            tunnel.send(format!("{}half", ok(100)));
            assert_eq!(client.head().status, 200);
        }
        drop(client);
        tunnel.expect_end();
        relay.await_turn();
    }
}

#[test]
fn a_call_through_a_tunnel_outlives_the_websocket() {
    let Setup { relay, mut agent, mut tunnel, mut client, place } = Setup::start(&[]);
    client.ask(&ask("GET", &place));
    tunnel.recv_request();
    agent.close(close::NORMAL, "");
    crate::support::eventually("the agent disconnects", || {
        (relay.get(&place).status() == 404).then_some(())
    });
    tunnel.respond_ok(b"still here");
    assert_eq!(client.response().text(), "still here");
    tunnel.expect_end();
}

#[test]
fn pipelining_and_expect_100_continue_work_through_a_tunnel() {
    let mut setup = Setup::start(&[]);
    let get = |n: u32| ask("GET", &format!("{}/{n}", setup.place)).bytes();
    let all = [get(0), get(1), get(2)].concat();
    setup.client.send(all);
    for number in 0..3 {
        assert_eq!(setup.tunnel.recv_request().line(), format!("GET /{number}"));
        setup.tunnel.respond_ok(number.to_string().as_bytes());
        assert_eq!(setup.client.response().text(), number.to_string());
    }
    let expecting = ask("POST", &setup.place).field("Expect", "100-continue").length(2);
    setup.client.ask(&expecting);
    setup.client.expect_continue();
    setup.client.send("hi");
    assert_eq!(setup.tunnel.recv_request().body, b"hi");
    setup.tunnel.respond_ok(b"");
    assert_eq!(setup.client.response().status(), 200);
    let mut old = setup.relay.connect();
    old.ask(&ask("GET", &setup.place).http10());
    setup.tunnel.recv_request();
    setup.tunnel.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nold\r\n0\r\n\r\n");
    let answer = old.response();
    assert_eq!((answer.text(), answer.ending), ("old", Ending::Complete));
    setup.assert_next_call_succeeds();
}

/// The agent has sent its part of the first response, whose tail is still in flight. Closing with
/// unread bytes would make the kernel send a reset, which would drop the tail.
#[test]
fn a_failed_call_does_not_truncate_the_previous_response() {
    const BEGUN: &[u8] = b"0123456789";
    let mut setup = Setup::start(&[]);
    let mut client = Wire::connect_narrow(setup.relay.address());
    let body = pattern(0, 300_000);
    client.ask(&ask("GET", &setup.place));
    setup.tunnel.recv_request();
    setup.tunnel.respond_ok(&body);
    client.ask(&ask("POST", &setup.place).chunked().raw_body(b"5\r\nhello\r\n"));
    setup.tunnel.head();
    setup.tunnel.send([ok(1000).as_bytes(), BEGUN].concat());
    setup.relay.await_turn();
    // Not a valid chunk size, followed by more bytes than one read takes.
    client.send_what_fits(&b"no size\r\n".repeat(60_000)).expect("a connection");
    assert!(client.response().body == body, "the first answer is complete");
    let head = client.head();
    assert_eq!((head.status, client.rest()), (200, (BEGUN.to_vec(), Ending::Closed)));
}
