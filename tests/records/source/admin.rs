//! Operation of a source: its access log, its metrics, and its health.

use std::fs;

use nix::sys::signal::Signal;

use crate::source::consumer::Place;
use crate::source::process::{SourceProcess, assert_busy, position, post};
use crate::support::{ADMIN, ask, close, eventually};

/// The lines of a log, once there is this number of them.
fn logged(path: &str, count: usize) -> Vec<String> {
    eventually(&format!("{count} lines in {path}"), || {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        assert!(lines.len() <= count, "{text}");
        (lines.len() == count && text.ends_with('\n')).then_some(lines)
    })
}

#[test]
fn each_request_is_logged_in_the_access_log() {
    let place = Place::new();
    let log = place.output();
    let source = SourceProcess::start(&["--access-log", &log, "--path", "/a"]);
    let mut wire = source.connect();
    wire.exchange(&ask("POST", "/a?b").body("x"));
    wire.exchange(&ask("PUT", "/a").body("x"));
    wire.exchange(&ask("POST", "/b").body("x"));
    let lines = logged(&log, 3);
    let rows = [r#""POST /a?b" 201 "#, r#""PUT /a" 405 "#, r#""POST /b" 404 "#];
    for (line, words) in lines.iter().zip(rows) {
        assert!(line.contains(words), "{words} is not in {line}");
    }
}

#[test]
fn signals_reopen_the_access_log() {
    for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
        let place = Place::new();
        let log = place.output();
        let source = SourceProcess::start(&["--access-log", &log]);
        assert_eq!(source.post("x").status(), 201);
        logged(&log, 1);
        let old = format!("{log}.1");
        fs::rename(&log, &old).expect("renamed");
        source.signal(signal);
        eventually("the log is created again", || fs::metadata(&log).ok());
        assert_eq!(source.post("y").status(), 201);
        logged(&log, 1);
        logged(&old, 1);
        let finished = source.end();
        assert_eq!(finished.stdout.lines().count(), 2, "{signal}: {}", finished.stderr);
    }
}

#[test]
fn records_and_the_access_log_must_be_separate_files() {
    let flags = ["--access-log", "-"];
    let finished =
        crate::support::Process::start(crate::source::process::source_command(&flags)).finish();
    assert_eq!(finished.status.code(), Some(2));
    let expected = "rdv: records go to standard output; give --access-log a file\n";
    assert_eq!(finished.stderr, expected);
}

#[test]
fn pushes_and_refusals_are_counted() {
    let place = Place::new();
    let flags = ["--max-body", "1KiB", "--queue", "1", "--consumer-timeout", "3s"];
    let source =
        SourceProcess::start(&[&ADMIN[..], &flags, &["--output", &place.socket()]].concat());
    let listener = place.listen();
    let consumer = crate::source::consumer::accept(&listener);
    for _ in 0..3 {
        position(&source.post("x"));
    }
    assert_eq!(source.post("x".repeat(2000)).status(), 413);
    assert_eq!(source.exchange(&ask("GET", "/")).status(), 405);
    source.scrape().assert_counts(&[
        (r#"rdv_requests_total{route="push",status="201"}"#, 3),
        (r#"rdv_requests_total{route="push",status="413"}"#, 1),
        (r#"rdv_connections{phase="pushing"}"#, 0),
    ]);
    close(listener);
    drop(consumer);
    source.await_stderr("the consumer disconnected");
    let mut waits = source.start_post("waits");
    source.await_waiting(1);
    assert_busy("the queue is full", &source.post("y"), "Record limit of this source");
    assert_busy("no consumer", &waits.response(), "No consumer is connected");
    source.scrape().assert_counts(&[
        (r#"rdv_refusals_total{reason="records"}"#, 1),
        (r#"rdv_refusals_total{reason="consumer_gone"}"#, 1),
    ]);
}

#[test]
fn health_is_served_on_the_admin_listener() {
    let source = SourceProcess::start(&ADMIN);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(source.operate(&ask("GET", path)).status(), 200, "{path}");
        assert_eq!(source.exchange(&ask("GET", path)).status(), 405, "{path} is for operators");
    }
    assert_eq!(source.exchange(&post("x")).status(), 201);
}

#[test]
fn a_suspended_source_refuses_records() {
    let source = SourceProcess::start(&ADMIN);
    let mut wire = source.connect();
    assert_eq!(source.operate(&ask("POST", "/control/suspend")).status(), 200);
    let answer = wire.exchange(&post("x"));
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert_eq!(source.operate(&ask("POST", "/control/resume")).status(), 200);
    assert_eq!(wire.exchange(&post("y")).status(), 201);
    assert_eq!(source.end().stdout.lines().count(), 1);
}
