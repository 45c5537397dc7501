//! Both commands in a pipe, with acknowledgements through a FIFO, as in docs/connector.md.

use std::fs::{File, OpenOptions};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;

use nix::sys::stat::Mode;

use crate::destination::record_server::{self, RecordServer, Reply};
use crate::support::{Process, Wire, ask};
use crate::together::ends::Source;
use crate::together::tally::{Tally, body};

/// `rdv source --ack < acks | rdv destination --url URL > acks`, with these flags of the source.
fn piped(server: &RecordServer, flags: &[&str]) -> (Source, Process) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("acks");
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    // Opening either end blocks until the other is opened.
    let (acks_in, acks_out) = thread::scope(|scope| {
        let reader = scope.spawn(|| File::open(&path).unwrap());
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        (reader.join().unwrap(), writer)
    });
    let (records_in, records_out) = std::io::pipe().unwrap();
    let command = record_server::command(&["--url", &server.url(), "--parallel", "8"]);
    let destination = Process::between(command, records_in.into(), acks_out.into());
    let flags = [&["--ack", "--key", "header:X-Key"], flags].concat();
    let ends: (Stdio, Stdio) = (acks_in.into(), records_out.into());
    (Source::between(0, &flags, ends), destination)
}

/// A connection on which this body was sent, with this key.
fn sent(source: &Source, key: &str, body: &str) -> Wire {
    let mut wire = Wire::connect(source.address);
    wire.ask(&ask("POST", "/in").field("X-Key", key).body(body));
    wire
}

fn assert_created(wire: &mut Wire, body: &str, tally: &Tally) {
    let answer = wire.response();
    assert_eq!(answer.status(), 201, "{body}: {}", answer.text());
    assert!(tally.has(body), "{body} is not at the server");
}

#[test]
fn each_sender_waits_only_for_its_own_record() {
    let tally = Arc::new(Tally::default());
    let noting = Arc::clone(&tally);
    let held = body("held", 0, 0);
    let is_held = held.clone();
    let server = RecordServer::new(move |_, request| {
        if request.body == is_held.as_bytes() {
            noting.record_request(request);
            return Reply::Held(201);
        }
        noting.record_success(request);
        Reply::Status(201)
    });
    let (source, destination) = piped(&server, &[]);
    let mut waiting = sent(&source, "held", &held);
    tally.await_arrivals(1);
    let mut others: Vec<_> = (0..200)
        .map(|number| {
            let key = number.to_string();
            let body = body(&key, 1, 0);
            (sent(&source, &key, &body), body)
        })
        .collect();
    // A worker has several keys, so some of them wait with the blocked one.
    tally.await_arrivals(101);
    let answered = others.extract_if(.., |(_, body)| tally.has(body));
    for (mut wire, body) in answered.collect::<Vec<_>>() {
        assert_created(&mut wire, &body, &tally);
    }
    waiting.assert_silent();
    server.inner.release();
    assert_eq!(waiting.response().status(), 201);
    for (mut wire, body) in others {
        assert_created(&mut wire, &body, &tally);
    }
    source.end();
    let finished = destination.finish();
    assert_eq!(finished.status.code(), Some(0), "it ends with its input: {}", finished.stderr);
}

#[test]
fn a_refused_record_ends_both_commands_and_is_not_confirmed() {
    let server = RecordServer::new(|_, request| match &request.body[..] {
        b"bad" => Reply::Status(400),
        _ => Reply::Status(201),
    });
    let (source, destination) = piped(&server, &["--consumer-timeout", "1s"]);
    assert_eq!(sent(&source, "k", "good").response().status(), 201);
    let answer = sent(&source, "k", "bad").response();
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert!(answer.head.get("Retry-After").is_some());
    let finished = destination.finish();
    assert_eq!(finished.status.code(), Some(5), "{}", finished.stderr);
    assert!(finished.stderr.contains("400"), "{}", finished.stderr);
    let finished = source.process.finish();
    assert_eq!(finished.status.code(), Some(4), "{}", finished.stderr);
    assert!(finished.stderr.contains("consumer"), "{}", finished.stderr);
    assert_eq!(server.bodies(), ["good", "bad"]);
}
