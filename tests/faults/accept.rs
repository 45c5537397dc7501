//! Failing accept calls: waiting clients are served or refused, and none is forgotten.

use crate::injected::{Fault, Faulty, calls_before_listening};
use crate::support::{ADMIN, Ending, Observed, Wire, ask, eventually};
use crate::transfer::assert_recovered;

/// The outcome of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Served,
    /// Received a 503, or was disconnected.
    Refused,
}

/// Clients that connect and send a request before any is served.
fn clients(faulty: &Faulty, count: usize) -> Vec<Wire> {
    let mut wires: Vec<Wire> = (0..count).map(|_| faulty.relay.connect()).collect();
    for wire in &mut wires {
        // A refusal can arrive before the request is sent.
        let _ = wire.try_send(ask("GET", "/ping").bytes());
    }
    wires
}

fn outcome(wire: &mut Wire) -> Outcome {
    match wire.try_response() {
        Ok(answer) if answer.status() == 200 && answer.ending == Ending::Complete => {
            Outcome::Served
        }
        Ok(answer) => {
            assert_eq!(answer.status(), 503);
            Outcome::Refused
        }
        Err(_) => Outcome::Refused,
    }
}

fn outcomes(wires: &mut [Wire]) -> Vec<Outcome> {
    wires.iter_mut().map(outcome).collect()
}

const SHORTAGES: [&str; 4] = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

#[test]
fn waiting_clients_are_served_after_a_shortage() {
    for error in SHORTAGES {
        // Each pause starts with one failed call, and a second one shows that no client can be
        // refused.
        let faulty = Fault { call: "accept4", error, when: "1..6" }.relay(&[]);
        let before = faulty.relay.descriptors();
        let mut wires = clients(&faulty, 20);
        assert_eq!(outcomes(&mut wires), [Outcome::Served; 20], "{error}");
        let lines = |what| faulty.relay.process().stderr().matches(what).count();
        eventually("its end is logged", || (lines("accepting goes on") == 1).then_some(()));
        assert_eq!(lines("accepting pauses"), 1, "{error}: one line a shortage");
        drop(wires);
        assert_recovered(&faulty.relay);
        faulty.relay.await_descriptors(before, 2);
    }
}

#[test]
fn pauses_and_refusals_with_the_spare_descriptor_are_counted() {
    for (flag, answered) in [("--early-instrumentation=false", 0), ("--early-instrumentation", 1)] {
        // Out of descriptors, it refuses one client with the spare; the next call fails.
        let fault = Fault { call: "accept4", error: "EMFILE", when: "1..3+2" };
        let faulty = fault.relay(&[&ADMIN[..], &[flag]].concat());
        let mut wires = clients(&faulty, 1);
        assert_eq!(outcomes(&mut wires), [Outcome::Refused]);
        faulty.await_strikes(2);
        let relay = Observed::of(faulty.relay);
        relay.scrape().assert_counts(&[
            ("rdv_accept_pauses_total", 1),
            (r#"rdv_refusals_total{reason="descriptors"}"#, 1),
            (r#"rdv_requests_total{route="unread",status="503"}"#, answered),
        ]);
    }
}

#[test]
fn a_shortage_is_logged_once_and_each_pause_is_counted() {
    // Two pauses, in both of which the spare descriptor does not help.
    let fault = Fault { call: "accept4", error: "EMFILE", when: "1..4" };
    let faulty = fault.relay(&ADMIN);
    assert_eq!(outcomes(&mut clients(&faulty, 1)), [Outcome::Served]);
    faulty.await_strikes(4);
    let relay = Observed::of(faulty.relay);
    relay.scrape().assert_counts(&[("rdv_accept_pauses_total", 2)]);
    // Another thread writes the log.
    let printed = eventually("the shortage is over", || {
        let printed = relay.process().stderr();
        printed.contains("accepting goes on").then_some(printed)
    });
    assert_eq!(printed.matches("accepting pauses").count(), 1, "{printed}");
}

#[test]
fn during_a_shortage_the_spare_descriptor_refuses_clients() {
    for error in SHORTAGES {
        let faulty = Fault { call: "accept4", error, when: "2" }.relay(&[]);
        let before = faulty.relay.descriptors();
        let mut inside = faulty.relay.connect();
        assert_eq!(inside.exchange(&ask("GET", "/ping")).status(), 200, "{error}");
        let mut unlucky = faulty.relay.connect();
        assert_eq!(outcome(&mut unlucky), Outcome::Refused, "{error}");
        assert_eq!(inside.exchange(&ask("GET", "/ping")).status(), 200, "{error}");
        // The relay has finished refusing; later clients wait for the end of the pause.
        let mut wires = clients(&faulty, 20);
        assert_eq!(outcomes(&mut wires), [Outcome::Served; 20], "{error}");
        drop((inside, unlucky, wires));
        assert_recovered(&faulty.relay);
        faulty.relay.await_descriptors(before, 2);
    }
}

#[test]
fn one_lost_connection_does_not_delay_the_next_ones() {
    for error in ["ECONNABORTED", "EINTR", "EPROTO", "ENETDOWN", "EHOSTUNREACH", "EPERM", "EAGAIN"]
    {
        for when in ["1", "1..5", "1..200"] {
            let faulty = Fault { call: "accept4", error, when }.relay(&[]);
            let before = faulty.relay.descriptors();
            let mut wires = clients(&faulty, 1);
            assert_eq!(outcomes(&mut wires), [Outcome::Served], "{error} {when}");
            drop(wires);
            faulty.relay.await_turn();
            faulty.relay.await_descriptors(before, 0);
        }
    }
}

#[test]
fn an_unknown_error_pauses_and_is_retried() {
    let faulty = Fault { call: "accept4", error: "EIO", when: "1..6" }.relay(&[]);
    assert_eq!(outcomes(&mut clients(&faulty, 5)), [Outcome::Served; 5]);
    assert_recovered(&faulty.relay);
}

#[test]
fn a_connection_that_cannot_be_registered_is_closed() {
    let first = calls_before_listening("epoll_ctl") + 1;
    for error in ["ENOSPC", "ENOMEM"] {
        let when = first.to_string();
        let faulty = Fault { call: "epoll_ctl", error, when: &when }.relay(&[]);
        let before = faulty.relay.descriptors();
        let mut lost = faulty.relay.connect();
        assert_eq!(outcome(&mut lost), Outcome::Refused, "{error}");
        assert_recovered(&faulty.relay);
        faulty.relay.await_descriptors(before, 2);
    }
}
