//! Subscribers to events that do not read them.

use std::io::Read;

use crate::flood::{FLAGS, Rounds, assert_served};
use crate::peer::{agent, send_request};
use crate::support::{Relay, TRUSTING, Wire, ask};

/// Subscribers to the events of agents.
const SUBSCRIBERS: usize = 300;

/// Subscribers to one stream, in the maximum number.
const OF_ONE_STREAM: usize = 16;

#[test]
fn of_agents() {
    let relay = Relay::start(&[&FLAGS[..], &TRUSTING, &["--agent-heartbeat", "1h"]].concat());
    let address = relay.address();
    let _subscribers: Vec<Wire> =
        (0..SUBSCRIBERS).map(|_| subscribe(&relay, "/socket/events")).collect();
    let come_and_go = || -> Rounds<'_> {
        Box::new(move || agent(address, r#"{"note":"not read by the subscribers"}"#).map(drop))
    };
    assert_served("subscribers to agents", relay, (0..2).map(|_| come_and_go()).collect());
}

#[test]
fn of_streams() {
    let relay = Relay::start(&FLAGS);
    let address = relay.address();
    let ids: Vec<String> = (0..20).map(|_| relay.create()).collect();
    let subscribers = ids.iter().flat_map(|id| [id; OF_ONE_STREAM]);
    let _subscribers: Vec<Wire> =
        subscribers.map(|id| subscribe(&relay, &format!("/stream/{id}/events"))).collect();
    // Each source that connects and disconnects changes the state twice.
    let come_and_go = |ids: Vec<String>| -> Rounds<'_> {
        let mut next = ids.into_iter().cycle();
        Box::new(move || {
            let path = format!("/stream/{}", next.next().unwrap_or_default());
            let request = ask("PUT", &path).length(9).field("Expect", "100-continue").bytes();
            let mut source = crate::peer::connect(address)?;
            std::io::Write::write_all(&mut source, &request)?;
            source.shutdown(std::net::Shutdown::Write)?;
            // The relay closes it once it detects that the source disconnected.
            source.read_to_end(&mut Vec::new())?;
            drop(send_request(address, &ask("HEAD", &path).bytes())?);
            Ok(())
        })
    };
    let halves = ids.chunks(10).map(|half| come_and_go(half.to_vec())).collect();
    assert_served("subscribers to streams", relay, halves);
}

/// A subscriber that reads only the head of the response.
fn subscribe(relay: &Relay, path: &str) -> Wire {
    let mut wire = Wire::connect_narrow(relay.address());
    wire.ask(&ask("GET", path));
    assert_eq!(wire.head().status, 200);
    wire
}
