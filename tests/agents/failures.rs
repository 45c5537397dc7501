//! What a caller receives when a call fails, and that a truncated response never looks complete.

use std::io::Write as _;

use rdv::mux::frame::{CancelReason, DATA_MAX_BYTES};
use rdv::mux::handshake::Dialect;
use rdv::mux::session::{Cancelled, Closed, close};
use serde_json::Value;

use crate::agent::{Agent, DIALECTS, frame, ok};
use crate::support::{
    Ask, DISCONNECTS, Ending, Relay, Response, Wire, ask, assert_error, eventually,
};

/// A call that reached a new agent, and the request as the agent received it.
struct Called {
    relay: Relay,
    agent: Agent,
    client: Wire,
    number: u32,
}

impl Called {
    fn start(flags: &[&str], dialect: Dialect) -> Called {
        Called::with(flags, dialect, |place| ask("GET", place))
    }

    fn with(flags: &[&str], dialect: Dialect, request: impl Fn(&str) -> Ask) -> Called {
        let relay = Relay::start(flags);
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        let mut client = relay.connect();
        client.ask(&request(&agent.path()));
        let number = agent.recv_request_head().0;
        Called { relay, agent, client, number }
    }

    /// The connection stays open, and another call gets a response.
    fn assert_next_call_succeeds(&mut self) {
        let place = self.agent.path();
        self.client.ask(&ask("GET", &place));
        let number = self.agent.recv_request_head().0;
        self.agent.respond_ok(number, b"still here");
        assert_eq!(self.client.response().text(), "still here");
    }
}

#[test]
fn an_agent_that_is_not_connected_is_not_found() {
    let relay = Relay::start(&[]);
    let mut client = relay.connect();
    for target in [
        "/api/nobody",
        "/api/nobody/x?y",
        "/api/%2e",
        "/socket/00000000-0000-4000-8000-000000000000/x",
        "/socket/no-id/x",
    ] {
        for request in [ask("GET", target), ask("POST", target).body("x"), ask("MADE-UP", target)] {
            let answer = client.exchange(&request);
            let message = "No agent with this name or connection id is connected";
            assert_error(target, &answer, (404, "AgentNotFoundError", Some(message)));
        }
    }
}

#[test]
fn an_agent_that_disconnects_before_its_response_is_a_bad_gateway() {
    for dialect in DIALECTS {
        let called = Called::start(&[], dialect);
        called.agent.disconnect();
        let mut client = called.client;
        let name = (502, "AgentGoneError", None);
        assert_error(&format!("{dialect:?}"), &client.response(), name);
        assert_eq!(client.exchange(&ask("GET", "/ping")).text(), "pong", "{dialect:?}");
    }
}

#[test]
fn an_interrupted_response_never_looks_complete() {
    for (name, head, http10, ending) in [
        ("chunked", "HTTP/1.1 200 OK\r\n\r\n".to_owned(), false, Ending::Closed),
        ("sized", ok(100), false, Ending::Closed),
        ("HTTP/1.0", "HTTP/1.1 200 OK\r\n\r\n".to_owned(), true, Ending::Reset),
    ] {
        for how in ["vanishes", "cancels"] {
            let mut called = Called::with(&[], Dialect::V1, |place| {
                let request = ask("GET", place);
                if http10 { request.http10() } else { request }
            });
            called.agent.respond_head(called.number, &head, false);
            called.agent.send(called.number, b"half of it", false);
            assert_eq!(called.client.head().status, 200, "{name}");
            assert_eq!(called.client.body(10), b"half of it", "{name}");
            if how == "vanishes" {
                called.agent.disconnect();
            } else {
                called.agent.cancel(called.number, CancelReason::Gone);
            }
            assert_eq!(called.client.rest(), (Vec::new(), ending), "{name} {how}");
        }
    }
}

