//! Upgrades through an exposed API: the request and the 101 pass, then bytes both ways.

use std::io::Write as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use rdv::mux::handshake::Dialect;
use serde_json::Value;

use crate::agent::{Agent, ok};
use crate::received_request::ReceivedRequest;
use crate::support::{
    Ask, DISCONNECTS, Disconnect, Ending, Relay, Wire, ask, assert_error, eventually, is_pattern,
    now, pattern,
};
use crate::tunnel::Tunnel;
use crate::tunnels::Setup;

/// The answer that accepts a WebSocket.
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A request for a WebSocket.
fn websocket(target: &str) -> Ask {
    ask("GET", target).field("Connection", "keep-alive, Upgrade").field("Upgrade", "websocket")
}

/// A relay, and both ends of an upgraded connection through it.
struct Upgraded {
    relay: Relay,
    agent: Agent,
    caller: Wire,
    api: Wire,
    place: String,
}

impl Upgraded {
    fn start(flags: &[&str]) -> Upgraded {
        let Setup { relay, agent, mut tunnel, mut client, place } = Setup::start(flags);
        client.ask(&websocket(&place));
        tunnel.head();
        tunnel.send(ACCEPTED);
        assert_eq!(client.head().status, 101);
        Upgraded { relay, agent, caller: client, api: tunnel.into_wire(), place }
    }

    /// A byte each way arrives.
    fn assert_passes(&mut self) {
        self.caller.send(">");
        assert_eq!(self.api.raw(1), b">");
        self.api.send("<");
        assert_eq!(self.caller.raw(1), b"<");
    }

    /// Nothing of it is left at the relay.
    fn assert_over(self) {
        let Upgraded { relay, agent: _agent, caller: _, api: _, place: _ } = self;
        eventually("it is over", || {
            (relay.admin_get("/socket").json()[0]["requests_in_flight"] == 0).then_some(())
        });
    }
}

#[test]
fn an_upgrade_and_its_101_pass_without_other_hop_by_hop_fields() {
    let mut setup = Setup::start(&[]);
    let request = websocket(&format!("{}/ws?a=b", setup.place))
        .field("Connection", "HTTP2-Settings")
        .field("HTTP2-Settings", "AAMAAABk")
        .field("Keep-Alive", "timeout=5")
        .field("Origin", "https://elsewhere.example")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .field("Sec-WebSocket-Version", "13");
    setup.client.ask(&request);
    let asked = ReceivedRequest { number: 0, head: setup.tunnel.head(), body: Vec::new() };
    assert_eq!(asked.line(), "GET /ws?a=b");
    for (name, value) in [
        ("Connection", Some("Upgrade")),
        ("Upgrade", Some("websocket")),
        ("HTTP2-Settings", None),
        ("Keep-Alive", None),
        ("Content-Length", None),
        ("Origin", Some("https://elsewhere.example")),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ==")),
        ("Sec-WebSocket-Version", Some("13")),
        ("X-Forwarded-For", Some("127.0.0.1")),
    ] {
        assert_eq!(asked.get(name), value, "{name}");
    }
    setup.tunnel.send(ACCEPTED);
    let head = setup.client.head();
    assert_eq!(head.status, 101);
    for (name, value) in [
        ("Connection", Some("Upgrade")),
        ("Upgrade", Some("websocket")),
        ("X-Hop", None),
        ("Keep-Alive", None),
        ("Content-Length", None),
        ("Transfer-Encoding", None),
        ("Sec-WebSocket-Accept", Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("X-Correlation-Id", asked.get("X-Correlation-Id")),
    ] {
        assert_eq!(head.get(name), value, "{name}");
    }
}

#[test]
fn bytes_sent_with_the_request_and_with_the_101_pass_after_them() {
    for splice in [&[][..], &["--no-splice"]] {
        let Setup { relay: _relay, agent: _agent, mut tunnel, mut client, place } =
            Setup::start(splice);
        let early = pattern(3, 40_000);
        client.send([&websocket(&place).bytes()[..], &early].concat());
        tunnel.head();
        let frames = pattern(5, 40_000);
        tunnel.send([ACCEPTED.as_bytes(), &frames].concat());
        assert_eq!(client.head().status, 101);
        is_pattern(5, 40_000, &client.raw(40_000)).expect("the frames after the 101");
        let mut api = tunnel.into_wire();
        is_pattern(3, 40_000, &api.raw(40_000)).expect("the bytes before the 101");
    }
}

/// Moves large amounts in both directions at once.
pub(crate) fn move_large_amounts(caller: &mut Wire, api: &mut Wire) {
    const LENGTH: usize = 64 << 20;
    let send = |wire: &Wire, seed| {
        let mut sender = wire.sender();
        move || sender.write_all(&pattern(seed, LENGTH)).expect("an upgraded connection")
    };
    std::thread::scope(|scope| {
        scope.spawn(send(caller, 7));
        scope.spawn(send(api, 11));
        scope.spawn(move || is_pattern(7, LENGTH, &api.raw(LENGTH)).expect("at the API"));
        is_pattern(11, LENGTH, &caller.raw(LENGTH)).expect("at the caller");
    });
}

/// Ends one direction, and then the other, which has more to send.
pub(crate) fn end_one_by_one(first: &mut Wire, last: &mut Wire) {
    first.send("the end");
    first.finish_sending();
    assert_eq!(last.read_to_end(), (b"the end".to_vec(), Ending::Closed));
    let more = pattern(1, 3 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            last.send(&more);
            last.finish_sending();
        });
        let (received, ending) = first.read_to_end();
        is_pattern(1, more.len(), &received).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(ending, Ending::Closed);
    });
}

