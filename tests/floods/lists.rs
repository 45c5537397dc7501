//! Long lists, with readers that do not read, read slowly, or read at full speed.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::flood::{FLAGS, Rounds, assert_served};
use crate::peer::{agent, raise_descriptors, send_request};
use crate::support::{Relay, TRUSTING, Wire, ask};

/// Readers that do not read.
const SILENT: usize = 100;

/// Threads of readers, half of them slow.
const READERS: u64 = 4;

#[test]
fn streams() {
    let relay = relay(&["--max-unjoined-streams-per-address", "10000"]);
    let mut wire = relay.connect();
    for _ in 0..5000 {
        assert_eq!(wire.exchange(&ask("POST", "/stream")).status(), 201);
    }
    flood("list of streams", relay, "/stream", Vec::new());
}

#[test]
fn agents_with_long_metadata() {
    let relay = relay(&["--agent-heartbeat", "1h"]);
    let _agents = agents(&relay, 200, &format!("{{\"note\":\"{}\"}}", "n".repeat(3000)));
    flood("list of agents with long metadata", relay, "/socket", Vec::new());
}

#[test]
fn a_thousand_agents_with_churn() {
    raise_descriptors();
    let relay = relay(&["--max-agents", "2000", "--agent-heartbeat", "1h"]);
    let address = relay.address();
    let _agents = agents(&relay, 1000, "null");
    let churn = move || agent(address, r#"{"name":"churn"}"#).map(drop);
    flood("list of 1,000 agents", relay, "/socket", vec![Box::new(churn)]);
}

fn relay(flags: &[&str]) -> Relay {
    Relay::start(&[&FLAGS[..], &TRUSTING, flags].concat())
}

fn agents(relay: &Relay, count: usize, meta: &str) -> Vec<TcpStream> {
    (0..count).map(|_| agent(relay.address(), meta).expect("an agent")).collect()
}

fn flood(name: &str, relay: Relay, path: &str, others: Vec<Rounds<'_>>) {
    let address = relay.address();
    let silent = |_| {
        let mut wire = Wire::connect_narrow(address);
        wire.ask(&ask("GET", path));
        wire
    };
    let _silent: Vec<Wire> = (0..SILENT).map(silent).collect();
    let request = ask("GET", path).closing().bytes();
    let readers = (0..READERS).map(|number| -> Rounds<'_> {
        let request = &request;
        let pause = Duration::from_millis(number % 2);
        let mut reader = None;
        Box::new(move || read_some(&mut reader, address, request, pause))
    });
    assert_served(name, relay, readers.chain(others).collect());
}

/// Reads a part of a list, then pauses; starts another list at its end.
fn read_some(
    reader: &mut Option<TcpStream>,
    address: SocketAddr,
    request: &[u8],
    pause: Duration,
) -> io::Result<()> {
    let mut stream = match reader.take() {
        Some(stream) => stream,
        None => send_request(address, request)?,
    };
    if stream.read(&mut [0; 8 << 10])? > 0 {
        *reader = Some(stream);
    }
    thread::sleep(pause);
    Ok(())
}
