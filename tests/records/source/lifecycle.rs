//! Shutdown of a source: received requests are delivered or refused, and every sender gets a
//! response.

use nix::sys::signal::Signal;

use crate::source::consumer::{Lines, Place, accept};
use crate::source::process::{SourceProcess, assert_busy, text};
use crate::support::{ADMIN, ClosedPort, DISCONNECTS, Wire, ask, eventually};

/// More than a pipe holds.
const MORE_THAN_A_PIPE: usize = 200_000;

/// A source whose socket has no listener yet, and a waiting sender.
fn waiting(flags: &[&str]) -> (Place, SourceProcess, Wire) {
    let place = Place::new();
    let source =
        SourceProcess::start(&[&ADMIN[..], &["--output", &place.socket()], flags].concat());
    let wire = source.start_post("waits");
    source.await_waiting(1);
    (place, source, wire)
}

#[test]
fn waiting_records_are_delivered_before_the_exit() {
    for signal in [Signal::SIGTERM, Signal::SIGQUIT] {
        let port = ClosedPort::new();
        let address = port.address();
        let (place, source, mut wire) = waiting(&["--listen", &address.to_string()]);
        let mut half = source.connect();
        half.ask(&ask("POST", "/").length(2).field("Expect", "100-continue"));
        half.expect_continue();
        source.signal(signal);
        source.await_stderr(": draining");
        // The log has it first.
        eventually("no further sender connects", || std::net::TcpStream::connect(address).err());
        wire.assert_silent();
        half.send("ha");
        let mut consumer = accept(&place.listen());
        let mut bodies = [text(&consumer.line()), text(&consumer.line())];
        bodies.sort();
        assert_eq!(bodies, ["ha", "waits"], "{signal}");
        for wire in [&mut wire, &mut half] {
            let answer = wire.response();
            assert_eq!(answer.status(), 201, "{signal}");
            assert!(answer.head.closes(), "{signal}");
        }
        assert_eq!(consumer.lines().next(), None, "{signal}");
        let finished = source.finish();
        assert_eq!(finished.status.code(), Some(0), "{signal}: {}", finished.stderr);
    }
}

#[test]
fn waiting_records_are_refused_on_an_immediate_stop() {
    let rows: [(&str, &[Signal]); 3] = [
        ("interrupted", &[Signal::SIGINT]),
        ("two signals", &[Signal::SIGTERM, Signal::SIGTERM]),
        ("unlimited drain, then interrupt", &[Signal::SIGQUIT, Signal::SIGINT]),
    ];
    for (name, signals) in rows {
        let (place, source, mut wire) = waiting(&[]);
        let mut half = source.connect();
        half.ask(&ask("POST", "/").length(2).field("Expect", "100-continue"));
        half.expect_continue();
        for (number, &signal) in signals.iter().enumerate() {
            source.signal(signal);
            source.await_stderr(if number + 1 == signals.len() {
                ": stopping"
            } else {
                ": draining"
            });
        }
        assert_busy(name, &wire.response(), "shutting down");
        assert_busy(name, &half.response(), "shutting down");
        drop((wire, half));
        let listener = place.listen();
        assert_eq!(source.finish().status.code(), Some(0), "{name}");
        assert!(listener.accept().is_err(), "{name}: what was refused is not handed over");
    }
}

#[test]
fn records_waiting_beyond_the_drain_timeout_are_refused() {
    let (_place, source, mut wire) = waiting(&["--drain-timeout", "300ms"]);
    source.signal(Signal::SIGTERM);
    assert_busy("drained", &wire.response(), "shutting down");
    drop(wire);
    assert_eq!(source.finish().status.code(), Some(0));
}

#[test]
fn a_partly_written_record_is_completed_before_the_exit() {
    let (source, reader) = SourceProcess::piped(&[]);
    let mut wire = source.start_post("x".repeat(MORE_THAN_A_PIPE));
    let mut reader = Lines::stalled_within_line(reader);
    source.signal(Signal::SIGTERM);
    source.await_stderr(": draining");
    assert_eq!(text(&reader.line()).len(), MORE_THAN_A_PIPE);
    assert_eq!(wire.response().status(), 201);
    assert_eq!(source.finish().status.code(), Some(0));
    assert_eq!(reader.next(), None);
}

#[test]
fn a_stalled_reader_does_not_block_the_exit() {
    for way in DISCONNECTS {
        let flags = ["--consumer-timeout", "300ms", "--drain-timeout", "1s"];
        let (source, mut reader) = SourceProcess::piped(&flags);
        let wire = source.start_post("x".repeat(MORE_THAN_A_PIPE));
        std::io::Read::read_exact(&mut reader, &mut [0; 1]).expect("the record begins");
        wire.leave(way);
        source.signal(Signal::SIGTERM);
        let finished = source.finish();
        assert_eq!(finished.status.code(), Some(0), "{way:?}: {}", finished.stderr);
    }
}

#[test]
fn idle_connections_do_not_delay_the_exit() {
    let source = SourceProcess::start(&[]);
    let mut wire = source.connect();
    assert_eq!(wire.exchange(&crate::source::process::post("x")).status(), 201);
    source.signal(Signal::SIGTERM);
    wire.expect_end();
    assert_eq!(source.finish().status.code(), Some(0));
}

#[test]
fn a_source_refuses_a_handover() {
    let source = SourceProcess::start(&[]);
    source.signal(Signal::SIGUSR2);
    source.await_stderr("no hand-over: a source of records has no successor; restart it");
    assert_eq!(source.post("x").status(), 201, "it goes on");
    source.end();
}
