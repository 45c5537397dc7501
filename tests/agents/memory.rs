//! Memory of the relay for agents and calls: little, and independent of the bytes transferred.

use std::thread;

use rdv::mux::handshake::Dialect;
use serde_json::Value;

use crate::agent::{Agent, BUSY, DIALECTS, ok};
use crate::support::{Ending, Relay, ask};

/// Maximum growth of the relay while a response is sent to a slow client, in bytes.
const GROWTH_MAX_BYTES: u64 = 4 << 20;

/// A large response, and the steps in which it is read.
const ANSWER_BYTES: usize = 1 << 30;
const STEPS: usize = 8;

/// Enough agents to use up memory that the relay had allocated before.
const AGENTS: u64 = 200;

/// Maximum memory of an idle agent, in bytes.
const AGENT_MAX_BYTES: u64 = 16 << 10;

#[test]
fn a_gibibyte_for_a_slow_client_does_not_grow_memory() {
    let relay = Relay::start(BUSY);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let mut client = relay.connect();
    client.ask(&ask("GET", &agent.path()));
    let (number, _, _) = agent.recv_request_head();
    agent.respond_head(number, &ok(ANSWER_BYTES), false);
    let (before, mut most, mut sent) = (relay.resident_bytes(), 0, 0);
    assert_eq!(client.head().status, 200);
    let part = vec![b'x'; 1 << 20];
    for step in 1..=STEPS {
        // Neither side reads until the agent has no window left.
        sent += agent.send_what_fits(number);
        most = most.max(relay.resident_bytes());
        let read = ANSWER_BYTES / STEPS;
        thread::scope(|scope| {
            let reader = scope.spawn(|| client.skip(read));
            while sent < read * step {
                let count = part.len().min(read * step - sent);
                agent.send(number, &part[..count], sent + count == ANSWER_BYTES);
                sent += count;
                most = most.max(relay.resident_bytes());
            }
            reader.join().expect("a reader");
        });
    }
    assert_eq!(client.rest(), (Vec::new(), Ending::Complete));
    let grown = most.saturating_sub(before);
    assert!(grown < GROWTH_MAX_BYTES, "from {before} to {most} bytes");
}

/// Memory of each of many agents that are idle after this closure.
fn cost_of_each(dialect: Dialect, mut prepare: impl FnMut(&Relay, &mut Agent)) -> u64 {
    let relay = Relay::start(&[]);
    let mut connect = || {
        let mut agent = Agent::connect(&relay, dialect, Value::Null);
        prepare(&relay, &mut agent);
        agent
    };
    // The first agents account for shared memory.
    let mut agents = vec![connect(), connect()];
    let before = relay.resident_bytes();
    agents.extend((0..AGENTS).map(|_| connect()));
    relay.await_turn();
    relay.resident_bytes().saturating_sub(before) / AGENTS
}

#[test]
fn an_idle_agent_uses_little_memory() {
    for dialect in DIALECTS {
        let each = cost_of_each(dialect, |_, _| {});
        assert!(each < AGENT_MAX_BYTES, "{dialect:?}: {each} bytes for each");
    }
}

#[test]
fn an_agent_uses_little_memory_after_a_call() {
    let body = vec![b'x'; 200 << 10];
    for dialect in DIALECTS {
        let each = cost_of_each(dialect, |relay, agent| {
            let mut client = relay.connect();
            client.ask(&ask("POST", &agent.path()).body(&body));
            let request = agent.recv_request();
            assert_eq!(request.body.len(), body.len());
            agent.respond_ok(request.number, &body);
            assert_eq!(client.response().body.len(), body.len());
        });
        assert!(each < AGENT_MAX_BYTES, "{dialect:?}: {each} bytes for each");
    }
}
