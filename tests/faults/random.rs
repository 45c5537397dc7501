//! Commands without random bytes: each works without them, or fails with one line.
//!
//! The standard library reads `/dev/urandom` instead, for its hash maps.

use std::fs;
use std::thread;

use crate::injected::Fault;
use crate::support::{ClosedPort, Relay};

const FAULT: Fault<'_> = Fault { call: "getrandom", error: "ENOSYS", when: "1+" };

#[test]
fn without_random_bytes_a_command_that_needs_some_fails_with_one_line() {
    let (closed, directory) = (ClosedPort::new(), tempfile::tempdir().expect("a directory"));
    let place = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let (file, output) = (place("file"), place("output"));
    fs::write(&file, "content").expect("a file");
    let url = format!("http://{}", closed.address());
    let listen = ["--listen", "127.0.0.1:0"];
    for (name, arguments, status, what) in [
        ("post", &["post", &url, &file][..], 1, "cannot create a boundary: "),
        ("expose", &["expose", "--relay", &url, "8000"], 1, "cannot create a secret: "),
        (
            "call",
            &["call", "--relay", &url, "--retries", "0", "GET", "/"],
            7,
            "cannot create a WebSocket key: ",
        ),
        ("source", &["source", listen[0], listen[1], "--output", &output], 1, ""),
        (
            "source --relay",
            &["source", "--relay", &url, "--output", &output],
            1,
            "cannot create a record: ",
        ),
        ("serve", &["serve", listen[0], listen[1]], 1, ""),
    ] {
        let end = FAULT.run(arguments);
        let why = "cannot read random bytes: function not implemented; \
                   is the system call getrandom permitted?";
        assert_eq!(end.stderr, format!("rdv: {what}{why}\n"), "{name}");
        assert_eq!(end.status.code(), Some(status), "{name}");
    }
}

#[test]
fn a_transfer_needs_no_random_bytes() {
    let relay = Relay::start(&[]);
    let url = relay.url(&format!("/stream/{}", relay.create()));
    let directory = tempfile::tempdir().expect("a directory");
    let (sent, received) = (directory.path().join("sent"), directory.path().join("received"));
    fs::write(&sent, "content").expect("a file");
    thread::scope(|scope| {
        let sending =
            scope.spawn(|| FAULT.run(&["send", "--stream", &url, &sent.to_string_lossy()]));
        let end = FAULT.run(&["receive", "-q", "-o", &received.to_string_lossy(), &url]);
        assert!(end.status.success(), "{}", end.stderr);
        let end = sending.join().expect("it runs");
        assert!(end.status.success(), "{}", end.stderr);
    });
    assert_eq!(fs::read_to_string(&received).expect("it was received"), "content");
}

#[test]
fn a_retry_needs_no_random_bytes() {
    let (closed, directory) = (ClosedPort::new(), tempfile::tempdir().expect("a directory"));
    let records = directory.path().join("records");
    fs::write(&records, "{\"position\":\"cA==\",\"operation\":\"delete\"}\n").expect("a file");
    let (input, url) = (records.to_string_lossy(), format!("http://{}", closed.address()));
    let flags = ["--no-ping", "--retries", "1", "--backoff", "1ms"];
    let arguments = [&["destination", "--input", &input, "--url", &url][..], &flags].concat();
    let end = FAULT.run(&arguments);
    assert!(end.stderr.contains("was not delivered (2 tries)"), "{}", end.stderr);
    assert_eq!(end.status.code(), Some(7), "{}", end.stderr);
}
