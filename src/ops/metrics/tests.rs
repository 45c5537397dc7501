use super::*;
use crate::rendezvous::{StateCounts, StreamState};
use crate::splice::pool::PoolStats;

/// Returns the figures of a relay that has served requests.
fn figures(tally: StateCounts) -> RelayStats {
    RelayStats {
        streams: tally,
        connections: [0, 1, 0, 0, 2, 4, 0, 0, 0, 0, 0, 0, 0, 3],
        pipes: PoolStats { large_open: 5, large_lent: 2, small_open: 3, small_lent: 1, refused: 7 },
        run_queue: 9,
        held_bytes: 4096,
        max_connections: 100,
        max_streams: 200,
        dropped_lines: 11,
        notifications: [12, 13, 14, 15, 16],
        out_of_pipes: true,
        certificate_seconds: vec![("relay.example".into(), 2_500_000)],
    }
}

fn tally() -> StateCounts {
    let mut tally = StateCounts::default();
    tally.held[StreamState::Streaming as usize] = 2;
    tally.held[StreamState::Finished as usize] = 1;
    tally.ended[StreamState::Finished as usize] = 6;
    tally.ended[StreamState::ClientError as usize] = 8;
    tally
}

fn assert_has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
}

#[test]
fn counters_are_rendered() {
    let mut metrics = Metrics::new(1_234_500);
    metrics.answered(RouteName::Create, 201);
    metrics.answered(RouteName::Create, 201);
    metrics.answered(RouteName::Source, 418);
    metrics.answered(RouteName::Source, 599);
    metrics.refused(Busy::Stopping);
    metrics.relayed(100, 30);
    metrics.paired(Duration::from_millis(20));
    metrics.transferred(Duration::from_secs(90));
    metrics.turned(Duration::from_micros(40));
    metrics.accept_paused();
    let text = metrics.render(&figures(tally()), &[]);
    for line in [
        r#"rdv_requests_total{route="create",status="201"} 2"#,
        r#"rdv_requests_total{route="source",status="other"} 2"#,
        r#"rdv_refusals_total{reason="draining"} 1"#,
        r#"rdv_refusals_total{reason="streams"} 0"#,
        "# UNIT rdv_relayed_bytes bytes",
        r#"rdv_relayed_bytes_total{path="spliced"} 30"#,
        r#"rdv_relayed_bytes_total{path="copied"} 70"#,
        r#"rdv_pairing_wait_seconds_bucket{le="0.01"} 0"#,
        r#"rdv_pairing_wait_seconds_bucket{le="0.1"} 1"#,
        r#"rdv_transfer_duration_seconds_bucket{le="300.0"} 1"#,
        r#"rdv_loop_turn_duration_seconds_bucket{le="+Inf"} 1"#,
        "rdv_accept_pauses_total 1",
        "# EOF",
    ] {
        assert_has(&text, line);
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn gauges_are_rendered() {
    let metrics = Metrics::new(1_234_500);
    let text = metrics.render(&figures(tally()), &[]);
    for line in [
        r#"rdv_streams{state="STREAMING"} 2"#,
        r#"rdv_streams{state="FINISHED"} 1"#,
        r#"rdv_streams_ended_total{outcome="FINISHED"} 6"#,
        r#"rdv_streams_ended_total{outcome="CLIENT_ERROR"} 8"#,
        r#"rdv_connections{phase="head"} 1"#,
        r#"rdv_degraded{reason="pipes"} 1"#,
        r#"rdv_connections{phase="lingering"} 3"#,
        r#"rdv_pipes_open{size="large"} 5"#,
        r#"rdv_pipes_lent{size="small"} 1"#,
        "rdv_pipes_refused_total 7",
        "rdv_run_queue_length 9",
        "rdv_held_bytes 4096",
        "rdv_connections_max 100",
        "rdv_streams_max 200",
        "rdv_access_log_lines_dropped_total 11",
        "process_start_time_seconds 1234.5",
    ] {
        assert_has(&text, line);
    }
    assert!(!text.contains(r#"outcome="STREAMING""#), "only ends are outcomes:\n{text}");
    let cpu = text.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total "));
    assert!(cpu.unwrap().parse::<f64>().unwrap() > 0.0);
}

#[test]
fn the_number_of_series_is_bounded() {
    let mut metrics = Metrics::new(0);
    for route in RouteName::ALL {
        for status in 0..=u16::MAX {
            metrics.answered(route, status);
        }
    }
    let text = metrics.render(&figures(tally()), &[]);
    let series = text.lines().filter(|line| line.starts_with("rdv_requests_total")).count();
    assert_eq!(series, RouteName::ALL.len() * (STATUSES.len() + 1));
}
