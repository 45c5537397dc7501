//! One end becomes silent, as after a network failure: the other detects it by its heartbeat, no
//! exchange hangs, and both reconnect.

use std::sync::mpsc;

use nix::sys::signal::Signal;

use crate::expose::command::{echo, end, expose, url};
use crate::expose::server::Server;
use crate::support::{Ending, Relay, TEST_TIMEOUT, Wire, ask, eventually};

/// A call gets a response eventually.
fn await_call(relay: &Relay) {
    eventually("calls are answered", || {
        (relay.exchange(&ask("GET", "/api/billing/")).status() == 200).then_some(())
    });
}

#[test]
fn calls_of_an_unresponsive_agent_are_ended() {
    for tunnels in ["0", "3"] {
        let (arrived, arrivals) = mpsc::channel();
        let api = Server::start(move |connection| {
            let request = connection.request()?;
            let path = request.line.split(' ').nth(1).unwrap_or_default();
            if path == "/" {
                connection.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
                return Ok(None);
            }
            if path == "/begun" {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
            }
            let _ = arrived.send(());
            connection.await_release()?;
            Ok(None)
        });
        let relay = Relay::start(&["--agent-heartbeat", "1s"]);
        let process = expose(&url(&api), &relay.url(""), &["--tunnels", tunnels]);
        eventually("it is connected", || {
            (relay.get("/api/billing/").status() == 204).then_some(())
        });
        let mut begun = Wire::connect(relay.address());
        begun.ask(&ask("GET", "/api/billing/begun"));
        assert_eq!(
            (begun.head().status, begun.body(4).as_slice()),
            (200, &b"half"[..]),
            "{tunnels}"
        );
        let mut held = Wire::connect(relay.address());
        held.ask(&ask("GET", "/api/billing/held"));
        for _ in 0..2 {
            arrivals.recv_timeout(TEST_TIMEOUT).expect("a call at the API");
        }
        process.signal(Signal::SIGSTOP);
        // Each read times out long before the response or transfer does.
        assert_ne!(begun.rest().1, Ending::Complete, "{tunnels}");
        assert_eq!(held.response().status(), 502, "{tunnels}");
        process.signal(Signal::SIGCONT);
        api.release();
        eventually("it is back", || (relay.get("/api/billing/").status() == 204).then_some(()));
        end(process);
    }
}

#[test]
fn an_agent_reconnects_after_the_relay_stops_responding() {
    let (api, relay) = (echo(), Relay::start(&[]));
    let process = expose(&url(&api), &relay.url(""), &["--heartbeat", "1s"]);
    await_call(&relay);
    relay.while_stopped(|| {
        eventually("the agent notices", || {
            process.stderr().contains("next attempt in ").then_some(())
        });
    });
    await_call(&relay);
    end(process);
}
