//! Requests of agents to the API behind the relay.

use std::net::TcpListener;

use rdv::mux::frame::CancelReason;
use rdv::mux::handshake::Dialect;
use rdv::mux::session::{Cancelled, Closed};
use serde_json::{Value, json};

use crate::agent::{Agent, DIALECTS, ok};
use crate::support::{ClosedPort, Relay, eventually, is_pattern, parse, pattern};
use crate::tunnel::Tunnel;

/// A relay with an API, and an agent.
struct Setup {
    relay: Relay,
    api: TcpListener,
    agent: Agent,
}

impl Setup {
    fn start(dialect: Dialect, flags: &[&str]) -> Setup {
        let api = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = api.local_addr().expect("an address").to_string();
        let relay = Relay::start(&[&["--socket-api", &address], flags].concat());
        let agent = Agent::connect(&relay, dialect, Value::Null);
        Setup { relay, api, agent }
    }

    /// The API's side of the next request.
    fn accept(&self) -> Tunnel {
        accept(&self.api)
    }

    /// Waits until the agent has no exchange in progress.
    fn await_idle(&self) {
        eventually("no exchange is in progress", || {
            (self.relay.admin_get("/socket").json()[0]["requests_in_flight"] == 0).then_some(())
        });
    }
}

/// The next connection, which must be opened.
fn accept(listener: &TcpListener) -> Tunnel {
    listener.set_nonblocking(true).expect("O_NONBLOCK");
    let (stream, _) = eventually("the API is called", || listener.accept().ok());
    stream.set_nonblocking(false).expect("O_NONBLOCK");
    Tunnel::over(stream)
}

fn head(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n")
}

/// The status in a head.
fn status(head: &str) -> &str {
    head.split(' ').nth(1).expect("a status")
}

#[test]
fn an_agent_calls_the_api_with_bodies_in_both_directions() {
    for dialect in DIALECTS {
        let mut setup = Setup::start(dialect, &[]);
        for (name, answer) in [
            ("sized", format!("{}hello", ok(5))),
            (
                "in chunks",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
                    .to_owned(),
            ),
            ("to the end", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello".to_owned()),
            ("after 103", format!("HTTP/1.1 103 Early Hints\r\n\r\n{}hello", ok(5))),
        ] {
            let number = setup.agent.send_request(&head("GET /a?b", "X-Own: 1\r\n"), b"");
            let mut api = setup.accept();
            let request = api.recv_request();
            assert_eq!(request.line(), "GET /a?b", "{dialect:?} {name}");
            assert_eq!(request.get("X-Own"), Some("1"));
            assert_eq!(request.get("Host"), Some("api.test"));
            api.send(answer);
            drop(api);
            let (head, body) = setup.agent.recv_response(number);
            assert_eq!((status(&head), &body[..]), ("200", &b"hello"[..]), "{dialect:?} {name}");
        }
        let number =
            setup.agent.send_request(&head("POST /up", "Content-Length: 9\r\n"), b"some body");
        let mut api = setup.accept();
        assert_eq!(api.recv_request().body, b"some body", "{dialect:?}");
        api.send("HTTP/1.1 204 No Content\r\n\r\n");
        let (head, body) = setup.agent.recv_response(number);
        assert_eq!((status(&head), body.len()), ("204", 0), "{dialect:?}");
        setup.await_idle();
    }
}

#[test]
fn large_bodies_pass_in_both_directions() {
    let mut setup = Setup::start(Dialect::V1, &[]);
    let data = pattern(5, 3_000_000);
    let api = setup.api.try_clone().expect("dup");
    let echo = std::thread::spawn(move || {
        let mut api = accept(&api);
        let request = api.recv_request();
        assert_eq!(request.get("Transfer-Encoding"), Some("chunked"));
        api.respond_ok(&request.body);
    });
    let number = setup.agent.send_request(&head("POST /", ""), &data);
    let (_, body) = setup.agent.recv_response(number);
    is_pattern(5, data.len(), &body).expect("the same again");
    echo.join().expect("an API");
}

#[test]
fn without_an_api_requests_are_answered_404() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        let number = agent.send_request(&head("GET /", "X-Correlation-Id: 1\r\n"), b"");
        let (head, body) = agent.recv_response(number);
        assert_eq!(status(&head), "404", "{dialect:?}");
        assert_eq!(parse(&body)["name"], "NoSuchApiError", "{dialect:?}");
    }
}

#[test]
fn an_unreachable_api_is_a_bad_gateway() {
    for dialect in DIALECTS {
        let api = ClosedPort::new();
        let relay = Relay::start(&["--socket-api", &api.address().to_string()]);
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        let number = agent.send_request(&head("POST /", "Content-Length: 2\r\n"), b"hi");
        let (head, body) = agent.recv_response(number);
        assert_eq!(status(&head), "502", "{dialect:?}");
        assert!(parse(&body)["message"].is_string(), "{dialect:?}");
        relay.await_turn();
    }
}

#[test]
fn an_api_that_disconnects_before_its_response_is_a_bad_gateway() {
    for dialect in DIALECTS {
        for partly in ["", "HTTP/1.1 200 OK\r\nContent-"] {
            let mut setup = Setup::start(dialect, &[]);
            let number = setup.agent.send_request(&head("GET /", ""), b"");
            let mut api = setup.accept();
            api.recv_request();
            api.send(partly);
            drop(api);
            let (head, _) = setup.agent.recv_response(number);
            assert_eq!(status(&head), "502", "{dialect:?} {partly}");
            setup.await_idle();
        }
    }
}

