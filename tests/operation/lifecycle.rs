//! Start and shutdown: listeners, signals, draining, and errors at the start.

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::support::{
    Ending, Finished, Framing, Process, Relay, Wire, ask, assert_error, eventually, ipv6,
};
use nix::sys::signal::Signal;

/// Signals that shut a relay down, immediately or after running transfers.
const SIGNALS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGINT];
const DRAINING: [Signal; 2] = [Signal::SIGTERM, Signal::SIGQUIT];

/// Waits until the port is closed.
fn await_closed_listener(address: SocketAddr) {
    eventually("it stops accepting", || TcpStream::connect(address).err());
}

fn assert_clean_end(finished: &Finished) {
    assert_eq!(finished.status.code(), Some(0), "stderr: {}", finished.stderr);
}

/// Exactly one line, which contains all of these.
fn assert_one_line(text: &str, parts: &[&str]) {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "one line: {text:?}");
    for part in parts {
        assert!(lines[0].contains(part), "{part:?} in {:?}", lines[0]);
    }
}

#[test]
fn an_idle_relay_stops_at_once() {
    for signal in SIGNALS {
        let relay = Relay::start(&[]);
        relay.signal(signal);
        assert_clean_end(&relay.finish());
    }
}

#[test]
fn idle_connections_do_not_delay_the_exit() {
    for signal in SIGNALS {
        let relay = Relay::start(&["--drain-timeout", "1h"]);
        let mut used = relay.connect();
        assert_eq!(used.exchange(&ask("GET", "/ping")).status(), 200);
        let mut unused = relay.connect();
        relay.create();
        relay.signal(signal);
        used.expect_end();
        unused.read_to_end();
        assert_clean_end(&relay.finish());
    }
}

#[test]
fn waiting_clients_are_answered_503_on_shutdown() {
    for signal in SIGNALS {
        let relay = Relay::start(&["--drain-timeout", "1h"]);
        let (one, two) = (relay.create(), relay.create());
        let mut source = relay.waiting_source(&one, Framing::Length(5));
        let mut destination = relay.waiting_destination(&two);
        relay.signal(signal);
        assert_error("source", &source.response(), (503, "TooBusyError", None));
        assert_error("destination", &destination.response(), (503, "TooBusyError", None));
        drop((source, destination));
        assert_clean_end(&relay.finish());
    }
}

#[test]
fn running_transfers_are_completed() {
    for signal in DRAINING {
        for framing in [Framing::Length(15), Framing::Chunked] {
            let relay = Relay::start(&["--drain-timeout", "1h"]);
            let mut begun = relay.pair(framing);
            begun.pass_first(b"hello");
            let mut paired = relay.pair(framing);
            relay.signal(signal);
            await_closed_listener(relay.address());
            begun.pass(b"01234");
            begun.pass(b"56789");
            begun.complete();
            paired.pass_first(b"0123456789");
            paired.pass(b"01234");
            paired.complete();
            begun.source.expect_end();
            begun.destination.expect_end();
            drop((begun, paired));
            let finished = relay.finish();
            assert_clean_end(&finished);
            assert!(finished.stderr.contains("; waiting for 2 transfers\n"), "{}", finished.stderr);
            assert!(!finished.stderr.contains("interrupted"), "{}", finished.stderr);
        }
    }
}

#[test]
fn transfers_beyond_the_drain_timeout_never_look_complete() {
    for framing in [Framing::Length(15), Framing::Chunked] {
        let relay = Relay::start(&["--drain-timeout", "300ms"]);
        let mut pair = relay.pair(framing);
        pair.pass_first(b"hello");
        relay.signal(Signal::SIGTERM);
        let (rest, ending) = pair.destination.rest();
        assert!(rest.is_empty() && ending != Ending::Complete, "{framing:?}: {ending:?}");
        let finished = relay.finish();
        assert_clean_end(&finished);
        for line in ["SIGTERM: draining; waiting for 1 transfer\n", " 1 transfer interrupted\n"] {
            assert!(finished.stderr.contains(line), "{line:?}: {}", finished.stderr);
        }
    }
}

