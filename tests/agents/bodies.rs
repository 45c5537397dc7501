//! Bodies of calls and of their responses over the WebSocket.

use std::process::{Command, Stdio};

use rdv::mux::handshake::Dialect;
use rdv::mux::session::Cancelled;
use serde_json::Value;

use crate::agent::{Agent, DIALECTS};
use crate::support::{Ending, Relay, ask, chunks, is_pattern, pattern};

#[test]
fn uploads_arrive_complete_with_a_length_and_chunked() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let place = agent.path();
    for length in [0, 1, 16 << 10, 256 << 10, (256 << 10) + 1, 3_000_000] {
        let data = pattern(7, length);
        for (name, bytes) in [
            ("sized", ask("POST", &place).body(&data).bytes()),
            (
                "chunked",
                ask("POST", &place).chunked().raw_body(&chunks(&data, &[1, 70_000, 13])).bytes(),
            ),
        ] {
            let mut client = relay.connect();
            let sender = std::thread::spawn(move || {
                client.send(&bytes);
                client
            });
            let request = agent.recv_request();
            is_pattern(7, length, &request.body).unwrap_or_else(|why| panic!("{name}: {why}"));
            let sized = (name == "sized").then(|| length.to_string());
            assert_eq!(request.get("Content-Length"), sized.as_deref(), "{name} {length}");
            assert_eq!(request.get("Transfer-Encoding"), None);
            agent.respond_ok(request.number, b"");
            let mut client = sender.join().expect("a sender");
            let answer = client.response();
            assert_eq!(answer.status(), 200, "{name} {length}");
            assert!(!answer.head.closes(), "{name} {length}");
        }
    }
}

#[test]
fn responses_arrive_complete_with_a_length_and_without() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        let mut client = relay.connect();
        for length in [1, 65_536, 1_000_000] {
            let data: Vec<u8> = pattern(3, length).iter().map(|byte| b'a' + byte % 26).collect();
            for (name, head) in [
                ("sized", crate::agent::ok(length)),
                ("not sized", "HTTP/1.1 200 OK\r\n\r\n".to_owned()),
            ] {
                client.ask(&ask("GET", &agent.path()));
                let request = agent.recv_request();
                // It must be read while it is being sent.
                let answer = std::thread::scope(|scope| {
                    let reader = scope.spawn(|| client.response());
                    agent.respond_with(request.number, &head, &data);
                    reader.join().expect("a reader")
                });
                assert!(answer.body == data, "{dialect:?} {name} {length}");
                assert_eq!(answer.ending, Ending::Complete, "{dialect:?} {name} {length}");
                let coding = (name == "not sized").then_some("chunked");
                assert_eq!(answer.head.get("Transfer-Encoding"), coding, "{dialect:?} {name}");
            }
        }
    }
}

#[test]
fn expect_100_continue_is_answered() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        let mut client = relay.connect();
        client.ask(&ask("POST", &agent.path()).field("Expect", "100-continue").length(5));
        client.expect_continue();
        client.send("hello");
        let request = agent.recv_request();
        assert_eq!(request.body, b"hello", "{dialect:?}");
        assert_eq!(request.get("Expect"), None, "{dialect:?}");
        agent.respond_ok(request.number, b"thanks");
        assert_eq!(client.response().text(), "thanks", "{dialect:?}");
    }
    let mut client = relay.connect();
    client.ask(&ask("POST", "/api/nobody").field("Expect", "100-continue").length(5));
    assert_eq!(client.response().status(), 404, "without a 100");
}

#[test]
fn the_response_may_precede_the_end_of_the_upload() {
    let relay = Relay::start(&[]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut client = relay.connect();
    client.ask(&ask("POST", &agent.path()).length(10_000_000).raw_body(b"some of it"));
    let (number, _, over) = agent.recv_request_head();
    assert!(!over);
    agent.respond_with(number, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n", b"no");
    assert_eq!(agent.recv_cancel(number), Cancelled::There(rdv::mux::frame::CancelReason::Done));
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (403, "no"));
    assert!(answer.head.closes(), "the rest of the upload has to be dropped");
    client.finish_sending();
    client.expect_end();

    // In a bidirectional exchange the upload can end after the response has started.
    let mut client = relay.connect();
    client.ask(&ask("POST", &agent.path()).length(4));
    let (number, _, _) = agent.recv_request_head();
    agent.respond_head(number, &crate::agent::ok(4), false);
    assert_eq!(client.head().status, 200);
    client.send("ping");
    let body = agent.recv_rest_of_body(number);
    agent.send(number, &body, true);
    assert_eq!(client.rest(), (b"ping".to_vec(), Ending::Complete));
    client.expect_end();
}

#[test]
fn each_event_of_an_event_stream_arrives_at_once() {
    let relay = Relay::start(&[]);
    for dialect in DIALECTS {
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        let mut curl = Command::new("curl")
            .args(["-sN", &relay.url(&agent.path())])
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl");
        let mut shown = curl.stdout.take().expect("stdout");
        let request = agent.recv_request();
        agent.respond_head(
            request.number,
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
            false,
        );
        for number in 0..5 {
            let event = format!("data: {number}\n\n");
            agent.send(request.number, event.as_bytes(), false);
            let mut read = vec![0; event.len()];
            std::io::Read::read_exact(&mut shown, &mut read).expect("an event");
            assert_eq!(read, event.as_bytes(), "{dialect:?}");
        }
        agent.send(request.number, b"", true);
        assert!(curl.wait().expect("curl").success(), "{dialect:?}: the end is an orderly one");
    }
}