#[test]
fn a_truncated_response_of_the_api_never_looks_complete() {
    for dialect in DIALECTS {
        let mut setup = Setup::start(dialect, &[]);
        let number = setup.agent.send_request(&head("GET /", ""), b"");
        let mut api = setup.accept();
        api.recv_request();
        api.send(format!("{}half", ok(8)));
        assert_eq!(status(&setup.agent.recv_response_head(number).0), "200");
        drop(api);
        match dialect {
            Dialect::V1 => {
                let cancelled = setup.agent.recv_cancel(number);
                assert!(
                    matches!(cancelled, Cancelled::There(CancelReason::Broke(_))),
                    "{cancelled:?}"
                );
            }
            // An error can only be signalled by closing the connection.
            Dialect::Text => {
                let closed = setup.agent.recv_close();
                assert!(matches!(closed, Closed::Lost), "{closed:?}");
            }
        }
    }
}

#[test]
fn an_api_that_does_not_respond_in_time_is_a_gateway_timeout() {
    for dialect in DIALECTS {
        let mut setup = Setup::start(dialect, &["--agent-timeout", "100ms"]);
        let number = setup.agent.send_request(&head("GET /", ""), b"");
        let api = setup.accept();
        let (head, body) = setup.agent.recv_response(number);
        assert_eq!(status(&head), "504", "{dialect:?}");
        assert_eq!(parse(&body)["name"], "AgentTimeoutError", "{dialect:?}");
        drop(api);
    }
}

#[test]
fn the_api_may_respond_before_the_request_is_complete() {
    let mut setup = Setup::start(Dialect::V1, &[]);
    let request = head("POST /", "Content-Length: 1000000\r\n");
    let number = setup.agent.session.request(request.as_bytes(), false).expect("open");
    setup.agent.flush();
    let mut api = setup.accept();
    api.head();
    let Setup { relay, agent, .. } = &mut setup;
    // The relay reads both in one turn.
    relay.while_stopped(|| {
        agent.send(number, &[b'x'; 1000], false);
        api.respond_ok(b"enough");
    });
    let (head, body) = setup.agent.recv_response(number);
    assert_eq!((status(&head), &body[..]), ("200", &b"enough"[..]));
    assert_eq!(
        setup.agent.recv_cancel(number),
        Cancelled::There(CancelReason::Done),
        "the rest is useless"
    );
    setup.await_idle();
}

#[test]
fn two_text_responses_are_sent_one_after_the_other() {
    let mut setup = Setup::start(Dialect::Text, &[]);
    // The agent's session would send them in sequence.
    let ask = |agent: &mut Agent, id: &str| {
        agent.send_text(&head("GET /", &format!("X-Correlation-Id: {id}\r\n")));
    };
    ask(&mut setup.agent, "1");
    let mut slow = setup.accept();
    slow.recv_request();
    slow.send(format!("{}one, ", ok(8)));
    setup.agent.raw_until("one, ");
    ask(&mut setup.agent, "2");
    let mut quick = setup.accept();
    quick.recv_request();
    quick.send(format!("{}the second", ok(10)));
    setup.relay.await_turn();
    slow.send("end");
    let received = setup.agent.raw_until("the second");
    let places = ["end", "X-Correlation-Id: 2\r\n", "the second"].map(|part| received.find(part));
    assert!(places.is_sorted() && places[0].is_some(), "{received}");
}

#[test]
fn requests_beyond_the_limit_are_refused() {
    for dialect in DIALECTS {
        let mut setup = Setup::start(dialect, &["--max-agent-requests", "1"]);
        match dialect {
            Dialect::V1 => {
                let first = setup.agent.send_request(&head("GET /1", ""), b"");
                let mut api = setup.accept();
                api.recv_request();
                let second = setup.agent.send_request(&head("GET /2", ""), b"");
                let cancelled = setup.agent.recv_cancel(second);
                assert_eq!(cancelled, Cancelled::There(CancelReason::Busy));
                api.respond_ok(b"");
                assert_eq!(status(&setup.agent.recv_response(first).0), "200");
            }
            Dialect::Text => {
                // The agent's session would send them in sequence.
                setup.agent.send_text(&head("GET /1", "X-Correlation-Id: 1\r\n"));
                let mut api = setup.accept();
                api.recv_request();
                setup.agent.send_text(&head("GET /2", "X-Correlation-Id: 2\r\n"));
                let refused = setup.agent.raw_until("X-Correlation-Id: 2\r\n");
                assert!(refused.contains("HTTP/1.1 503 "), "{refused}");
                api.respond_ok(b"");
                let answered = setup.agent.raw_until("X-Correlation-Id: 1\r\n");
                assert!(answered.contains("HTTP/1.1 200 "), "{answered}");
            }
        }
        let third = setup.agent.send_request(&head("GET /3", ""), b"");
        setup.accept().respond_ok(b"");
        assert_eq!(status(&setup.agent.recv_response(third).0), "200", "{dialect:?}");
    }
}

#[test]
fn requests_from_agents_are_not_counted_as_calls() {
    let mut setup = Setup::start(Dialect::V1, &[]);
    let number = setup.agent.send_request(&head("GET /", ""), b"");
    let mut api = setup.accept();
    api.recv_request();
    let shown = setup.relay.admin_get("/socket").json();
    assert_eq!(shown[0]["requests"], json!(0));
    assert_eq!(shown[0]["requests_in_flight"], json!(1));
    api.respond_ok(b"");
    setup.agent.recv_response(number);
}
