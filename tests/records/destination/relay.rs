//! Records through the streams of a relay, with curl at the other end.

use std::io::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::destination::record_server::{ack, assert_ends, record, run, start};
use crate::support::{ClosedPort, Relay, eventually, is_pattern, pattern};

fn fetch(url: &str) -> Vec<u8> {
    let output = Command::new("curl").args(["-sSf", "--noproxy", "*", url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn each_record_is_sent_through_its_own_announced_stream() {
    let relay = Relay::start(&[]);
    let (process, mut input) = start(&["--relay", &relay.url("")]);
    let large = pattern(8, 3 << 20);
    let mut expected = String::new();
    for (at, content) in [&b"first"[..], &large, b""].into_iter().enumerate() {
        let position = at.to_string();
        input.write_all(record(&position, "k", content).as_bytes()).unwrap();
        let line = eventually("the stream is named", || {
            let printed = process.stderr();
            printed.rsplit_once('\n')?.0.lines().nth(at).map(str::to_owned)
        });
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(process.stdout(), expected, "it is not acknowledged before it was fetched");
        let fetched = fetch(line["stream"].as_str().unwrap());
        assert!(fetched == content, "{at}: {} bytes", fetched.len());
        expected += &ack(&position);
        eventually("it is acknowledged", || (process.stdout() == expected).then_some(()));
        assert!(ack(&position).contains(line["position"].as_str().unwrap()));
    }
    drop(input);
    assert_ends(&process.finish(), 0, &[]);
    is_pattern(8, 3 << 20, &large).unwrap();
}

#[test]
fn a_receiver_sees_the_coding_of_the_bytes() {
    let relay = Relay::start(&[]);
    let (process, mut input) = start(&["--relay", &relay.url("")]);
    let metadata = r#""metadata":{"rdv.source.content_encoding":"gzip"}"#;
    let line = record("p", "k", b"content").replace(r#""metadata":{}"#, metadata);
    input.write_all(line.as_bytes()).unwrap();
    let line =
        eventually("the stream is named", || Some(process.stderr().split_once('\n')?.0.to_owned()));
    let line: Value = serde_json::from_str(&line).unwrap();
    let url = line["stream"].as_str().unwrap();
    let output = Command::new("curl").args(["-sSfi", "--noproxy", "*", url]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().to_lowercase();
    assert!(text.contains("\r\ncontent-encoding: gzip\r\n") && text.ends_with("content"), "{text}");
    drop(input);
    assert_ends(&process.finish(), 0, &[]);
}

#[test]
fn a_stream_url_accepts_one_record() {
    let relay = Relay::start(&[]);
    let url = relay.url(&format!("/stream/{}", relay.create()));
    let (process, mut input) = start(&["--relay", &url]);
    let both = record("p", "k", b"content") + &record("q", "k", b"more");
    input.write_all(both.as_bytes()).unwrap();
    assert_eq!(fetch(&url), b"content");
    let finished = process.finish();
    assert_ends(&finished, 1, &["cQ==", "one record"]);
    assert_eq!(finished.stdout, ack("p"));
}

#[test]
fn no_receiver_is_exit_status_3_after_a_new_stream_per_attempt() {
    let relay = Relay::start(&["--ttl", "100ms"]);
    let finished = run(&["--relay", &relay.url(""), "--retries", "1"], &record("p", "k", b"x"));
    assert_eq!(finished.status.code(), Some(3), "{}", finished.stderr);
    let lines: Vec<_> = finished.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "two streams, and why: {lines:?}");
    assert!(lines[2].contains("cA==") && lines[2].contains("2 tries"), "{}", lines[2]);
}

#[test]
fn an_unreachable_relay_is_reported() {
    let closed = ClosedPort::new();
    let url = format!("http://{}", closed.address());
    assert_ends(&run(&["--relay", &url], &record("p", "k", b"x")), 7, &["not available"]);
}