#[test]
fn both_directions_move_large_amounts_at_once() {
    let mut upgraded = Upgraded::start(&[]);
    move_large_amounts(&mut upgraded.caller, &mut upgraded.api);
    upgraded.assert_passes();
}

#[test]
fn a_fin_is_passed_on_and_the_other_direction_continues() {
    for caller_first in [true, false] {
        let mut upgraded = Upgraded::start(&[]);
        let Upgraded { caller, api, .. } = &mut upgraded;
        let (first, last) = if caller_first { (caller, api) } else { (api, caller) };
        end_one_by_one(first, last);
        upgraded.assert_over();
    }
}

#[test]
fn a_reset_is_passed_on() {
    for caller_first in [true, false] {
        let Upgraded { relay, agent: _agent, caller, api, .. } = Upgraded::start(&[]);
        let (first, mut last) = if caller_first { (caller, api) } else { (api, caller) };
        first.reset();
        assert_eq!(last.read_to_end(), (Vec::new(), Ending::Reset), "{caller_first}");
        relay.await_turn();
    }
}

#[test]
fn a_reset_after_a_fin_of_the_other_side_is_passed_on() {
    for caller_first in [true, false] {
        let Upgraded { relay, agent: _agent, caller, api, .. } = Upgraded::start(&[]);
        let (mut first, mut last) = if caller_first { (caller, api) } else { (api, caller) };
        first.finish_sending();
        assert_eq!(last.read_to_end(), (Vec::new(), Ending::Closed), "{caller_first}");
        last.reset();
        assert_eq!(first.read_to_end(), (Vec::new(), Ending::Reset), "{caller_first}");
        relay.await_turn();
    }
}

#[test]
fn a_reset_during_a_transfer_ends_both_sides() {
    for caller_first in [true, false] {
        let mut upgraded = Upgraded::start(&[]);
        upgraded.assert_passes();
        let Upgraded { relay, agent: _agent, caller, api, .. } = upgraded;
        let (first, last) = if caller_first { (caller, api) } else { (api, caller) };
        // The relay is blocked at a peer that does not read.
        let mut sender = last.sender();
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || while sender.write_all(&[0; 1 << 14]).is_ok() {});
            eventually("the relay holds bytes", || (first.unread_bytes() > 0).then_some(()));
            first.reset();
            sending.join().expect("its sender is cut off");
        });
        relay.await_turn();
    }
}

#[test]
fn a_killed_relay_resets_both_sides() {
    let mut upgraded = Upgraded::start(&[]);
    upgraded.assert_passes();
    let Upgraded { relay, agent: _agent, mut caller, mut api, .. } = upgraded;
    relay.signal(Signal::SIGKILL);
    assert_eq!(caller.read_to_end(), (Vec::new(), Ending::Reset));
    assert_eq!(api.read_to_end(), (Vec::new(), Ending::Reset));
}

