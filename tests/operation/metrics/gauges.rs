//! Gauges, computed for each request.

use crate::support::{Framing, Observed, pattern};

#[test]
fn streams_and_connections_are_counted_by_state_and_phase() {
    let relay = Observed::start(&[]);
    relay.create();
    let (first, second) = (relay.create(), relay.create());
    let _source = relay.waiting_source(&first, Framing::Chunked);
    let _destination = relay.waiting_destination(&second);
    let _pair = relay.pair(Framing::Length(10));
    let mut half = relay.connect();
    half.send("POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{");
    relay.await_value(r#"rdv_connections{phase="json"}"#, 1.0).assert_counts(&[
        (r#"rdv_streams{state="CREATED"}"#, 1),
        (r#"rdv_streams{state="SRC_CONNECTED"}"#, 1),
        (r#"rdv_streams{state="DST_CONNECTED"}"#, 1),
        (r#"rdv_streams{state="STREAMING"}"#, 1),
        (r#"rdv_connections{phase="waiting"}"#, 2),
        (r#"rdv_connections{phase="streaming"}"#, 2),
    ]);
}

#[test]
fn streams_beyond_their_retention_are_counted_only_as_ended() {
    let relay = Observed::start(&["--ttl", "100ms", "--retention", "1ms"]);
    for _ in 0..3 {
        relay.create();
    }
    let outcome = r#"rdv_streams_ended_total{outcome="TIMEOUT_NO_SRC_NO_DST"}"#;
    relay.await_value(outcome, 3.0);
    relay
        .await_value(r#"rdv_streams{state="TIMEOUT_NO_SRC_NO_DST"}"#, 0.0)
        .assert_counts(&[(outcome, 3), (r#"rdv_streams{state="CREATED"}"#, 0)]);
}

#[test]
fn a_reader_that_does_not_read_pins_a_pipe() {
    let relay = Observed::start(&[]);
    let mut pair = relay.narrow_pair(Framing::Length(64 << 20));
    relay.fill(&mut pair.source, &pattern(1, 64 << 20));
    let scrape = relay.scrape();
    let lent = |size| scrape.value(&format!("rdv_pipes_lent{{size=\"{size}\"}}"));
    assert!((lent("large") + lent("small") - 1.0).abs() < 0.5, "{}", scrape.0);
}

#[test]
fn a_transfer_without_a_pipe_is_counted() {
    let relay = Observed::start(&["--max-pipes", "0"]);
    let mut pair = relay.pair(Framing::Length(1 << 20));
    pair.pass_first(&pattern(2, 1 << 20));
    let scrape = relay.await_value(r#"rdv_relayed_bytes_total{path="copied"}"#, f64::from(1 << 20));
    assert!(scrape.value("rdv_pipes_refused_total") >= 1.0, "{}", scrape.0);
    scrape.assert_counts(&[(r#"rdv_pipes_open{size="large"}"#, 0)]);
}

#[test]
fn process_metrics_match_the_kernel() {
    let relay = Observed::start(&["--max-connections", "321", "--max-streams", "123"]);
    let before = relay.scrape().value("process_open_fds");
    let wires: Vec<_> = (0..10).map(|_| relay.connect()).collect();
    relay.await_turn();
    let scrape = relay.scrape();
    assert!(scrape.value("process_open_fds") >= before + 10.0, "{} more wires", wires.len());
    assert!(scrape.value("process_max_fds") >= scrape.value("process_open_fds"));
    let resident = scrape.value("process_resident_memory_bytes");
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let shown = relay.resident_bytes() as f64;
    assert!((0.5..2.0).contains(&(resident / shown)), "{resident} and {shown}");
    assert!(scrape.value("process_cpu_seconds_total") > 0.0);
    assert!(scrape.value("process_start_time_seconds") > 1.7e9);
    scrape.assert_counts(&[("rdv_connections_max", 321), ("rdv_streams_max", 123)]);
    let info = scrape.samples().into_iter().filter(|name| *name == "rdv_build_info").count();
    assert_eq!(info, 1);
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(scrape.0.contains(&version), "{}", scrape.0);
}