#[test]
fn transfers_interrupted_by_sigint_never_look_complete() {
    for framing in [Framing::Length(15), Framing::Chunked] {
        let relay = Relay::start(&["--drain-timeout", "1h"]);
        let mut begun = relay.pair(framing);
        begun.pass_first(b"hello");
        let mut paired = relay.pair(framing);
        relay.signal(Signal::SIGINT);
        let (rest, ending) = begun.destination.rest();
        assert!(rest.is_empty() && ending != Ending::Complete, "{framing:?}: {ending:?}");
        for (name, wire) in [
            ("its source", &mut begun.source),
            ("a source that sent nothing", &mut paired.source),
            ("a destination that got nothing", &mut paired.destination),
        ] {
            assert_error(name, &wire.response(), (503, "TooBusyError", None));
        }
        drop((begun, paired));
        assert_clean_end(&relay.finish());
    }
}

#[test]
fn drain_timeout_0_waits_indefinitely() {
    let relay = Relay::start(&["--drain-timeout", "0s"]);
    let mut pair = relay.pair(Framing::Length(15));
    pair.pass_first(b"hello");
    relay.signal(Signal::SIGQUIT);
    await_closed_listener(relay.address());
    pair.pass(b"01234");
    pair.pass(b"56789");
    pair.complete();
    drop(pair);
    assert_clean_end(&relay.finish());
}

#[test]
fn a_later_signal_changes_the_limit() {
    for (name, first, second) in [
        ("a drain gets a limit", Signal::SIGQUIT, Signal::SIGTERM),
        ("a drain is cut short", Signal::SIGQUIT, Signal::SIGINT),
    ] {
        let relay = Relay::start(&["--drain-timeout", "0s"]);
        let mut pair = relay.pair(Framing::Chunked);
        pair.pass_first(b"hello");
        relay.signal(first);
        await_closed_listener(relay.address());
        pair.pass(b"still served");
        relay.signal(second);
        assert_ne!(pair.destination.rest().1, Ending::Complete, "{name}");
        assert_eq!(pair.source.response().status(), 503, "{name}");
        drop(pair);
        assert_clean_end(&relay.finish());
    }

    let relay = Relay::start(&["--drain-timeout", "1h"]);
    let mut pair = relay.pair(Framing::Length(15));
    pair.pass_first(b"hello");
    relay.signal(Signal::SIGTERM);
    await_closed_listener(relay.address());
    relay.signal(Signal::SIGQUIT);
    pair.pass(b"01234");
    pair.pass(b"56789");
    pair.complete();
    drop(pair);
    assert_clean_end(&relay.finish());
}

#[test]
fn a_second_signal_stops_at_once() {
    for (first, second) in [
        (Signal::SIGTERM, Signal::SIGTERM),
        (Signal::SIGTERM, Signal::SIGINT),
        (Signal::SIGQUIT, Signal::SIGINT),
    ] {
        let relay = Relay::start(&["--drain-timeout", "1h"]);
        let mut pair = relay.pair(Framing::Chunked);
        pair.pass_first(b"hello");
        relay.signal(first);
        await_closed_listener(relay.address());
        pair.pass(b"still served");
        relay.signal(second);
        assert_ne!(pair.destination.rest().1, Ending::Complete);
        assert_eq!(pair.source.response().status(), 503);
        drop(pair);
        assert_clean_end(&relay.finish());
    }
}

#[test]
fn a_signal_while_closing_exits_at_once() {
    let relay = Relay::start(&["--linger-timeout", "1h"]);
    let mut pair = relay.pair(Framing::Chunked);
    pair.pass_first(b"hello");
    relay.signal(Signal::SIGINT);
    // It lingers with this source, which does not close.
    assert_eq!(pair.source.response().status(), 503);
    relay.signal(Signal::SIGINT);
    assert_clean_end(&relay.finish());
}