#[test]
fn an_agent_that_does_not_respond_in_time_is_a_gateway_timeout() {
    for dialect in DIALECTS {
        let mut called = Called::start(&["--agent-timeout", "100ms"], dialect);
        assert_error("late", &called.client.response(), (504, "AgentTimeoutError", None));
        if dialect == Dialect::V1 {
            let cancelled = called.agent.recv_cancel(called.number);
            assert_eq!(cancelled, Cancelled::There(CancelReason::Late));
        } else {
            // The agent gets no notice, and its late response is dropped.
            called.agent.respond_ok(called.number, b"too late");
        }
    }
}

#[test]
fn agent_timeout_applies_to_the_head_only() {
    let mut called = Called::start(&["--agent-timeout", "3s"], Dialect::V1);
    called.agent.respond_head(called.number, &ok(4), false);
    assert_eq!(called.client.head().status, 200);
    let other = called.relay.connect();
    let mut late = other;
    late.ask(&ask("GET", &called.agent.path()));
    // When this call has timed out, so has the first.
    assert_error("late", &late.response(), (504, "AgentTimeoutError", None));
    called.agent.send(called.number, b"slow", true);
    assert_eq!(called.client.rest(), (b"slow".to_vec(), Ending::Complete));
}

#[test]
fn calls_beyond_the_limit_of_an_agent_are_refused() {
    for dialect in DIALECTS {
        let mut called = Called::start(&["--max-agent-requests", "1"], dialect);
        let answer = called.relay.get(&called.agent.path());
        assert_error("one too many", &answer, (503, "TooBusyError", None));
        called.agent.respond_ok(called.number, b"");
        assert_eq!(called.client.response().status(), 200);
        called.assert_next_call_succeeds();
    }
}

#[test]
fn calls_that_a_text_agent_answers_late_do_not_count_for_ever() {
    let flags = ["--agent-timeout", "100ms", "--max-agent-requests", "2"];
    let relay = Relay::start(&flags);
    let mut agent = Agent::connect(&relay, Dialect::Text, Value::Null);
    let place = agent.path();
    for number in 0..5 {
        let answer = relay.get(&place);
        assert_error(&number.to_string(), &answer, (504, "AgentTimeoutError", None));
    }
    let first = agent.recv_request();
    agent.respond_ok(first.number, b"late");
    let echo = agent.echo();
    eventually("it is called again", || (relay.get(&place).status() == 200).then_some(()));
    drop(echo);
}

#[test]
fn an_agent_may_cancel_with_a_reason() {
    for (why, status, name) in [
        (CancelReason::Gone, 502, "AgentGoneError"),
        (CancelReason::Late, 504, "AgentTimeoutError"),
        (CancelReason::Busy, 503, "TooBusyError"),
        (CancelReason::Broke("its disk is full".into()), 502, "AgentCancelledError"),
        (CancelReason::Done, 502, "AgentCancelledError"),
    ] {
        let mut called = Called::start(&[], Dialect::V1);
        called.agent.cancel(called.number, why.clone());
        assert_error(name, &called.client.response(), (status, name, None));
        called.assert_next_call_succeeds();
    }
}

/// The client's view of a response with this head and these bytes of a body.
fn response_to_head_and_body(head: &[u8], body: &[u8]) -> Result<Response, Ending> {
    let mut called = Called::start(&[], Dialect::V1);
    called.agent.send_raw(&frame(2, u8::from(body.is_empty()), called.number, head));
    if !body.is_empty() {
        called.agent.send_raw(&frame(3, 1, called.number, body));
    }
    called.client.try_response()
}

