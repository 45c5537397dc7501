//! Records through the streams of a relay: from a destination to a source, and each with curl.

use std::thread;

use rdv::connector::record::{Data, Record};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::destination::record_server::{ack, record};
use crate::support::{Process, Relay, Wire, ask, eventually, is_pattern, node, pattern, peak_of};
use crate::together::workdir::{Workdir, assert_complete, assert_ended};

/// Bytes of a large record.
const LARGE: usize = 48 << 20;

/// Maximum memory of either end during the transfer of a large record. Debug builds take about
/// 13,000 for the program itself.
const PEAK_MAX_KIB: u64 = 32 << 10;

/// The stream printed by a command on standard error.
fn stream_of(process: &Process) -> String {
    eventually("the stream is named", || {
        let stderr = process.stderr();
        let line = stderr.split_once('\n')?.0;
        let line: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        Some(line["stream"].as_str().expect("a stream").to_owned())
    })
}

/// An `rdv source` that waits for an upload, and the stream for it.
fn waiting(here: &Workdir, relay: &Relay, flags: &[&str]) -> (Process, String) {
    let url = relay.url("");
    let source = here.start(&[&["source", "--relay", &url], flags].concat());
    let stream = stream_of(&source);
    relay.await_state(id_of(&stream), "DST_CONNECTED");
    (source, stream)
}

fn id_of(stream: &str) -> &str {
    stream.rsplit_once('/').expect("a stream's URL").1
}

/// The raw bytes of a record's content.
fn content(record: Record) -> Vec<u8> {
    match record.payload.after {
        Some(Data::Raw(bytes)) => bytes,
        other => panic!("no raw bytes, but {other:?}"),
    }
}

#[test]
fn a_large_record_passes_end_to_end_with_little_memory() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("in", record("p", "k", &pattern(3, LARGE)));
    let (source, stream) = waiting(&here, &relay, &["--output", "out"]);
    let input = std::fs::File::open(here.path("in")).unwrap();
    let temporary = here.directory().to_str().unwrap();
    let flags = ["destination", "--relay", &stream, "--temporary", temporary];
    let destination = here.start_with_input(&flags, input);
    // Before that it has read all of its input, which takes a while.
    relay.await_state(id_of(&stream), "STREAMING");
    let taken = thread::spawn(|| peak_of(source));
    let (sent, sent_kib) = peak_of(destination);
    let (taken, taken_kib) = taken.join().expect("the source");
    assert_complete("destination", &sent);
    assert_complete("source", &taken);
    assert_eq!(sent.stdout, ack("p"));
    let record = Record::parse(here.read("out").trim_ascii_end()).unwrap();
    is_pattern(3, LARGE, &content(record)).unwrap_or_else(|why| panic!("{why}"));
    println!("source {taken_kib} KiB, destination {sent_kib} KiB");
    for peak_kib in [sent_kib, taken_kib] {
        assert!((1..=PEAK_MAX_KIB).contains(&peak_kib), "{peak_kib} KiB");
    }
}

#[test]
fn a_destination_sends_records_through_a_relay_to_curl() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("in", record("p", "k", b"content"));
    let input = std::fs::File::open(here.path("in")).unwrap();
    let url = relay.url("");
    let destination = here.start_with_input(&["destination", "--relay", &url], input);
    let fetched = here.curl(&["-f", &stream_of(&destination)]).finish();
    assert_complete("curl", &fetched);
    assert_eq!(fetched.output, b"content");
    let finished = destination.finish();
    assert_complete("destination", &finished);
    assert_eq!(finished.stdout, ack("p"));
}

#[test]
fn records_pass_through_another_node_than_that_of_the_stream() {
    let (a, b) = (node(&[]), node(&[]));
    for bytes in [0, 1 << 20] {
        let here = Workdir::at(&a);
        here.put("in", record("p", "k", &pattern(3, bytes)));
        let input = || std::fs::File::open(here.path("in")).unwrap();
        let (source, stream) = waiting(&here, &a, &["--output", "out"]);
        let there = stream.replace(&a.url(""), &b.url(""));
        let destination = here.start_with_input(&["destination", "--relay", &there], input());
        assert_complete("destination", &destination.finish());
        assert_complete("source", &source.finish());
        let (first, url) = (here.read("out"), a.url(""));
        let destination = here.start_with_input(&["destination", "--relay", &url], input());
        let there = stream_of(&destination).replace(&a.url(""), &b.url(""));
        assert_complete("source", &here.run(&["source", "--relay", &there, "--output", "out"]));
        assert_complete("destination", &destination.finish());
        for output in [first, here.read("out")] {
            let last = output.trim_ascii_end().split(|byte| *byte == b'\n').next_back();
            let data = Record::parse(last.expect("a line")).unwrap().payload.after;
            let expected = (bytes > 0).then(|| Data::Raw(pattern(3, bytes)));
            assert!(data == expected, "{bytes}");
        }
    }
}