#[test]
fn an_upgrade_that_the_api_declines_is_an_ordinary_call() {
    let mut setup = Setup::start(&[]);
    setup.client.ask(&websocket(&setup.place));
    setup.tunnel.head();
    setup
        .tunnel
        .send("HTTP/1.1 426 Upgrade Required\r\nUpgrade: h3\r\nContent-Length: 2\r\n\r\nno");
    let answer = setup.client.response();
    assert_eq!((answer.status(), answer.text()), (426, "no"));
    assert!(!answer.head.closes());
    setup.assert_next_call_succeeds();
}

#[test]
fn a_request_that_offers_no_valid_upgrade_passes_without_one() {
    let mut setup = Setup::start(&[]);
    let place = &setup.place;
    let body = websocket(place).body("hi");
    let http2 = ask("GET", place).field("Connection", "Upgrade, HTTP2-Settings");
    let http2 = http2.field("Upgrade", "h2c").field("HTTP2-Settings", "AAMAAABk");
    for (name, request) in [
        ("with a body", body),
        ("to HTTP/2", http2),
        ("not in Connection", ask("GET", place).field("Upgrade", "websocket")),
        ("to nothing", ask("GET", place).field("Connection", "Upgrade")),
    ] {
        setup.client.ask(&request);
        let asked = setup.tunnel.recv_request();
        for field in ["Connection", "Upgrade", "HTTP2-Settings"] {
            assert_eq!(asked.get(field), None, "{name}");
        }
        setup.tunnel.send(ok(0));
        assert_eq!(setup.client.response().status(), 200, "{name}");
    }
    let mut old = setup.relay.connect();
    old.ask(&websocket(&setup.place).http10());
    assert_eq!(setup.tunnel.recv_request().get("Upgrade"), None, "HTTP/1.0");
    setup.tunnel.send(ok(0));
    assert_eq!(old.response().status(), 200, "HTTP/1.0");
}

#[test]
fn calls_leave_the_last_idle_tunnel_to_upgrades() {
    let Setup { relay, mut agent, mut tunnel, mut client, place } = Setup::start(&[]);
    let mut second = Tunnel::of(&relay, &agent);
    client.ask(&ask("GET", &format!("{place}/events")));
    assert_eq!(second.recv_request().line(), "GET /events");
    // That response goes on, as event streams do.
    let mut other = relay.connect();
    other.ask(&ask("GET", &format!("{place}/through-websocket")));
    let request = agent.recv_request();
    assert_eq!(request.line(), "GET /through-websocket");
    agent.respond_ok(request.number, b"");
    assert_eq!(other.response().status(), 200);
    other.ask(&websocket(&place));
    tunnel.head();
    tunnel.send(ACCEPTED);
    assert_eq!(other.head().status, 101);
}

#[test]
fn a_switch_to_what_was_not_offered_is_a_bad_gateway() {
    let accepted = |protocol: &str| ACCEPTED.replace("Upgrade: websocket", protocol);
    for (name, upgrade, answer) in [
        ("no upgrade offered", false, ACCEPTED.to_owned()),
        ("another protocol", true, accepted("Upgrade: h2c")),
        ("no protocol", true, accepted("X: y")),
    ] {
        let mut setup = Setup::start(&[]);
        let place = &setup.place;
        let request = if upgrade { websocket(place) } else { ask("GET", place) };
        setup.client.ask(&request);
        setup.tunnel.head();
        setup.tunnel.send(answer);
        assert_error(name, &setup.client.response(), (502, "AgentBrokeError", None));
        setup.tunnel.expect_end();
        setup.relay.await_turn();
    }
}

#[test]
fn an_upgrade_without_an_idle_tunnel_is_refused() {
    for dialect in [Dialect::Text, Dialect::V1] {
        let relay = Relay::start(&[]);
        let agent = Agent::connect(&relay, dialect, Value::Null);
        let mut client = relay.connect();
        client.ask(&websocket(&agent.path()));
        let answer = client.response();
        assert_error(dialect.name(), &answer, (503, "TooBusyError", None));
        assert!(answer.text().contains("no idle tunnel"), "{}", answer.text());
        assert!(!answer.head.closes(), "{}", dialect.name());
    }
}

