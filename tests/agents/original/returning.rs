//! An agent that the relay disconnects can reconnect.

use nix::sys::signal::Signal;

use crate::original::Original;
use crate::support::{ClosedPort, Lineage, Relay, Wire, ask, eventually};

#[test]
fn it_returns_after_a_hand_over() {
    let mut line = Lineage::start(&[]);
    let original = Original::start(line.address());
    line.hand_over();
    original.await_event("connected", 2);
    let answer = Wire::connect(line.address()).exchange(&ask("GET", "/api/original/echo"));
    assert_eq!(answer.text(), "GET /echo ");
    assert_eq!(original.events("closed"), [""; 0]);
}

#[test]
fn it_returns_to_a_relay_that_was_drained_or_stopped() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let port = ClosedPort::new();
        let listen = || Relay::listening(&[&port.address().to_string()], &[]);
        let relay = listen();
        let original = Original::start(relay.address());
        relay.signal(signal);
        original.await_event("lost", 1);
        relay.finish();
        let again = listen();
        original.await_event("connected", 2);
        assert_eq!(again.get("/api/original/echo").text(), "GET /echo ");
    }
}

#[test]
fn it_returns_after_a_lost_heartbeat() {
    let relay = Relay::start(&["--agent-heartbeat", "3s"]);
    let original = Original::start(relay.address());
    original.process().signal(Signal::SIGSTOP);
    eventually("it is disconnected", || {
        (relay.admin_get("/socket").json().as_array()?.is_empty()).then_some(())
    });
    original.process().signal(Signal::SIGCONT);
    original.await_event("connected", 2);
    relay.await_turn();
    assert_eq!(relay.get("/api/original/echo").text(), "GET /echo ");
    assert_eq!(original.events("closed"), [""; 0]);
}
