//! Refusals of valid requests: always counted by reason, and by route and status only if
//! configured.

use nix::sys::signal::Signal;

use crate::support::{Framing, Observed, ask, eventually};

/// The setting, and how many requests are counted for one that was refused.
const SWITCH: [(&[&str], u32); 3] =
    [(&[], 0), (&["--early-instrumentation=false"], 0), (&["--early-instrumentation"], 1)];

#[test]
fn a_stream_above_the_limit_is_counted_as_a_refusal() {
    for (flags, counted) in SWITCH {
        let relay = Observed::start(&[flags, &["--max-streams", "1"]].concat());
        relay.create();
        assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 503);
        relay.scrape().assert_counts(&[
            (r#"rdv_refusals_total{reason="streams"}"#, 1),
            (r#"rdv_requests_total{route="create",status="503"}"#, counted),
            (r#"rdv_requests_total{route="create",status="201"}"#, 1),
        ]);
    }
}

#[test]
fn an_unjoined_stream_above_the_limit_is_counted_as_a_refusal() {
    let relay = Observed::start(&["--max-unjoined-streams-per-address", "1"]);
    relay.create();
    assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 503);
    relay.scrape().assert_counts(&[(r#"rdv_refusals_total{reason="address_unjoined"}"#, 1)]);
}

#[test]
fn each_limit_has_its_own_reason() {
    for (limit, most, reason) in [
        ("--max-streams-per-address", 1_u8, "address_streams"),
        ("--max-concurrent", 2, "requests"),
    ] {
        for (flags, counted) in SWITCH {
            let relay = Observed::start(&[flags, &[limit, &most.to_string()]].concat());
            let wait = |number| {
                let id = relay.create();
                let mut waiting = relay.connect();
                waiting.ask(&ask("GET", &format!("/stream/{id}")));
                relay.await_value(r#"rdv_connections{phase="waiting"}"#, f64::from(number));
                waiting
            };
            let _waiting: Vec<_> = (1..=most).map(wait).collect();
            assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 503, "{limit}");
            let refusals = format!("rdv_refusals_total{{reason=\"{reason}\"}}");
            relay.scrape().assert_counts(&[
                (&refusals, 1),
                (r#"rdv_requests_total{route="create",status="503"}"#, counted),
            ]);
        }
    }
}

#[test]
fn followers_are_counted_and_one_above_the_limit_is_a_refusal() {
    for (flags, counted) in SWITCH {
        let relay = Observed::start(&[flags, &["--max-followers", "1"]].concat());
        let events = ask("GET", &format!("/stream/{}/events", relay.create()));
        let mut subscriber = relay.connect();
        subscriber.ask(&events);
        assert_eq!(subscriber.head().status, 200);
        assert_eq!(relay.exchange(&events).status(), 503);
        relay.scrape().assert_counts(&[
            (r#"rdv_connections{phase="following"}"#, 1),
            (r#"rdv_requests_total{route="events",status="200"}"#, 1),
            (r#"rdv_requests_total{route="events",status="503"}"#, counted),
            (r#"rdv_refusals_total{reason="followers"}"#, 1),
        ]);
    }
}

#[test]
fn a_side_waiting_at_shutdown_is_not_counted_as_a_refusal() {
    let relay = Observed::start(&["--drain-timeout", "1h"]);
    let id = relay.create();
    let mut waiting = relay.waiting_destination(&id);
    let _pair = relay.pair(Framing::Length(10));
    relay.signal(Signal::SIGTERM);
    assert_eq!(waiting.response().status(), 503);
    relay.scrape().assert_counts(&[
        (r#"rdv_refusals_total{reason="draining"}"#, 0),
        (r#"rdv_requests_total{route="destination",status="503"}"#, 1),
    ]);
}

#[test]
fn a_connection_above_the_limit_is_counted_as_a_refusal() {
    for (flags, counted) in SWITCH {
        let relay = Observed::start(&[flags, &["--max-connections", "2"]].concat());
        let mut kept = [relay.connect(), relay.connect()];
        for wire in &mut kept {
            assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
        }
        assert_eq!(relay.connect().response().status(), 503);
        relay.scrape().assert_counts(&[
            (r#"rdv_refusals_total{reason="connections"}"#, 1),
            (r#"rdv_requests_total{route="unread",status="503"}"#, counted),
        ]);
    }
}

#[test]
fn a_stream_refused_while_suspended_is_counted_as_a_refusal() {
    for (flags, counted) in SWITCH {
        let relay = Observed::start(flags);
        assert_eq!(relay.admin_exchange(&ask("POST", "/control/suspend")).status(), 200);
        assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 503);
        relay.scrape().assert_counts(&[
            (r#"rdv_refusals_total{reason="suspended"}"#, 1),
            (r#"rdv_requests_total{route="create",status="503"}"#, counted),
        ]);
    }
}

#[test]
fn a_stream_refused_while_draining_is_counted_as_a_refusal() {
    for (flags, counted) in SWITCH {
        let relay = Observed::start(flags);
        let _pair = relay.pair(Framing::Length(10));
        let mut late = relay.connect();
        late.send("POST /stream HTTP/1.1\r\n");
        relay.await_turn();
        relay.signal(Signal::SIGTERM);
        let drains = || relay.process().stderr().contains("draining").then_some(());
        eventually("the relay drains", drains);

        late.send("Host: a\r\n\r\n");
        assert_eq!(late.response().status(), 503);
        relay.scrape().assert_counts(&[
            (r#"rdv_refusals_total{reason="draining"}"#, 1),
            (r#"rdv_requests_total{route="create",status="503"}"#, counted),
        ]);
    }
}

#[test]
fn after_a_refusal_the_next_request_is_counted() {
    let relay = Observed::start(&["--max-streams", "1"]);
    relay.create();
    let mut wire = relay.connect();
    assert_eq!(wire.exchange(&ask("POST", "/stream")).status(), 503);
    assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    relay.scrape().assert_counts(&[
        (r#"rdv_requests_total{route="ping",status="200"}"#, 1),
        (r#"rdv_requests_total{route="create",status="503"}"#, 0),
    ]);
}

#[test]
fn an_invalid_value_of_the_flag_is_a_one_line_error() {
    let process = crate::support::Process::rdv(&["serve", "--early-instrumentation=perhaps"]);
    let finished = process.finish();
    assert_eq!(finished.status.code(), Some(2));
    let expected = "invalid value 'perhaps' for '--early-instrumentation";
    assert!(finished.stderr.contains(expected), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
}
