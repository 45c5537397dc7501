//! Calls over tunnels, as plain HTTP/1.1.

use std::io::Write as _;

use rdv::mux::handshake::Dialect;
use rdv::mux::session::close;
use serde_json::Value;

use crate::agent::{Agent, BUSY, ok};
use crate::spare::{Spare, open_request};
use crate::support::{Ending, Relay, Wire, ask, assert_error, chunks, is_pattern, pattern};

/// A relay, an agent with one tunnel, and a client.
struct Spared {
    relay: Relay,
    agent: Agent,
    spare: Spare,
    client: Wire,
    place: String,
}

impl Spared {
    pub(crate) fn start(flags: &[&str]) -> Spared {
        let relay = Relay::start(&[BUSY, flags].concat());
        let agent = Agent::connect(&relay, Dialect::V1, Value::Null);
        let spare = Spare::of(&relay, &agent);
        let client = relay.connect();
        let place = agent.path();
        Spared { relay, agent, spare, client, place }
    }

    /// A call over the tunnel, with an immediate response.
    fn assert_next_call_succeeds(&mut self) {
        self.client.ask(&ask("GET", &format!("{}/again", self.place)));
        let asked = self.spare.recv_request();
        assert_eq!(asked.line(), "GET /again");
        self.spare.respond_ok(b"fine");
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
    let _spare = Spare::of(&relay, &agent);
    let answer = relay.exchange(&open_request(&id, &secret));
    assert_error("one too many", &answer, (403, "SpareRefusedError", None));
    assert_eq!(relay.admin_get("/socket").json()[0]["spares"], 1);
}

#[test]
fn a_tunnel_is_reused() {
    let mut spared = Spared::start(&[]);
    for number in 0..5 {
        let request = ask("POST", &format!("{}/{number}", spared.place)).field("Keep-Alive", "x");
        spared.client.ask(&request.body(format!("body {number}")));
        let asked = spared.spare.recv_request();
        assert_eq!(asked.line(), format!("POST /{number}"));
        assert_eq!(asked.body, format!("body {number}").as_bytes());
        assert_eq!(asked.get("X-Forwarded-For"), Some("127.0.0.1"));
        assert_eq!(asked.get("Keep-Alive"), None);
        spared.spare.respond_ok(format!("answer {number}").as_bytes());
        let answer = spared.client.response();
        assert_eq!(answer.text(), format!("answer {number}"));
        let id = asked.get("X-Correlation-Id");
        assert_eq!(answer.head.get("X-Correlation-Id"), id);
        assert!(!answer.head.closes());
    }
}

#[test]
fn a_tunnel_is_reusable_after_a_response_of_any_framing() {
    let mut spared = Spared::start(&[]);
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
        spared.client.ask(&ask(method, &spared.place));
        spared.spare.recv_request();
        spared.spare.send(answer);
        let answer = spared.client.response_to(method);
        assert_eq!((answer.status(), answer.text()), (status, body), "{name}");
        assert_eq!(answer.ending, Ending::Complete, "{name}");
        spared.assert_next_call_succeeds();
    }
}

#[test]
fn large_bodies_pass_unchanged_in_both_directions() {
    const LENGTH: usize = 16 << 20;
    let mut spared = Spared::start(&[]);
    let data = pattern(11, LENGTH);
    for (name, bytes) in [
        ("sized", ask("POST", &spared.place).body(&data).bytes()),
        (
            "chunked",
            ask("POST", &spared.place).chunked().raw_body(&chunks(&data, &[70_000, 9])).bytes(),
        ),
    ] {
        std::thread::scope(|scope| {
            let mut sender = spared.client.sender();
            scope.spawn(move || sender.write_all(&bytes).expect("an upload"));
            let asked = spared.spare.recv_request();
            is_pattern(11, LENGTH, &asked.body).unwrap_or_else(|why| panic!("{name}: {why}"));
        });
        std::thread::scope(|scope| {
            let mut sender = spared.spare.sender();
            let answer = if name == "sized" {
                [ok(LENGTH).as_bytes(), &data].concat()
            } else {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                [&head[..], &chunks(&data, &[100_000, 3])].concat()
            };
            scope.spawn(move || sender.write_all(&answer).expect("an answer"));
            let answer = spared.client.response();
            is_pattern(11, LENGTH, &answer.body).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(answer.ending, Ending::Complete, "{name}");
        });
        // Low-water marks are back to a minimum on both connections after a bulk transfer.
        spared.assert_next_call_succeeds();
        spared.assert_next_call_succeeds();
    }
}

#[test]
fn an_early_response_ends_the_upload_and_both_connections() {
    let mut spared = Spared::start(&[]);
    spared.client.ask(&ask("POST", &spared.place).length(1 << 30).raw_body(b"some"));
    spared.spare.head();
    spared.spare.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let answer = spared.client.response();
    assert_eq!((answer.status(), answer.text()), (403, "no"));
    assert!(answer.head.closes());
    spared.client.finish_sending();
    spared.client.expect_end();
    spared.spare.drain();
    spared.relay.await_turn();
}

