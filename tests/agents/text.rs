//! Properties of the text dialect: all messages are text, and HTTP messages are sent in sequence.

use rdv::mux::handshake::Dialect;
use rdv::mux::session::{Event, TEXT_MAX_BYTES};
use serde_json::Value;

use crate::agent::Agent;
use crate::support::{Ending, Relay, Wire, ask, assert_error};

/// A text agent with one call in progress, and one waiting.
struct Two {
    agent: Agent,
    clients: [Wire; 2],
    _relay: Relay,
}

impl Two {
    fn start() -> Two {
        let relay = Relay::start(&[]);
        let mut agent = Agent::connect(&relay, Dialect::Text, Value::Null);
        let mut clients = [relay.connect(), relay.connect()];
        for (number, client) in clients.iter_mut().enumerate() {
            client.ask(&ask("GET", &format!("{}/{number}", agent.path())));
            relay.await_turn();
        }
        agent.await_event(|event| matches!(event, Event::Request { .. }).then_some(()));
        Two { agent, clients, _relay: relay }
    }

    /// The next call is sent after the response to the previous one.
    fn await_second(&mut self) {
        let request = self.agent.recv_request();
        assert_eq!(request.line(), "GET /1");
    }

    fn assert_answered(mut self, what: &str, bodies: [&str; 2]) {
        for (client, body) in self.clients.iter_mut().zip(bodies) {
            let answer = client.response();
            assert_eq!((answer.text(), answer.ending), (body, Ending::Complete), "{what}");
        }
    }
}

/// A response without an id, as text.
fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_response_may_span_many_text_messages() {
    let mut two = Two::start();
    for (number, body) in ["one after", "the other"].into_iter().enumerate() {
        for part in answer(body).as_bytes().chunks(3) {
            two.agent.send_text(str::from_utf8(part).expect("ASCII"));
        }
        if number == 0 {
            two.await_second();
        }
    }
    two.assert_answered("in pieces", ["one after", "the other"]);
}

#[test]
fn responses_without_ids_are_matched_in_order() {
    let mut two = Two::start();
    two.agent.send_text(&answer("a"));
    two.await_second();
    two.agent.send_text("HTTP/1.1 200 OK\r\n\r\nto the end of the message");
    two.assert_answered("in order", ["a", "to the end of the message"]);
}

#[test]
fn a_response_to_an_unknown_id_is_dropped() {
    let mut two = Two::start();
    let stray = "HTTP/1.1 200 OK\r\nX-Correlation-Id: x\r\nContent-Length: 1\r\n\r\n?";
    two.agent.send_text(stray);
    two.agent.send_text(&answer("fine"));
    two.await_second();
    two.agent.send_text(stray);
    two.agent.send_text(&answer("fine"));
    two.assert_answered("the others", ["fine", "fine"]);
}

#[test]
fn a_request_that_is_not_text_or_too_large_is_refused() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::Text, Value::Null);
    let mut client = relay.connect();
    client.ask(&ask("POST", &agent.path()).body(b"\xff\xfe"));
    assert_error("no text", &client.response(), (415, "UnsupportedMediaTypeError", None));
    let mut client = relay.connect();
    client.ask(&ask("POST", &agent.path()).length(TEXT_MAX_BYTES + 1));
    assert_error("too large", &client.response(), (413, "ContentTooLargeError", None));
    let mut client = relay.connect();
    let chunk = format!("{:x}\r\n{}", TEXT_MAX_BYTES, "x".repeat(TEXT_MAX_BYTES));
    client.ask(&ask("POST", &agent.path()).chunked().raw_body(chunk.as_bytes()));
    assert_error("too large", &client.response(), (413, "ContentTooLargeError", None));
    let mut client = relay.connect();
    client.ask(&ask("POST", &agent.path()).body("héllo"));
    let request = agent.recv_request();
    assert_eq!(request.body, "héllo".as_bytes(), "the others are not received");
    agent.respond_ok(request.number, b"");
    assert_eq!(client.response().status(), 200);
}