#[test]
fn an_upload_becomes_a_record_with_its_content_type() {
    let rows = [
        ("raw", "text/plain", "a b", &[][..], Data::Raw(b"a b".to_vec())),
        (
            "structured",
            "application/json",
            "{ \"a\": 1.10 }",
            &["--structured"][..],
            Data::Structured(RawValue::from_string("{\"a\":1.10}".into()).unwrap()),
        ),
    ];
    for (what, kind, body, flags, expected) in rows {
        let relay = Relay::start(&[]);
        let here = Workdir::at(&relay);
        let (source, stream) = waiting(&here, &relay, flags);
        here.put("body", body);
        let kind_field = format!("Content-Type: {kind}");
        let uploaded = here.curl(&["-f", "-T", "body", "-H", &kind_field, &stream]).finish();
        assert_complete(what, &uploaded);
        let finished = source.finish();
        assert_complete(what, &finished);
        let record = Record::parse(finished.stdout.trim_end().as_bytes()).unwrap();
        assert_eq!(record.payload.after, Some(expected), "{what}");
        assert_eq!(record.metadata["rdv.source.content_type"], kind, "{what}");
        let path = stream.strip_prefix(&relay.url("")).unwrap();
        assert_eq!(record.metadata["rdv.source.path"], path, "{what}");
    }
}

#[test]
fn a_large_upload_needs_its_space_on_disk() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let none = here.run(&["source", "--relay", &relay.url(""), "--spill-dir", "none"]);
    assert_ended("no directory", &none, 1, "none: no such file or directory");
    assert!(!none.stderr.contains("stream"), "none is used up: {}", none.stderr);
    let (source, stream) = waiting(&here, &relay, &["--spill-max", "2MiB"]);
    here.put("body", pattern(1, 3 << 20));
    here.curl(&["-T", "body", &stream]).finish();
    let finished = source.finish();
    assert_ended("the source", &finished, 1, "reached --spill-max (2097152 bytes)");
    assert_eq!(finished.stdout, "");
}

#[test]
fn invalid_json_is_rejected() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let (source, stream) = waiting(&here, &relay, &["--structured"]);
    here.put("body", "{\"a\":");
    here.curl(&["-T", "body", "-H", "Content-Type: application/json", &stream]).finish();
    let finished = source.finish();
    assert_ended("the source", &finished, 5, "JSON");
    assert_eq!(finished.stdout, "");
}

#[test]
fn no_sender_is_exit_status_3() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let url = relay.url("");
    let finished = here.run(&["source", "--relay", &url, "--ttl", "1s"]);
    assert_eq!(finished.status.code(), Some(3), "{}", finished.stderr);
    let lines: Vec<_> = finished.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "the stream, and why it ended: {lines:?}");
    assert_eq!(finished.stdout, "");
}

#[test]
fn an_interrupted_upload_is_exit_status_4_and_no_record() {
    // Once in the part kept in memory, and once in the part on disk.
    for sent in [100, 2 << 20] {
        let relay = Relay::start(&[]);
        let here = Workdir::at(&relay);
        let (source, stream) = waiting(&here, &relay, &[]);
        let path = stream.strip_prefix(&relay.url("")).unwrap();
        let mut uploader = Wire::connect(relay.address());
        uploader.ask(&ask("PUT", path).length(4 << 20).raw_body(&pattern(1, sent)));
        eventually("the transfer is in progress", || {
            let status = relay.status(id_of(&stream));
            (status["bytes_transferred"].as_u64() == Some(sent as u64)).then_some(())
        });
        drop(uploader);
        let finished = source.finish();
        assert_eq!(finished.status.code(), Some(4), "{sent} bytes: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{sent} bytes");
    }
}