#[test]
fn a_tunnel_that_closes_after_its_response_is_not_reused() {
    let mut spared = Spared::start(&[]);
    spared.client.ask(&ask("GET", &spared.place));
    spared.spare.recv_request();
    spared.spare.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let answer = spared.client.response();
    assert_eq!(answer.text(), "ok");
    assert!(!answer.head.closes(), "the client's connection is another one");
    spared.spare.expect_end();
    // The next call uses the WebSocket.
    spared.client.ask(&ask("GET", &spared.place));
    let asked = spared.agent.recv_request();
    spared.agent.respond_ok(asked.number, b"over frames");
    assert_eq!(spared.client.response().text(), "over frames");
}

#[test]
fn an_idle_tunnel_that_closes_fails_no_call() {
    let Spared { relay, mut agent, spare, mut client, place } = Spared::start(&[]);
    drop(spare);
    crate::support::eventually("it is removed", || {
        (relay.admin_get("/socket").json()[0]["spares"] == 0).then_some(())
    });
    client.ask(&ask("GET", &place));
    let asked = agent.recv_request();
    agent.respond_ok(asked.number, b"over frames");
    assert_eq!(client.response().text(), "over frames");
}

#[test]
fn a_tunnel_lost_during_a_call_is_a_bad_gateway_or_a_truncation() {
    for (name, begun, http10, ending) in [
        ("before the answer", false, false, Ending::Complete),
        ("within it", true, false, Ending::Closed),
        ("within it, HTTP/1.0", true, true, Ending::Reset),
    ] {
        let Spared { relay, agent: _agent, mut spare, mut client, place } = Spared::start(&[]);
        let request = ask("GET", &place);
        client.ask(&if http10 { request.http10() } else { request });
        spare.recv_request();
        if begun {
            spare.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
            assert_eq!(client.head().status, 200, "{name}");
            assert_eq!(client.body(4), b"half", "{name}");
            drop(spare);
            assert_eq!(client.rest(), (Vec::new(), ending), "{name}");
        } else {
            drop(spare);
            assert_error(name, &client.response(), (502, "AgentGoneError", None));
        }
        relay.await_turn();
    }
}

#[test]
fn a_client_disconnect_closes_the_tunnel() {
    for begun in [false, true] {
        let Spared { relay, agent: _agent, mut spare, client, place } = Spared::start(&[]);
        let mut client = client;
        client.ask(&ask("GET", &place));
        spare.recv_request();
        if begun {
            spare.send(format!("{}half", ok(100)));
            assert_eq!(client.head().status, 200);
        }
        drop(client);
        spare.expect_end();
        relay.await_turn();
    }
}

#[test]
fn a_call_through_a_tunnel_outlives_the_websocket() {
    let Spared { relay, mut agent, mut spare, mut client, place } = Spared::start(&[]);
    client.ask(&ask("GET", &place));
    spare.recv_request();
    agent.close(close::NORMAL, "");
    crate::support::eventually("the agent disconnects", || {
        (relay.get(&place).status() == 404).then_some(())
    });
    spare.respond_ok(b"still here");
    assert_eq!(client.response().text(), "still here");
    spare.expect_end();
}

#[test]
fn pipelining_and_expect_100_continue_work_through_a_tunnel() {
    let mut spared = Spared::start(&[]);
    let get = |n: u32| ask("GET", &format!("{}/{n}", spared.place)).bytes();
    let all = [get(0), get(1), get(2)].concat();
    spared.client.send(all);
    for number in 0..3 {
        assert_eq!(spared.spare.recv_request().line(), format!("GET /{number}"));
        spared.spare.respond_ok(number.to_string().as_bytes());
        assert_eq!(spared.client.response().text(), number.to_string());
    }
    let patient = ask("POST", &spared.place).field("Expect", "100-continue").length(2);
    spared.client.ask(&patient);
    spared.client.expect_continue();
    spared.client.send("hi");
    assert_eq!(spared.spare.recv_request().body, b"hi");
    spared.spare.respond_ok(b"");
    assert_eq!(spared.client.response().status(), 200);
    let mut old = spared.relay.connect();
    old.ask(&ask("GET", &spared.place).http10());
    spared.spare.recv_request();
    spared.spare.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nold\r\n0\r\n\r\n");
    let answer = old.response();
    assert_eq!((answer.text(), answer.ending), ("old", Ending::Complete));
    spared.assert_next_call_succeeds();
}

/// The agent has sent its part of the first response, whose tail is still in flight. Closing with
/// unread bytes would make the kernel send a reset, which would drop the tail.
#[test]
fn a_failed_call_does_not_truncate_the_previous_response() {
    const BEGUN: &[u8] = b"0123456789";
    let mut spared = Spared::start(&[]);
    let mut client = Wire::connect_narrow(spared.relay.address());
    let body = pattern(0, 300_000);
    client.ask(&ask("GET", &spared.place));
    spared.spare.recv_request();
    spared.spare.respond_ok(&body);
    client.ask(&ask("POST", &spared.place).chunked().raw_body(b"5\r\nhello\r\n"));
    spared.spare.head();
    spared.spare.send([ok(1000).as_bytes(), BEGUN].concat());
    spared.relay.await_turn();
    // Not a valid chunk size, followed by more bytes than one read takes.
    client.send_what_fits(&b"no size\r\n".repeat(60_000)).expect("a connection");
    assert!(client.response().body == body, "the first answer is complete");
    let head = client.head();
    assert_eq!((head.status, client.rest()), (200, (BEGUN.to_vec(), Ending::Closed)));
}