#[test]
fn a_close_delimited_download_never_looks_complete_after_a_stop() {
    for way in [Signal::SIGTERM, Signal::SIGKILL] {
        let relay = Relay::start(&["--drain-timeout", "1h"]);
        let mut pair = relay.pair_with(Framing::Chunked, crate::support::Ask::http10);
        pair.pass_first(b"hello");
        relay.signal(way);
        if way == Signal::SIGTERM {
            await_closed_listener(relay.address());
            relay.signal(Signal::SIGINT);
        }
        assert_eq!(pair.destination.read_to_end(), (Vec::new(), Ending::Reset), "{way}");
    }
}

#[test]
fn a_request_received_before_the_signal_is_answered() {
    let relay = Relay::start(&[]);
    let mut wires: Vec<Wire> = (0..20).map(|_| relay.connect()).collect();
    for wire in &mut wires {
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    }
    relay.while_stopped(|| {
        relay.signal(Signal::SIGTERM);
        for wire in &mut wires {
            wire.ask(&ask("GET", "/ping"));
        }
    });
    for wire in &mut wires {
        assert_eq!(wire.response().status(), 200);
    }
    drop(wires);
    assert_clean_end(&relay.finish());
}

#[test]
fn a_connection_reset_does_not_kill_the_relay() {
    let relay = Relay::start(&[]);
    for _ in 0..20 {
        let mut gone = relay.connect();
        gone.ask(&ask("GET", "/version"));
        gone.reset();
        let pair = relay.pair(Framing::Chunked);
        pair.destination.reset();
        pair.source.reset();
    }
    relay.await_turn();
    relay.signal(Signal::SIGTERM);
    assert_clean_end(&relay.finish());
}

#[test]
fn a_port_in_use_is_a_one_line_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("an address").to_string();
    let finished = Process::rdv(&["serve", "--listen", &address]).finish();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert_one_line(&finished.stderr, &[&address, "or choose another address"]);
    assert!(!finished.stdout.contains("listening on"), "{}", finished.stdout);

    let both = ["serve", "--listen", "127.0.0.1:0", "--listen", &address];
    let finished = Process::rdv(&both).finish();
    assert_eq!(finished.status.code(), Some(1), "the second of two: {}", finished.stderr);
    assert_one_line(&finished.stderr, &[&address]);
}

