//! Subscribers to agent events that do not keep up.

use rdv::mux::handshake::Dialect;
use serde_json::json;

use crate::agent::Agent;
use crate::support::{Ending, Relay, TRUSTING, Wire, ask};

/// Far more events than 64 KiB and the kernel's buffers for a subscriber that does not read.
const AGENTS: usize = 20_000;

/// A close frame with this reason makes a longer event.
const REASON: &str = "a reason of a hundred and twenty-three bytes at most, which is the longest that fits into a frame";

#[test]
fn a_subscriber_that_does_not_read_is_disconnected() {
    // It must not be disconnected for being idle.
    let flags = ["--max-followers", "2", "--event-keep-alive", "1h"];
    let relay = Relay::start(&[&TRUSTING[..], &flags].concat());
    let mut idle = Wire::connect_narrow(relay.address());
    idle.ask(&ask("GET", "/socket/events"));
    assert_eq!(idle.head().status, 200);
    let mut reader = relay.connect();
    reader.ask(&ask("GET", "/socket/events"));
    assert_eq!(reader.head().status, 200);
    let watch = |relay: &Relay| {
        let mut wire = relay.connect();
        wire.ask(&ask("GET", "/socket/events"));
        wire.head().status
    };
    assert_eq!(watch(&relay), 503, "no further subscriber is accepted");

    let mut received = 0;
    let dropped = (0..AGENTS).any(|number| {
        let name = format!("{number:063}");
        Agent::named(&relay, Dialect::V1, &name).close(4000, REASON);
        let kinds = ["event: ConnectionReceived", "event: ConnectionFailure"];
        received += kinds.iter().map(|kind| await_event(&mut reader, kind)).count();
        number % 50 == 49 && watch(&relay) == 200
    });
    assert!(dropped, "still connected after {received} events");
    let (bytes, ending) = idle.rest();
    assert_ne!(ending, Ending::Complete, "it was cut off");
    let events = String::from_utf8(bytes).expect("UTF-8").matches("event: ").count();
    assert!(events < received, "{events} of {received}");
    // The subscriber that reads is notified of the next agent.
    let _agent = Agent::connect(&relay, Dialect::V1, json!({}));
    await_event(&mut reader, "event: ConnectionReceived");
}

/// Reads up to the end of the next event, which must be of this kind.
fn await_event(wire: &mut Wire, kind: &str) {
    let mut text = Vec::new();
    while !text.ends_with(b"\n\n") {
        let mut some = wire.read_some(usize::MAX);
        assert!(!some.is_empty(), "it ended after {text:?}");
        text.append(&mut some);
    }
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.starts_with(kind), "{text}");
}

#[test]
fn agents_that_vanish_at_once_are_few_writes_for_each_subscriber() {
    const AGENTS: usize = 200;
    let relay = Relay::start(&TRUSTING);
    let mut agents: Vec<_> =
        (0..AGENTS).map(|n| Agent::named(&relay, Dialect::V1, &format!("agent-{n}"))).collect();
    let mut subscribers: Vec<_> = (0..3).map(|_| relay.connect()).collect();
    for subscriber in &mut subscribers {
        subscriber.ask(&ask("GET", "/socket/events"));
        assert_eq!(subscriber.head().status, 200);
    }
    relay.while_stopped(|| agents.drain(..).for_each(Agent::disconnect));
    for subscriber in &mut subscribers {
        let (mut text, mut chunks) = (String::new(), 0);
        while text.matches("\n\n").count() < AGENTS {
            text.push_str(std::str::from_utf8(&subscriber.chunk()).expect("UTF-8"));
            chunks += 1;
        }
        assert_eq!(text.matches("event: ConnectionFailure\n").count(), AGENTS);
        for n in 0..AGENTS {
            assert_eq!(text.matches(&format!("\"agent-{n}\"")).count(), 1, "agent-{n}");
        }
        // A chunk is a write: 16 KiB of events.
        assert!(chunks <= 2 + text.len() / (16 << 10), "{chunks} chunks for {} bytes", text.len());
    }
}
