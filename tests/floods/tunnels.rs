//! Interim responses through tunnels. The relay closes a tunnel with too many; each round opens a
//! new one.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;

use rdv::mux::handshake::Dialect;
use serde_json::Value;

use crate::agent::Agent;
use crate::flood::{FLAGS, Rounds, assert_served};
use crate::peer::{connect, read_head, send_request};
use crate::support::{Relay, ask};

/// Agents, with one tunnel each.
const AGENTS: usize = 8;

#[test]
fn an_endless_interim_head() {
    flood("interim head without end", "HTTP/1.1 100 ", &"C".repeat(64 << 10));
}

#[test]
fn upgraded_connections_whose_clients_do_not_read() {
    let relay = Relay::start(&[&FLAGS[..], &["--agent-heartbeat", "1h"]].concat());
    let agents: Vec<Agent> =
        (0..AGENTS).map(|_| Agent::connect(&relay, Dialect::V1, Value::Null)).collect();
    let address = relay.address();
    let rounds = agents.iter().map(|agent| upgraded(address, agent)).collect();
    assert_served("unread upgraded connections", relay, rounds);
}

fn upgraded<'r>(address: SocketAddr, agent: &Agent) -> Rounds<'r> {
    let open = open_request(agent);
    let call = ask("GET", &agent.path()).field("Connection", "Upgrade").field("Upgrade", "x");
    let call = call.bytes();
    Box::new(move || {
        let mut tunnel = send_request(address, &open)?;
        let mut client = connect(address)?;
        client.write_all(&call)?;
        read_head(&mut tunnel)?;
        tunnel.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")?;
        read_head(&mut client)?;
        tunnel.set_nonblocking(true)?;
        while tunnel.write(&[0; 16 << 10]).is_ok() {}
        Ok(())
    })
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

/// The request that opens a tunnel of this agent.
fn open_request(agent: &Agent) -> Vec<u8> {
    let secret = agent.welcome().tunnel_secret.expect("a secret for tunnels").to_string();
    ask("GET", "/socket/spare")
        .field("Connection", "Upgrade")
        .field("Upgrade", "rdv.spare.v1")
        .field("Rdv-Connection", &agent.welcome().connection.to_string())
        .field("Rdv-Spare", &secret)
        .bytes()
}

fn rounds<'r>(address: SocketAddr, agent: &Agent, begin: &'r str, then: &'r str) -> Rounds<'r> {
    let open = open_request(agent);
    let call = ask("GET", &agent.path()).bytes();
    Box::new(move || {
        let mut tunnel = send_request(address, &open)?;
        let mut client = connect(address)?;
        client.write_all(&call)?;
        read_head(&mut tunnel)?;
        tunnel.write_all(begin.as_bytes())?;
        while tunnel.write_all(then.as_bytes()).is_ok() {}
        let answer = read_head(&mut client)?;
        // A relay that shuts down responds differently; such rounds do not count.
        if answer.starts_with("HTTP/1.1 502 ") { Ok(()) } else { Err(ErrorKind::Other.into()) }
    })
}
