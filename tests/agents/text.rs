//! What only the text dialect has: everything is text, and one message of HTTP follows the other.

use rdv::mux::handshake::Dialect;
use rdv::mux::session::TEXT_MAX_BYTES;
use serde_json::Value;

use crate::agent::Agent;
use crate::support::{Ending, Relay, Wire, ask, assert_error};

/// A text agent with two calls that have come to it.
struct Two {
    agent: Agent,
    ids: [String; 2],
    clients: [Wire; 2],
    _relay: Relay,
}

impl Two {
    fn start() -> Two {
        let relay = Relay::start(&[]);
        let mut agent = Agent::connect(&relay, Dialect::Text, Value::Null);
        let mut clients = [relay.connect(), relay.connect()];
        let place = agent.place();
        let ids = [0, 1].map(|number: usize| {
            clients[number].ask(&ask("GET", &format!("{place}/{number}")));
            let asked = agent.asked();
            assert_eq!(asked.line(), format!("GET /{number}"));
            asked.get("X-Correlation-Id").expect("an id").to_owned()
        });
        Two { agent, ids, clients, _relay: relay }
    }

    /// An answer to one of the calls, as text.
    fn answer(&self, number: usize, body: &str) -> String {
        let (id, length) = (&self.ids[number], body.len());
        format!(
            "HTTP/1.1 200 OK\r\nX-Correlation-Id: {id}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    fn assert_answered(mut self, what: &str, bodies: [&str; 2]) {
        for (client, body) in self.clients.iter_mut().zip(bodies) {
            let answer = client.response();
            assert_eq!((answer.text(), answer.ending), (body, Ending::Complete), "{what}");
        }
    }
}

#[test]
fn answers_find_their_calls_in_any_order() {
    let mut two = Two::start();
    for number in [1, 0] {
        let text = two.answer(number, &format!("answer {number}"));
        two.agent.say(&text);
    }
    two.assert_answered("the later one first", ["answer 0", "answer 1"]);
}

#[test]
fn one_text_message_may_have_many_answers() {
    let mut two = Two::start();
    let text = format!("{}{}", two.answer(1, "b"), two.answer(0, "a"));
    two.agent.say(&text);
    two.assert_answered("both at once", ["a", "b"]);
}

#[test]
fn an_answer_may_be_cut_into_many_text_messages() {
    let mut two = Two::start();
    let text = format!("{}{}", two.answer(0, "one after"), two.answer(1, "the other"));
    for part in text.as_bytes().chunks(3) {
        two.agent.say(str::from_utf8(part).expect("ASCII"));
    }
    two.assert_answered("in pieces", ["one after", "the other"]);
}

#[test]
fn answers_without_ids_are_in_order() {
    let mut two = Two::start();
    two.agent.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    two.agent.say("HTTP/1.1 200 OK\r\n\r\nto the end of the message");
    two.assert_answered("in order", ["a", "to the end of the message"]);
}

#[test]
fn an_answer_to_nothing_is_dropped() {
    let mut two = Two::start();
    two.agent.say("HTTP/1.1 200 OK\r\nX-Correlation-Id: x\r\nContent-Length: 1\r\n\r\n?");
    for number in [0, 1] {
        let text = two.answer(number, "fine");
        two.agent.say(&text);
    }
    two.assert_answered("the others", ["fine", "fine"]);
}

#[test]
fn a_request_that_is_no_text_or_too_large_is_refused() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::Text, Value::Null);
    let mut client = relay.connect();
    client.ask(&ask("POST", &agent.place()).body(b"\xff\xfe"));
    assert_error("no text", &client.response(), (415, "UnsupportedMediaTypeError", None));
    let mut client = relay.connect();
    client.ask(&ask("POST", &agent.place()).length(TEXT_MAX_BYTES + 1));
    assert_error("too large", &client.response(), (413, "ContentTooLargeError", None));
    let mut client = relay.connect();
    let chunk = format!("{:x}\r\n{}", TEXT_MAX_BYTES, "x".repeat(TEXT_MAX_BYTES));
    client.ask(&ask("POST", &agent.place()).chunked().raw_body(chunk.as_bytes()));
    assert_error("too large", &client.response(), (413, "ContentTooLargeError", None));
    let mut client = relay.connect();
    client.ask(&ask("POST", &agent.place()).body("héllo"));
    let asked = agent.asked();
    assert_eq!(asked.body, "héllo".as_bytes(), "none of the others came");
    agent.answer_ok(asked.number, b"");
    assert_eq!(client.response().status(), 200);
}