#[test]
fn an_invalid_value_is_a_one_line_error() {
    let durations = ["soon", "", "-1s", "10 parsecs", "99999999999999999999999999s", "s"];
    let sizes = ["much", "", "-1KiB", "10 barrels", "99999999999999999999999999KiB", "KiB"];
    let counts = ["many", "", "-1", "1.5", "18446744073709551615"];
    let rows: [(&str, &[&str]); 20] = [
        ("--listen", &["here", "", "127.0.0.1", "127.0.0.1:99999", "localhost:", "[::1:80"]),
        ("--trusted", &["everyone", "", "10.0.0.0/33", "300.0.0.0/8", "::/129"]),
        ("--ttl", &durations),
        ("--max-ttl", &["soon", "", "-1s", "60", "0s", "999ms"]),
        ("--retention", &durations),
        ("--idle-timeout", &durations),
        ("--header-timeout", &durations),
        ("--keep-alive-timeout", &durations),
        ("--linger-timeout", &durations),
        ("--drain-timeout", &durations),
        ("--handover-timeout", &durations),
        ("--handover-drain-timeout", &durations),
        ("--linger-bytes", &sizes),
        ("--max-head", &sizes),
        ("--max-json-body", &sizes),
        ("--pipe-size", &sizes),
        ("--max-connections", &counts),
        ("--max-streams", &counts),
        ("--max-lingering", &counts),
        ("--max-pipes", &counts),
    ];
    for (flag, values) in rows {
        for value in values {
            let argument = format!("{flag}={value}");
            let finished = Process::rdv(&["serve", &argument]).finish();
            assert_eq!(finished.status.code(), Some(2), "{argument}: {}", finished.stderr);
            assert_one_line(&finished.stderr, &[flag]);
            assert_eq!(finished.stdout, "", "{argument}");
        }
    }
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    for arguments in [&["serve", "--frobnicate"][..], &["serve", "--no-splice=maybe"], &["dance"]] {
        let finished = Process::rdv(arguments).finish();
        assert_eq!(finished.status.code(), Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(!finished.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_names_every_flag_and_its_default() {
    let finished = Process::rdv(&["serve", "--help"]).finish();
    assert_clean_end(&finished);
    let rows = [
        ("--listen", "127.0.0.1:8080"),
        ("--ttl", "60s"),
        ("--max-ttl", "1h"),
        ("--retention", "60s"),
        ("--idle-timeout", "6h"),
        ("--header-timeout", "10s"),
        ("--keep-alive-timeout", "75s"),
        ("--linger-timeout", "2s"),
        ("--linger-bytes", "1MiB"),
        ("--drain-timeout", "30s"),
        ("--handover-timeout", "10s"),
        ("--handover-drain-timeout", ""),
        ("--max-connections", ""),
        ("--max-streams", ""),
        ("--max-lingering", ""),
        ("--max-head", "16KiB"),
        ("--max-json-body", "64KiB"),
        ("--trusted", ""),
        ("--pipe-size", "1MiB"),
        ("--max-pipes", ""),
        ("--no-splice", ""),
        ("--max-followers", "1024"),
        ("--event-keep-alive", "15s"),
    ];
    for (flag, default) in rows {
        let mut lines = finished.stdout.lines().skip_while(|line| !starts_help_of(line, flag));
        let first = lines.next().unwrap_or_else(|| panic!("{flag} is not there"));
        let rest = lines.take_while(|line| !line.trim_start().starts_with('-'));
        let entry: Vec<&str> = std::iter::once(first).chain(rest).collect();
        assert!(entry.concat().contains(default), "the default {default}: {entry:#?}");
    }
}

/// Whether this line of the help starts the entry of a flag.
fn starts_help_of(line: &str, flag: &str) -> bool {
    let line = line.trim_start();
    let short = line.starts_with('-') && !line.starts_with("--");
    let long = line.split_once(", ").filter(|_| short).map_or(line, |both| both.1);
    long.split([' ', '=', '[']).next() == Some(flag)
}

#[test]
fn the_relay_listens_on_every_given_address() {
    let relay = Relay::listening(&["127.0.0.1:0", "127.0.0.1:0", "127.0.0.2:0"], &[]);
    assert_eq!(relay.addresses().len(), 3);
    let id = relay.create();
    for address in relay.addresses() {
        let status = ask("GET", &format!("/stream/{id}/status"));
        assert_eq!(Wire::connect(*address).exchange(&status).json()["id"], id, "{address}");
    }
    relay.signal(Signal::SIGTERM);
    for address in relay.addresses() {
        await_closed_listener(*address);
    }
    assert_clean_end(&relay.finish());
}

#[test]
fn the_relay_listens_on_ipv6() {
    if !ipv6() {
        return;
    }
    let relay = Relay::listening(&["[::1]:0", "127.0.0.1:0"], &crate::support::TRUSTING);
    assert!(relay.address().is_ipv6(), "{}", relay.address());
    assert_eq!(relay.get("/stream").status(), 200, "it is trusted like IPv4");
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    let put = Framing::Length(5).put(&id).raw_body(b"hello");
    let uploaded = Wire::connect(relay.addresses()[1]).exchange(&put);
    assert_eq!((uploaded.status(), destination.response().text()), (200, "hello"));
}
