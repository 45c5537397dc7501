//! Failing calls at the start of the process, and at its signals.

use nix::sys::signal::Signal;

use crate::injected::{Fault, calls_before_listening};
use crate::matrix::tracer::{Tracer, strikes};
use crate::support::{Process, Relay, ask, eventually};

/// More ids than the relay reads random bytes for at once.
const IDS_MAX: usize = 300;

#[test]
fn a_signal_that_could_not_be_read_at_once_is_obeyed() {
    let before = calls_before_listening("read");
    for error in ["EINTR", "EIO"] {
        let when = format!("{}..{}", before + 1, before + 3);
        let faulty = Fault { call: "read", error, when: &when }.relay(&[]);
        faulty.relay.signal(Signal::SIGTERM);
        assert_eq!(faulty.relay.finish().status.code(), Some(0), "{error}");
    }
}

#[test]
fn a_relay_that_cannot_read_its_own_address_does_not_start() {
    let fault = Fault { call: "getsockname", error: "ENOBUFS", when: "1" };
    let (command, _log, _directory) = fault.command(&[]);
    let end = Process::start(command).finish();
    assert_eq!(end.status.code(), Some(1), "{}", end.stderr);
    assert_eq!(end.stderr, "rdv: cannot listen on 127.0.0.1:0: no buffer space available\n");
}

#[test]
fn a_reload_whose_wake_up_failed_does_not_block_the_next_one() {
    let relay = Relay::start(&[]);
    // The first write of each thread: of the reload to its eventfd, of the log its first line.
    let fault = Fault { call: "write", error: "EBADF", when: "1" };
    let tracer = Tracer::attach(relay.process(), Some(fault));
    relay.signal(Signal::SIGHUP);
    eventually("the wake-up fails", || (strikes(&tracer.log()) > 0).then_some(()));
    relay.signal(Signal::SIGHUP);
    let reloaded = || relay.process().stderr().contains("configuration reloaded");
    eventually("the configuration is reloaded", || reloaded().then_some(()));
}

#[test]
fn the_reason_why_there_are_no_events_is_one_line() {
    for (call, error, why) in [
        ("epoll_create1", "EMFILE", "too many open files"),
        ("signalfd4", "ENFILE", "file table overflow"),
        ("eventfd2", "ENOMEM", "out of memory"),
    ] {
        let (command, _log, _directory) = Fault { call, error, when: "1" }.command(&[]);
        let end = Process::start(command).finish();
        assert_eq!(end.status.code(), Some(1), "{call}: {}", end.stderr);
        assert_eq!(end.stderr, format!("rdv: cannot wait for events: {why}\n"), "{call}");
    }
}

#[test]
fn the_reason_why_a_log_cannot_start_is_one_line() {
    for (when, what) in [("1", "log"), ("2", "access log")] {
        let fault = Fault { call: "clone3", error: "EPERM", when };
        let (command, _log, directory) =
            fault.command(&["--access-log", "/dev/null", "--access-log-buffer", "100"]);
        let end = Process::start(command).finish();
        assert_eq!(end.status.code(), Some(1), "{what}: {}", end.stderr);
        let why = "operation not permitted";
        assert_eq!(end.stderr, format!("rdv: cannot start the {what}: {why}\n"));
        drop(directory);
    }
}

#[test]
fn without_random_bytes_new_ids_are_refused_and_all_else_is_served() {
    let flags = ["--socket-listen", "127.0.0.1:0", "--request-id"];
    let mut relay = Relay::start(&flags);
    let fault = Fault { call: "getrandom", error: "ENOSYS", when: "1+" };
    let tracer = Tracer::attach(relay.process(), Some(fault));
    let mut wire = relay.connect();
    let create = ask("POST", "/stream");
    let call = ask("GET", "/api/unknown/");
    for request in [&create, &call] {
        let refused = (0..IDS_MAX).map(|_| wire.exchange(request)).find(|one| one.status() == 503);
        let refused = refused.expect("the ids are used up");
        assert!(refused.text().contains("No random bytes for a new id"), "{}", refused.text());
        assert_eq!(wire.exchange(request).status(), 503);
    }
    assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    let logged = "cannot read random bytes: function not implemented";
    // One line of each source of ids: streams, agents, requests.
    eventually("it is logged", || {
        (relay.process().stderr().matches(logged).count() == 3).then_some(())
    });
    tracer.detach();
    assert_eq!(wire.exchange(&create).status(), 201);
    assert_eq!(wire.exchange(&call).status(), 404);
    assert!(!relay.ended());
}