#[test]
fn an_upgraded_tunnel_makes_room_for_another_one() {
    let mut upgraded = Upgraded::start(&["--max-tunnels", "1", "--max-agent-requests", "2"]);
    let Upgraded { relay, agent, place, .. } = &upgraded;
    let agents = || relay.admin_get("/socket").json()[0].clone();
    assert_eq!((&agents()["spares"], &agents()["requests_in_flight"]), (&0.into(), &1.into()));
    let mut tunnel = Tunnel::of(relay, agent);
    let mut client = relay.connect();
    client.ask(&websocket(place));
    tunnel.head();
    tunnel.send(ACCEPTED);
    assert_eq!(client.head().status, 101);
    let _tunnel = Tunnel::of(relay, agent);
    let answer = relay.exchange(&websocket(place));
    assert_error("two are in flight", &answer, (503, "TooBusyError", None));
    assert_eq!(agents()["spares"], 1);
    upgraded.assert_passes();
}

#[test]
fn an_upgraded_connection_outlives_the_websocket_of_its_agent() {
    let mut upgraded = Upgraded::start(&[]);
    upgraded.agent.close(rdv::mux::session::close::NORMAL, "");
    eventually("the agent is away", || {
        (upgraded.relay.get(&upgraded.place).status() == 404).then_some(())
    });
    upgraded.assert_passes();
}

#[test]
fn a_peer_that_leaves_ends_the_connection() {
    for caller_first in [true, false] {
        for way in DISCONNECTS {
            let Upgraded { relay, agent: _agent, caller, api, .. } = Upgraded::start(&[]);
            let (first, mut last) = if caller_first { (caller, api) } else { (api, caller) };
            first.leave(way);
            let expected = match way {
                Disconnect::Close => Ending::Closed,
                Disconnect::Reset => Ending::Reset,
            };
            assert_eq!(last.read_to_end(), (Vec::new(), expected), "{way:?} {caller_first}");
            drop(last);
            eventually("it is over", || {
                (relay.admin_get("/socket").json()[0]["requests_in_flight"] == 0).then_some(())
            });
        }
    }
}

#[test]
fn traffic_in_one_direction_keeps_both_open_until_both_are_idle() {
    let mut upgraded = Upgraded::start(&["--idle-timeout", "2s"]);
    for caller_speaks in [true, false] {
        let end = now() + Duration::from_secs(3);
        while now() < end {
            let Upgraded { caller, api, .. } = &mut upgraded;
            let (from, to) = if caller_speaks { (caller, api) } else { (api, caller) };
            from.send("x");
            assert_eq!(to.raw(1), b"x", "{caller_speaks}");
        }
    }
    assert_eq!(upgraded.caller.read_to_end(), (Vec::new(), Ending::Reset));
    assert_eq!(upgraded.api.read_to_end(), (Vec::new(), Ending::Reset));
    upgraded.assert_over();
}

#[test]
fn a_draining_relay_waits_for_an_upgraded_connection() {
    let mut upgraded = Upgraded::start(&["--drain-timeout", "10m"]);
    upgraded.relay.signal(Signal::SIGTERM);
    eventually("it drains", || {
        upgraded.relay.process().stderr().contains("waiting for 2 transfers").then_some(())
    });
    // Its agent is free to connect to another relay.
    upgraded.agent.was_sent_away();
    upgraded.assert_passes();
    let Upgraded { relay, agent: _agent, mut caller, mut api, .. } = upgraded;
    for wire in [&mut caller, &mut api] {
        wire.finish_sending();
    }
    assert_eq!(caller.read_to_end(), (Vec::new(), Ending::Closed));
    assert_eq!(api.read_to_end(), (Vec::new(), Ending::Closed));
    assert!(relay.finish().status.success());
}

#[test]
fn an_upgraded_connection_is_cut_off_at_the_end_of_a_drain() {
    for half_closed in [false, true] {
        let Upgraded { relay, agent: _agent, mut caller, mut api, .. } =
            Upgraded::start(&["--drain-timeout", "10m"]);
        if half_closed {
            api.finish_sending();
            assert_eq!(caller.read_to_end(), (Vec::new(), Ending::Closed));
        }
        relay.signal(Signal::SIGINT);
        if !half_closed {
            assert_eq!(caller.read_to_end(), (Vec::new(), Ending::Reset));
        }
        assert_eq!(api.read_to_end(), (Vec::new(), Ending::Reset), "{half_closed}");
    }
}
