//! Responses are read as a stream, and an error in one affects only its call.

use std::fmt::Write as _;

use crate::original::Original;
use crate::support::{Ending, Relay, ask, assert_error};

#[test]
fn ten_megabytes_that_are_not_flushed_pass() {
    let relay = Relay::start(&[]);
    let original = Original::start(relay.address());
    let answer = relay.get("/api/original/large?10000000");
    assert_eq!((answer.status(), answer.body.len()), (200, 10_000_000));
    assert_eq!(answer.ending, Ending::Complete);
    assert_eq!(relay.get("/api/original/echo").text(), "GET /echo ");
    drop(original);
}

#[test]
fn an_answer_that_is_not_text_passes() {
    let relay = Relay::start(&[]);
    let original = Original::start(relay.address());
    let answer = relay.get("/api/original/bytes");
    assert_eq!(answer.body, (0..=255).collect::<Vec<u8>>());
    drop(original);
}

#[test]
fn an_answer_without_a_length_ends_with_its_message() {
    let relay = Relay::start(&[]);
    let original = Original::start(relay.address());
    assert_eq!(relay.get("/api/original/unsized").text(), "to the end of the message");
    drop(original);
}

#[test]
fn a_flushed_answer_arrives_as_it_is_written() {
    let relay = Relay::start(&[]);
    let mut original = Original::start(relay.address());
    let mut client = relay.connect();
    client.ask(&ask("GET", "/api/original/follow"));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.body(6), b"first ");
    original.go_on();
    assert_eq!(client.rest(), (b"second".to_vec(), Ending::Complete));
}

#[test]
fn a_fault_of_an_answer_fails_its_call_and_leaves_the_agent() {
    let relay = Relay::start(&[]);
    let original = Original::start(relay.address());
    for (index, (name, answer)) in [
        ("not a response", "hello there\r\n\r\n".to_owned()),
        ("no status", "HTTP/1.1 fine\r\n\r\n".to_owned()),
        ("a bad length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc".to_owned()),
        ("a coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc".to_owned()),
        ("a long head", format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(70_000))),
        ("interim responses", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17)),
    ]
    .into_iter()
    .enumerate()
    {
        let digits = answer.bytes().fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        let target = if digits.len() > 8000 {
            "/api/original/long-head".to_owned()
        } else {
            format!("/api/original/raw?{digits}")
        };
        assert_error(name, &relay.get(&target), (502, "AgentBrokeError", None));
        // It loses the next answer if it opens another message of this one after that.
        original.await_event("answered", 2 * index + 1);
        assert_eq!(relay.get("/api/original/echo").text(), "GET /echo ", "{name}");
    }
    assert_eq!(original.events("connected").len(), 1, "it stayed");
}

#[test]
fn an_answer_that_breaks_within_its_body_is_visibly_incomplete() {
    let relay = Relay::start(&[]);
    let original = Original::start(relay.address());
    let mut client = relay.connect();
    client.ask(&ask("GET", "/api/original/broken-chunks"));
    assert_eq!(client.head().status, 200);
    assert_ne!(client.rest().1, Ending::Complete);
    assert_eq!(relay.get("/api/original/echo").text(), "GET /echo ");
    assert_eq!(original.events("connected").len(), 1, "it stayed");
}
