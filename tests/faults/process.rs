//! Failing calls at the start of the process, and at its signals.

use nix::sys::signal::Signal;

use crate::injected::{Fault, calls_before_listening};
use crate::support::Process;

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
