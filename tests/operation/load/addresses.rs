//! Maximum connections and active streams per address.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::load::assert_busy;
use crate::support::{
    Framing, Relay, UNKNOWN, Wire, ask, assert_uploaded, eventually, ipv6, stream_of,
};

const OF_ADDRESS: &str = "Connection limit of your address reached (max-connections-per-address)";

#[test]
fn connections_of_one_address_are_bounded() {
    let relay = Relay::start(&["--max-connections-per-address", "2"]);
    let mut held: Vec<Wire> = (0..2).map(|_| relay.connect()).collect();
    for wire in &mut held {
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    }
    for _ in 0..5 {
        let mut refused = relay.connect();
        let answer = refused.response();
        assert_busy(&answer, (503, "1"), OF_ADDRESS);
        assert!(answer.head.closes());
        refused.expect_end();
    }
    let mut other = connect_from("127.0.0.2", relay.address());
    assert_eq!(other.exchange(&ask("GET", "/ping")).status(), 200, "another address");
    for wire in &mut held {
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200, "those before are served");
    }
    for round in 0..20 {
        // Neither a lingering connection nor a closed one counts.
        let mut left = held.pop().expect("two are open");
        if round % 2 == 0 {
            left.ask(&ask("PUT", &format!("/stream/{UNKNOWN}")).length(1 << 30));
            assert_eq!(left.response().status(), 404);
        } else {
            drop(left);
        }
        held.push(eventually("a place is free", || {
            let mut next = relay.connect();
            let _ = next.try_send(ask("GET", "/ping").bytes());
            (next.response().status() == 200).then_some(next)
        }));
    }
    assert_busy(&relay.connect().response(), (503, "1"), OF_ADDRESS);
}

#[test]
fn active_streams_of_one_address_are_bounded() {
    let relay = Relay::start(&["--max-streams-per-address", "2"]);
    let refused = "Stream limit of your address reached (max-streams-per-address)";
    let mut wire = relay.connect();
    let create = ask("POST", "/stream");
    for end in ["deletion", "a report", "completion", "a lost side"] {
        let (id, other) = (relay.create(), relay.create());
        for _ in 0..3 {
            assert_busy(&wire.exchange(&create), (503, "1"), refused);
        }
        let mut elsewhere = connect_from("127.0.0.2", relay.address());
        let theirs = stream_of(&elsewhere.exchange(&create));
        for id in [&other, &theirs] {
            let delete = ask("DELETE", &format!("/stream/{id}"));
            assert_eq!(wire.exchange(&delete).status(), 204, "before {end}");
        }
        match end {
            "deletion" => {
                let delete = ask("DELETE", &format!("/stream/{id}"));
                assert_eq!(wire.exchange(&delete).status(), 204);
            }
            "a report" => {
                let mut waiting = relay.waiting_destination(&id);
                assert_eq!(relay.report(&id).status(), 200);
                assert_eq!(waiting.response().status(), 400);
            }
            "completion" => {
                let mut destination = relay.waiting_destination(&id);
                let put = ask("PUT", &format!("/stream/{id}")).body("whole");
                assert_uploaded(&wire.exchange(&put));
                assert_eq!(destination.response().text(), "whole");
            }
            _ => {
                let mut pair = relay.join(&id, Framing::Length(5));
                pair.pass_first(b"he");
                drop(pair.source);
                relay.await_state(&id, "SRC_DISCONNECTED");
            }
        }
        assert_eq!(relay.admin_get("/stream?active=true").json(), serde_json::json!([]), "{end}");
    }
}

#[test]
fn ipv6_addresses_count_by_their_64_bits() {
    // A host has only one loopback address of IPv6, so this only checks that it is counted.
    if !ipv6() {
        return;
    }
    let flags = ["--max-connections-per-address", "1"];
    let relay = Relay::listening(&["127.0.0.1:0", "[::1]:0"], &flags);
    let [v4, v6] = [0, 1].map(|at| {
        let mut wire = Wire::connect(relay.addresses()[at]);
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200, "each family counts apart");
        wire
    });
    for address in relay.addresses() {
        assert_busy(&Wire::connect(*address).response(), (503, "1"), OF_ADDRESS);
    }
    drop((v4, v6));
}

/// A connection from another address of this host.
fn connect_from(address: &str, to: SocketAddr) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    let from: SocketAddr = format!("{address}:0").parse().expect("an address");
    socket.bind(&from.into()).expect("all of 127.0.0.0/8 is this host");
    socket.connect(&to.into()).expect("connect to the relay");
    Wire::over(socket.into())
}

#[test]
fn unjoined_streams_of_one_address_are_bounded_and_joined_ones_do_not_count() {
    let relay = Relay::start(&["--max-streams", "20"]);
    let refused =
        "Limit of unjoined streams of your address reached (max-unjoined-streams-per-address)";
    let mut wire = relay.connect();
    let create = ask("POST", "/stream");
    let (first, _second) = (relay.create(), relay.create());
    assert_busy(&wire.exchange(&create), (503, "1"), refused);
    let mut elsewhere = connect_from("127.0.0.2", relay.address());
    stream_of(&elsewhere.exchange(&create));

    let waiting = relay.waiting_destination(&first);
    let third = relay.create();
    assert_busy(&wire.exchange(&create), (503, "1"), refused);
    drop(waiting);
    relay.await_state(&first, "CREATED");
    let delete = |id: &str| ask("DELETE", &format!("/stream/{id}"));
    assert_eq!(wire.exchange(&delete(&third)).status(), 204);
    assert_busy(&wire.exchange(&create), (503, "1"), refused);
    assert_eq!(wire.exchange(&delete(&first)).status(), 204);
    relay.create();
}

#[test]
fn a_full_relay_evicts_the_oldest_unjoined_stream() {
    let flags = ["--max-streams", "3", "--ttl", "1s", "--max-unjoined-streams-per-address", "0"];
    let relay = Relay::start(&flags);
    let long = serde_json::json!({ "ttl_seconds": 600 });
    let (oldest, joined) = (relay.create_with(&long), relay.create_with(&long));
    let _waiting = relay.waiting_destination(&joined);
    let mut subscriber = relay.connect();
    subscriber.ask(&ask("GET", &format!("/stream/{oldest}/events")));
    // When this one has timed out, the others have exceeded the default timeout.
    relay.await_state(&relay.create(), "TIMEOUT_NO_SRC_NO_DST");
    let third = relay.create_with(&long);
    assert_eq!(relay.status(&oldest)["state"], "CREATED", "an ended stream gives way first");
    relay.create_with(&long);
    let events = subscriber.response();
    assert!(events.text().contains("TIMEOUT_NO_SRC_NO_DST"), "{}", events.text());
    let gone = relay.get(&format!("/stream/{oldest}/status"));
    assert_eq!(gone.status(), 404, "its place was needed");
    for (id, state) in [(&joined, "DST_CONNECTED"), (&third, "CREATED")] {
        assert_eq!(relay.status(id)["state"], state);
    }
}
