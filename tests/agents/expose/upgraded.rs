//! Upgrades through the command at the relay itself.

use std::io::Write as _;
use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::expose::command::end;
use crate::expose::through_relay::{await_tunnels, exposed};
use crate::support::{
    Ask, Authority, Ending, Process, Relay, Terminator, Wire, ask, is_pattern, pattern,
};
use crate::tunnel::Tunnel;
use crate::upgraded::{end_one_by_one, move_large_amounts};

const ACCEPTED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nX: y\r\n\r\n";

/// A relay, the command, and both ends of an upgraded connection through them.
struct Upgraded {
    relay: Relay,
    process: Process,
    caller: Wire,
    api: Wire,
}

fn websocket(target: &str) -> Ask {
    ask("GET", target).field("Connection", "Upgrade").field("Upgrade", "websocket")
}

/// The next connection to the API with a request, and the head of that; the command also connects
/// to see whether the API listens.
fn recv_head(listener: &TcpListener) -> (String, Tunnel) {
    loop {
        let (stream, _) = listener.accept().expect("a connection");
        if stream.peek(&mut [0]).is_ok_and(|count| count > 0) {
            let mut api = Tunnel::over(stream);
            return (api.head(), api);
        }
    }
}

fn expose(tunnels: u64) -> (Relay, Process, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}/base", listener.local_addr().expect("an address"));
    let relay = Relay::start(&[]);
    let process = exposed(&url, &relay, &["--tunnels", &tunnels.to_string()]);
    await_tunnels(&relay, tunnels);
    (relay, process, listener)
}

fn start() -> Upgraded {
    let (relay, process, listener) = expose(1);
    let mut caller = relay.connect();
    caller.ask(&websocket("/api/billing/ws"));
    let (_, mut api) = recv_head(&listener);
    api.send(ACCEPTED);
    assert_eq!(caller.head().status, 101);
    Upgraded { relay, process, caller, api: api.into_wire() }
}

#[test]
fn an_upgrade_passes_to_the_api_and_bytes_sent_with_it_follow() {
    let (relay, process, listener) = expose(1);
    let mut caller = relay.connect();
    let request = websocket("/api/billing/ws").field("Sec-WebSocket-Version", "13");
    caller.send([&request.bytes()[..], b"early"].concat());
    let (head, mut api) = recv_head(&listener);
    assert!(head.starts_with("GET /base/ws HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    for field in ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13"] {
        assert!(head.contains(&format!("\r\n{field}\r\n")), "{field}: {head}");
    }
    api.send([ACCEPTED.as_bytes(), b"frames"].concat());
    let head = caller.head();
    assert_eq!(
        (head.status, head.get("Upgrade"), head.get("X")),
        (101, Some("WebSocket"), Some("y"))
    );
    assert_eq!(head.get("Connection"), Some("Upgrade"));
    assert_eq!(caller.raw(6), b"frames");
    let mut api = api.into_wire();
    assert_eq!(api.raw(5), b"early");
    // Another tunnel takes the place of the upgraded one.
    await_tunnels(&relay, 1);
    for wire in [&mut caller, &mut api] {
        wire.finish_sending();
    }
    assert_eq!(api.read_to_end(), (Vec::new(), Ending::Closed));
    assert_eq!(caller.read_to_end(), (Vec::new(), Ending::Closed));
    let finished = end(process);
    assert!(finished.stderr.contains(" GET /ws 101 6 bytes "), "{}", finished.stderr);
}

#[test]
fn both_directions_move_large_amounts_at_once() {
    let mut upgraded = start();
    move_large_amounts(&mut upgraded.caller, &mut upgraded.api);
}

#[test]
fn a_fin_is_passed_on_and_the_other_direction_continues() {
    for caller_first in [true, false] {
        let Upgraded { relay: _relay, process: _process, mut caller, mut api } = start();
        let (first, last) =
            if caller_first { (&mut caller, &mut api) } else { (&mut api, &mut caller) };
        end_one_by_one(first, last);
    }
}

#[test]
fn a_reset_is_passed_on() {
    for caller_first in [true, false] {
        let Upgraded { relay: _relay, process, caller, api } = start();
        let (first, mut last) = if caller_first { (caller, api) } else { (api, caller) };
        first.reset();
        assert_eq!(last.read_to_end(), (Vec::new(), Ending::Reset), "{caller_first}");
        let finished = end(process);
        assert!(finished.stderr.contains(" GET /ws 101 "), "{}", finished.stderr);
        assert!(finished.stderr.contains(" interrupted"), "{}", finished.stderr);
    }
}

#[test]
fn a_killed_command_resets_both_sides() {
    let Upgraded { relay: _relay, process, mut caller, mut api } = start();
    process.signal(Signal::SIGKILL);
    assert_eq!(api.read_to_end(), (Vec::new(), Ending::Reset));
    assert_eq!(caller.read_to_end(), (Vec::new(), Ending::Reset));
}

#[test]
fn a_declined_upgrade_is_an_ordinary_call_and_an_unrequested_one_is_refused() {
    let (relay, process, listener) = expose(1);
    let mut caller = relay.connect();
    for (name, request, answer, status) in [
        (
            "declined",
            websocket("/api/billing/ws"),
            "HTTP/1.1 426 X\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nno",
            426,
        ),
        ("not requested", ask("GET", "/api/billing/ws"), ACCEPTED, 502),
        ("still served", ask("GET", "/api/billing/a"), "HTTP/1.1 204 X\r\n\r\n", 204),
    ] {
        caller.ask(&request);
        let (_, mut api) = recv_head(&listener);
        api.send(answer);
        assert_eq!(caller.response().status(), status, "{name}");
    }
    await_tunnels(&relay, 1);
    end(process);
}

#[test]
fn an_upgrade_passes_through_a_relay_with_tls() {
    const LENGTH: usize = 1 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let relay = Relay::start(&[]);
    let authority = Authority::new();
    let front = Terminator::start(&authority.server("localhost"), relay.address(), &[]);
    let file = authority.file();
    let trusted = ["--tunnels", "1", "--cacert", file.to_str().expect("a path")];
    let at = format!("wss://localhost:{}", front.address().port());
    let process = crate::expose::command::expose(&url, &at, &trusted);
    await_tunnels(&relay, 1);
    let mut caller = relay.connect();
    caller.ask(&websocket("/api/billing/ws"));
    let (_, mut api) = recv_head(&listener);
    api.send(ACCEPTED);
    assert_eq!(caller.head().status, 101);
    let mut api = api.into_wire();
    for caller_sends in [true, false] {
        let (from, to) = if caller_sends { (&caller, &mut api) } else { (&api, &mut caller) };
        let mut sender = from.sender();
        std::thread::scope(|scope| {
            scope.spawn(move || sender.write_all(&pattern(3, LENGTH)).expect("a connection"));
            is_pattern(3, LENGTH, &to.raw(LENGTH)).expect("what was sent");
        });
    }
    api.finish_sending();
    assert_eq!(caller.read_to_end(), (Vec::new(), Ending::Closed));
    caller.finish_sending();
    assert_eq!(api.read_to_end(), (Vec::new(), Ending::Closed));
    end(process);
}
