//! Input that the relay must parse, one byte at a time, on many connections.

use std::io::{self, Write};
use std::net::TcpStream;

use crate::flood::{FLAGS, Rounds, assert_served};
use crate::peer::connect;
use crate::support::{Relay, Wire, ask};

/// Sending connections.
const CONNECTIONS: usize = 100;

/// Threads that share these connections.
const THREADS: usize = 2;

/// One connection, and its position in its input: once `first`, then `then` repeatedly.
struct Sender {
    stream: TcpStream,
    first: Vec<u8>,
    then: Vec<u8>,
    at: usize,
}

impl Sender {
    fn new(relay: &Relay, first: Vec<u8>, then: &[u8]) -> Self {
        let stream = connect(relay.address()).expect("connect to the relay");
        Self { stream, first, then: then.to_vec(), at: 0 }
    }

    fn send(&mut self) -> io::Result<()> {
        let past = self.at.checked_sub(self.first.len());
        let byte = past.map_or_else(|| self.first[self.at], |at| self.then[at % self.then.len()]);
        self.at += 1;
        self.stream.write_all(&[byte])
    }
}

fn flood(name: &str, relay: Relay, mut senders: Vec<Sender>) {
    assert_eq!(senders.len(), CONNECTIONS);
    let mut threads: Vec<Rounds<'_>> = Vec::new();
    while !senders.is_empty() {
        let mut some = senders.split_off(senders.len() - CONNECTIONS / THREADS);
        threads.push(Box::new(move || some.iter_mut().try_for_each(Sender::send)));
    }
    assert_served(name, relay, threads);
}

#[test]
fn json_bodies() {
    let relay = Relay::start(&FLAGS);
    let head = || ask("POST", "/stream").length(64 << 10).bytes();
    let senders = (0..CONNECTIONS).map(|_| Sender::new(&relay, head(), b" ")).collect();
    flood("JSON bodies", relay, senders);
}

#[test]
fn chunked_json_bodies() {
    let relay = Relay::start(&FLAGS);
    let head = || ask("POST", "/stream").chunked().bytes();
    let senders = (0..CONNECTIONS).map(|_| Sender::new(&relay, head(), b"1\r\n \r\n")).collect();
    flood("chunked JSON bodies", relay, senders);
}

#[test]
fn request_heads() {
    let relay = Relay::start(&FLAGS);
    let head = ask("GET", "/ping").field("X", &"x".repeat(8 << 10)).bytes();
    let senders = (0..CONNECTIONS).map(|_| Sender::new(&relay, Vec::new(), &head)).collect();
    flood("request heads", relay, senders);
}

#[test]
fn request_heads_with_many_lines() {
    let relay = Relay::start(&FLAGS);
    let many = (0..90).fold(ask("GET", "/ping"), |ask, _| ask.field("X", "x")).bytes();
    let senders = (0..CONNECTIONS).map(|_| Sender::new(&relay, Vec::new(), &many)).collect();
    flood("request heads of many lines", relay, senders);
}

#[test]
fn chunk_heads() {
    uploads("chunk heads", b"1\r\nx\r\n");
}

#[test]
fn chunk_extensions() {
    let long = format!("1;{}=\"{}\"\r\nx\r\n", "a".repeat(50), "b".repeat(100));
    uploads("chunk extensions", long.as_bytes());
}

/// Uploads in this form whose downloads have started.
fn uploads(name: &str, then: &[u8]) {
    let relay = Relay::start(&FLAGS);
    let mut readers: Vec<Wire> = Vec::new();
    let mut pair = || {
        let path = format!("/stream/{}", relay.create());
        let mut reader = relay.connect();
        reader.ask(&ask("GET", &path));
        readers.push(reader);
        Sender::new(&relay, ask("PUT", &path).chunked().bytes(), then)
    };
    let senders = (0..CONNECTIONS).map(|_| pair()).collect();
    flood(name, relay, senders);
}
