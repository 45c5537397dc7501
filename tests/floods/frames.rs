//! Empty WebSocket frames.

use std::net::TcpStream;

use crate::agent::masked;
use crate::flood::{FLAGS, Rounds, assert_served};
use crate::peer::{agent, pump};
use crate::support::Relay;

/// Agents that send them.
const AGENTS: usize = 8;

#[test]
fn empty_frames() {
    // They continue a message that never ends.
    flood("empty frames", &masked(0x02, b""), &masked(0x00, b""));
}

#[test]
fn pings() {
    flood("pings", b"", &masked(0x89, b""));
}

#[test]
fn pings_with_payloads() {
    flood("pings with payloads", b"", &masked(0x89, &[b'p'; 125]));
}

#[test]
fn pongs() {
    flood("pongs", b"", &masked(0x8a, b""));
}

fn flood(name: &str, first: &[u8], then: &[u8]) {
    let relay = Relay::start(&FLAGS);
    let address = relay.address();
    let connect = || {
        let stream = agent(address, "null").expect("an agent");
        std::io::Write::write_all(&mut &stream, first).expect("send to the relay");
        stream
    };
    let agents: Vec<TcpStream> = (0..AGENTS).map(|_| connect()).collect();
    let bytes = then.repeat(10_000);
    let rounds = |stream: TcpStream| -> Rounds<'_> {
        let (bytes, mut at) = (&bytes, 0);
        Box::new(move || pump(&stream, bytes, &mut at))
    };
    assert_served(name, relay, agents.into_iter().map(rounds).collect());
}
