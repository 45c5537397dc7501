//! Interim responses through tunnels. The relay closes a tunnel that has too many; each round brings
//! a new one.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;

use rdv::mux::handshake::Dialect;
use serde_json::Value;

use crate::agent::Agent;
use crate::flood::{FLAGS, Rounds, assert_served};
use crate::peer::{asked, connect, read_head};
use crate::support::{Relay, ask};

/// Agents, with a tunnel each.
const AGENTS: usize = 8;

#[test]
fn an_endless_interim_head() {
    flood("interim head without end", "HTTP/1.1 100 ", &"C".repeat(64 << 10));
}

#[test]
fn endless_interim_heads() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(1000);
    flood("interim heads", "", &interim);
}

fn flood(name: &str, begin: &str, then: &str) {
    let relay = Relay::start(&[&FLAGS[..], &["--agent-heartbeat", "1h"]].concat());
    let agents: Vec<Agent> =
        (0..AGENTS).map(|_| Agent::connect(&relay, Dialect::V1, Value::Null)).collect();
    let address = relay.address();
    let rounds = agents.iter().map(|agent| rounds(address, agent, begin, then)).collect();
    assert_served(name, relay, rounds);
}

fn rounds<'r>(address: SocketAddr, agent: &Agent, begin: &'r str, then: &'r str) -> Rounds<'r> {
    let secret = agent.welcome().tunnel_secret.expect("a secret for tunnels").to_string();
    let bring = ask("GET", "/socket/spare")
        .field("Connection", "Upgrade")
        .field("Upgrade", "rdv.spare.v1")
        .field("Rdv-Connection", &agent.welcome().connection.to_string())
        .field("Rdv-Spare", &secret)
        .bytes();
    let call = ask("GET", &agent.path()).bytes();
    Box::new(move || {
        let mut tunnel = asked(address, &bring)?;
        let mut client = connect(address)?;
        client.write_all(&call)?;
        read_head(&mut tunnel)?;
        tunnel.write_all(begin.as_bytes())?;
        while tunnel.write_all(then.as_bytes()).is_ok() {}
        let answer = read_head(&mut client)?;
        // A relay that ends answers otherwise; such rounds do not count.
        if answer.starts_with("HTTP/1.1 502 ") { Ok(()) } else { Err(ErrorKind::Other.into()) }
    })
}
