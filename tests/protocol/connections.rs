//! The limit of connections. Beyond it plain ones are answered; those of TLS are not worth a handshake.

use crate::support::{Relay, Wire, ask, assert_error, eventually};

/// The refusal of a connection too many.
const BUSY: (u16, &str, Option<&str>) = (503, "TooBusyError", None);

#[test]
fn connections_are_bounded() {
    let relay = Relay::start(&["--max-connections", "3"]);
    let mut held: Vec<Wire> = (0..3).map(|_| relay.connect()).collect();
    for wire in &mut held {
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    }
    for _ in 0..5 {
        let mut refused = relay.connect();
        // The refusal can arrive before the request is sent.
        let _ = refused.try_send(ask("GET", "/ping").bytes());
        assert_error("one too many", &refused.response(), BUSY);
        refused.expect_end();
    }
    for wire in &mut held {
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200, "those before are served");
    }
    held.pop();
    eventually("a place is free", || {
        let mut next = relay.connect();
        let _ = next.try_send(ask("GET", "/ping").bytes());
        (next.response().status() == 200).then_some(())
    });
}
