//! Counters, incremented by events.

use crate::support::{
    Disconnect, Ending, Framing, Observed, Pair, UNKNOWN, ask, assert_uploaded, chunks, eventually,
    pattern,
};
use std::io::Write;
use std::thread;

#[test]
fn every_request_is_counted_by_route_and_status() {
    let relay = Observed::start(&[]);
    let id = relay.create();
    for (name, method, target) in [
        ("a ping", "GET", "/ping".to_owned()),
        ("another", "HEAD", "/ping/".to_owned()),
        ("the version", "GET", "/version".to_owned()),
        ("a status", "GET", format!("/stream/{id}/status")),
        ("no status", "GET", format!("/stream/{UNKNOWN}/status")),
        ("the list, which is for operators", "GET", "/stream".to_owned()),
        ("a status request", "HEAD", format!("/stream/{id}")),
        ("the methods", "OPTIONS", "/stream".to_owned()),
        ("a wrong method", "PATCH", "/stream".to_owned()),
        ("nothing", "GET", "/some/where".to_owned()),
        ("nothing, once more", "GET", format!("/{id}")),
        ("a report", "POST", format!("/stream/{id}/error")),
        ("the reported error", "GET", format!("/stream/{id}")),
        ("the end of nothing", "DELETE", format!("/stream/{UNKNOWN}")),
    ] {
        let answer = relay.connect().exchange(&ask(method, &target));
        assert!(answer.status() >= 200, "{name}");
    }
    relay.connect().exchange(&ask("GET", "/ping").field("Expect", "cake"));
    let mut wire = relay.connect();
    wire.send("GET /ping HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n");
    assert_eq!(wire.response().status(), 400);

    for (method, target) in
        [("GET", "/stream"), ("GET", "/readyz"), ("POST", "/control/resume"), ("GET", "/metrics")]
    {
        assert_eq!(relay.admin_exchange(&ask(method, target)).status(), 200, "{target}");
    }

    relay.scrape().assert_counts(&[
        (r#"rdv_requests_total{route="create",status="201"}"#, 1),
        (r#"rdv_requests_total{route="ping",status="200"}"#, 2),
        (r#"rdv_requests_total{route="ping",status="417"}"#, 1),
        (r#"rdv_requests_total{route="version",status="200"}"#, 1),
        (r#"rdv_requests_total{route="status",status="200"}"#, 1),
        (r#"rdv_requests_total{route="status",status="404"}"#, 1),
        (r#"rdv_requests_total{route="list",status="200"}"#, 1),
        (r#"rdv_requests_total{route="readiness",status="200"}"#, 1),
        (r#"rdv_requests_total{route="control",status="200"}"#, 1),
        (r#"rdv_requests_total{route="metrics",status="200"}"#, 1),
        (r#"rdv_requests_total{route="exists",status="200"}"#, 1),
        (r#"rdv_requests_total{route="options",status="204"}"#, 1),
        (r#"rdv_requests_total{route="list",status="403"}"#, 1),
        (r#"rdv_requests_total{route="not_allowed",status="405"}"#, 1),
        (r#"rdv_requests_total{route="nothing",status="404"}"#, 2),
        (r#"rdv_requests_total{route="report",status="200"}"#, 1),
        (r#"rdv_requests_total{route="destination",status="400"}"#, 1),
        (r#"rdv_requests_total{route="delete",status="404"}"#, 1),
        (r#"rdv_requests_total{route="unread",status="400"}"#, 1),
    ]);
}

#[test]
fn a_status_chosen_by_a_client_adds_no_series() {
    let relay = Observed::start(&[]);
    for status in [299, 418, 599] {
        let id = relay.create();
        let body = format!(r#"{{"http_status":{status}}}"#);
        let report = ask("POST", &format!("/stream/{id}/error")).body(body);
        assert_eq!(relay.exchange(&report).status(), 200);
        assert_eq!(relay.get(&format!("/stream/{id}")).status(), status);
    }
    let scrape = relay.scrape();
    scrape.assert_counts(&[(r#"rdv_requests_total{route="destination",status="other"}"#, 3)]);
    assert!(!scrape.0.contains("\"418\""), "{}", scrape.0);
}

#[test]
fn bytes_are_counted_during_the_transfer() {
    for (name, framing, flags, path, other) in [
        ("spliced", Framing::Length(4 << 20), &[][..], "spliced", "copied"),
        ("copied", Framing::Length(4 << 20), &["--no-splice"][..], "copied", "spliced"),
        ("copied chunks", Framing::Chunked, &["--no-splice"][..], "copied", "spliced"),
    ] {
        let relay = Observed::start(flags);
        let [path, other] =
            [path, other].map(|path| format!("rdv_relayed_bytes_total{{path=\"{path}\"}}"));
        let mut pair = relay.pair(framing);
        let data = pattern(3, 1 << 20);
        pair.pass_first(&data);
        relay.await_value(&path, f64::from(1 << 20));
        pair.pass(&data);
        let scrape = relay.await_value(&path, f64::from(2 << 20));
        assert!(scrape.is(&other, 0.0), "{name}");
        scrape.assert_counts(&[
            (r#"rdv_streams{state="STREAMING"}"#, 1),
            ("rdv_transfer_duration_seconds_count", 0),
        ]);
    }
}

#[test]
fn a_small_body_is_copied_and_its_stream_counted_as_finished() {
    let relay = Observed::start(&[]);
    let mut pair = relay.pair(Framing::Chunked);
    pair.pass_first(b"hello");
    pair.complete();
    relay.scrape().assert_counts(&[
        (r#"rdv_relayed_bytes_total{path="copied"}"#, 5),
        (r#"rdv_relayed_bytes_total{path="spliced"}"#, 0),
        (r#"rdv_streams{state="FINISHED"}"#, 1),
        (r#"rdv_streams{state="STREAMING"}"#, 0),
        (r#"rdv_streams_ended_total{outcome="FINISHED"}"#, 1),
        (r#"rdv_requests_total{route="source",status="200"}"#, 1),
        (r#"rdv_requests_total{route="destination",status="200"}"#, 1),
        ("rdv_pairing_wait_seconds_count", 1),
        ("rdv_transfer_duration_seconds_count", 1),
    ]);
}

#[test]
fn an_interrupted_upload_is_counted_with_the_statuses_its_sides_got() {
    let relay = Observed::start(&[]);
    let mut pair = relay.pair(Framing::Length(100));
    pair.pass_first(b"hello");
    pair.source.leave(Disconnect::Close);
    relay.await_state(&pair.id, "SRC_DISCONNECTED");
    relay.scrape().assert_counts(&[
        (r#"rdv_requests_total{route="destination",status="200"}"#, 1),
        (r#"rdv_streams_ended_total{outcome="SRC_DISCONNECTED"}"#, 1),
        ("rdv_transfer_duration_seconds_count", 1),
    ]);
}

#[test]
fn a_pairing_left_at_once_is_counted_and_ends_no_stream() {
    let relay = Observed::start(&[]);
    let mut pair = relay.pair(Framing::Length(5));
    pair.destination.leave(Disconnect::Close);
    relay.await_state(&pair.id, "SRC_CONNECTED");
    relay.scrape().assert_counts(&[
        (r#"rdv_streams{state="SRC_CONNECTED"}"#, 1),
        (r#"rdv_streams{state="STREAMING"}"#, 0),
        (r#"rdv_streams_ended_total{outcome="DST_DISCONNECTED"}"#, 0),
        ("rdv_pairing_wait_seconds_count", 1),
        ("rdv_transfer_duration_seconds_count", 1),
    ]);
    pair.source.send("hello");
    assert_eq!(relay.get(&format!("/stream/{}", pair.id)).text(), "hello");
    assert_uploaded(&pair.source.response());
    relay.scrape().assert_counts(&[
        (r#"rdv_streams_ended_total{outcome="FINISHED"}"#, 1),
        (r#"rdv_requests_total{route="destination",status="200"}"#, 1),
        ("rdv_pairing_wait_seconds_count", 2),
        ("rdv_transfer_duration_seconds_count", 2),
    ]);
}

#[test]
fn the_pairing_wait_starts_with_the_first_side() {
    let relay = Observed::start(&[]);
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    let mut source = relay.connect();
    source.ask(&Framing::Length(0).put(&id));
    assert_uploaded(&source.response());
    assert_eq!(destination.response().status(), 200);
    let scrape = relay.scrape();
    scrape.assert_counts(&[("rdv_pairing_wait_seconds_count", 1)]);
    // Both requests are read in different turns, each with its own clock reading.
    assert!(scrape.value("rdv_pairing_wait_seconds_sum") > 0.0);
}

#[test]
fn every_turn_of_the_loop_is_timed() {
    let relay = Observed::start(&[]);
    let turns =
        |scrape: &crate::support::Scrape| scrape.value("rdv_loop_turn_duration_seconds_count");
    let before = turns(&relay.scrape());
    relay.await_turn();
    relay.await_turn();
    let after = turns(&relay.scrape());
    assert!(after >= before + 2.0, "{before} and {after}");
}

#[test]
fn no_series_contains_data_of_a_client() {
    let relay = Observed::start(&[]);
    let id = relay.create();
    relay.get(&format!("/stream/{id}/status"));
    relay.get("/needle/in/a/haystack?needle=1");
    relay.exchange(&ask("NEEDLE", "/ping").field("User-Agent", "needle"));
    relay
        .exchange(&ask("PUT", &format!("/stream/{id}/needle")).length(0).field("Expect", "needle"));
    let text = relay.admin_exchange(&ask("GET", "/metrics")).text().to_ascii_lowercase();
    assert!(!text.contains("needle"), "{text}");
    assert!(!text.contains(&id), "{text}");
    assert!(!text.contains("127.0.0.1"), "{text}");
}

/// More than the kernel's buffers and a pipe accept from a source whose reader stalls.
const LARGE: usize = 24 << 20;

#[test]
fn stalled_readers_leave_the_pipes_to_streams_that_move() {
    let relay = Observed::start(&["--max-pipes", "4"]);
    let spliced = || relay.scrape().value(r#"rdv_relayed_bytes_total{path="spliced"}"#);
    let data = pattern(9, LARGE + 8);
    let mut stalled: Vec<(&[u8], Vec<u8>, Pair)> = (0..8)
        .map(|index| {
            let framing = if index < 4 { Framing::Length(LARGE) } else { Framing::Chunked };
            let content = &data[index..index + LARGE];
            let body = match framing {
                Framing::Chunked => chunks(content, &[64 << 10]),
                Framing::Length(_) => content.to_vec(),
            };
            let mut pair = relay.narrow_pair(framing);
            let sent = relay.fill(&mut pair.source, &body);
            assert!(sent < LARGE, "the reader stalls");
            (content, body[sent..].to_vec(), pair)
        })
        .collect();
    // A reader counts as stalled only after a while.
    eventually("a stream is spliced from its first to its last byte", || {
        let before = spliced();
        let mut pair = relay.pair(Framing::Length(4 << 20));
        pair.pass_first(&data[..4 << 20]);
        pair.complete();
        (spliced() - before >= f64::from(4 << 20)).then_some(())
    });
    for (content, rest, pair) in &mut stalled {
        let mut sender = pair.source.sender();
        thread::scope(|scope| {
            scope.spawn(|| sender.write_all(rest).expect("the rest"));
            let download = pair.destination.response();
            assert_eq!(download.ending, Ending::Complete, "{:?}", pair.framing);
            assert!(download.body == *content, "every byte in its place: {:?}", pair.framing);
        });
    }
}