#[test]
fn an_invalid_response_head_is_a_bad_gateway() {
    for (name, head) in [
        ("nonsense", &b"hello\r\n\r\n"[..]),
        ("an incomplete head", b"HTTP/1.1 200 OK\r\n"),
        ("a bad length", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        ("another protocol", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        ("a smuggled field", b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n"),
        ("a body that is missing", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ] {
        let answer = response_to_head_and_body(head, b"").expect("an answer");
        assert_error(name, &answer, (502, "AgentBrokeError", None));
    }
}

#[test]
fn a_body_that_differs_from_its_declared_length_never_looks_complete() {
    for (name, body) in [("too short", &b"abc"[..]), ("too long", b"abcdefg")] {
        let answer = response_to_head_and_body(ok(5).as_bytes(), body).expect("a head");
        assert_eq!(answer.ending, Ending::Closed, "{name}: {:?}", answer.text());
        assert!(answer.body.len() < 5, "{name}: {:?}", answer.text());
    }
}

#[test]
fn a_client_disconnect_cancels_the_call_at_the_agent() {
    for way in DISCONNECTS {
        for begun in [false, true] {
            let mut called = Called::start(&[], Dialect::V1);
            if begun {
                called.agent.respond_head(called.number, &ok(100), false);
                assert_eq!(called.client.head().status, 200);
            }
            let Called { relay, mut agent, client, number } = called;
            client.leave(way);
            let cancelled = agent.recv_cancel(number);
            assert_eq!(cancelled, Cancelled::There(CancelReason::Gone), "{way:?} {begun}");
            relay.await_turn();
        }
        let called = Called::with(&[], Dialect::V1, |place| {
            ask("POST", place).length(100).raw_body(b"half of it")
        });
        let Called { relay, mut agent, client, number } = called;
        client.leave(way);
        assert_eq!(
            agent.recv_cancel(number),
            Cancelled::There(CancelReason::Gone),
            "{way:?}: an upload"
        );
        relay.await_turn();
    }
}

#[test]
fn an_upload_with_invalid_framing_is_refused() {
    let mut called = Called::with(&[], Dialect::V1, |place| {
        ask("POST", place).chunked().raw_body(b"5\r\nhello\r\nnonsense\r\n")
    });
    assert_error("bad chunks", &called.client.response(), (400, "BadRequestError", None));
    assert_eq!(called.agent.recv_cancel(called.number), Cancelled::There(CancelReason::Gone));

    let mut called =
        Called::with(&[], Dialect::V1, |place| ask("POST", place).length(10).raw_body(b"five!"));
    called.client.finish_sending();
    assert_error("too short", &called.client.response(), (400, "BadRequestError", None));
    assert_eq!(called.agent.recv_cancel(called.number), Cancelled::There(CancelReason::Gone));
}

#[test]
fn an_agent_that_exceeds_its_window_is_disconnected() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut client = Wire::connect_narrow(relay.address());
    client.ask(&ask("GET", &agent.path()));
    let number = agent.recv_request_head().0;
    agent.respond_head(number, "HTTP/1.1 200 OK\r\n\r\n", false);
    // More than the kernel buffers for a client that does not read (tcp_wmem: 4 MiB by default).
    let bytes = frame(3, 0, number, &vec![b'x'; DATA_MAX_BYTES]).repeat(256);
    let mut sender = agent.sender();
    let sender = std::thread::spawn(move || sender.write_all(&bytes));
    match agent.recv_close() {
        Closed::There(code, reason) => {
            assert_eq!(code, close::PROTOCOL, "{reason}");
            assert!(reason.contains("window"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    agent.disconnect();
    let _ = sender.join().expect("a sender");
    drop(client);
}

#[test]
fn frames_of_a_finished_exchange_are_dropped() {
    let mut called = Called::start(&[], Dialect::V1);
    for late in [
        frame(3, 1, 4_000, b"late"),
        frame(4, 0, 4_000, &7u32.to_be_bytes()),
        frame(5, 0, 4_000, &[0]),
    ] {
        called.agent.send_raw(&late);
    }
    called.agent.respond_ok(called.number, b"fine");
    assert_eq!(called.client.response().text(), "fine");
}

#[test]
fn invalid_frames_close_the_connection() {
    for (name, kind, payload) in [
        ("a body before its head", 3, &b"x"[..]),
        ("a window beyond all", 4, &u32::MAX.to_be_bytes()),
    ] {
        let mut called = Called::start(&[], Dialect::V1);
        called.agent.send_raw(&frame(kind, 0, called.number, payload));
        assert!(matches!(called.agent.recv_close(), Closed::There(close::PROTOCOL, _)), "{name}");
        assert_error(name, &called.client.response(), (502, "AgentGoneError", None));
    }
}
