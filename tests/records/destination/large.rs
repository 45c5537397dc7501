//! Records much larger than the memory for them, and many small ones.

use std::io::{self, Write as _};
use std::thread;

use rdv::connector::record::Record;

use crate::destination::record_server::{
    RecordServer, Reply, ack, assert_ends, record, records, run, start,
};
use crate::server::Server;
use crate::support::{Process, eventually, is_pattern, pattern};

const LENGTH: usize = 64 << 20;

/// Maximum resident memory of the process at any time, including the program itself.
const RESIDENT_MAX_KIB: u64 = 24 << 10;

/// Peak memory of the process, in KiB.
fn resident_max_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

fn assert_small(process: &Process) {
    let kib = resident_max_kib(process);
    assert!(kib <= RESIDENT_MAX_KIB, "{kib} KiB");
}

/// Writes in a separate thread, and leaves the input open.
fn write(mut input: io::PipeWriter, text: String) -> thread::JoinHandle<io::PipeWriter> {
    thread::spawn(move || {
        input.write_all(text.as_bytes()).expect("it is read");
        input
    })
}

#[test]
fn a_large_record_is_sent_and_retried_with_little_memory() {
    let server = RecordServer::new(|at, _| Reply::Status(if at == 0 { 503 } else { 201 }));
    let (process, input) = start(&["--url", &server.url()]);
    let content = pattern(5, LENGTH);
    let input = write(input, record("p", "k", &content) + &record("q", "k", b"small"));
    let input = input.join().unwrap();
    let both = ack("p") + &ack("q");
    for _ in 0..2 {
        let request = server.recv_request();
        assert_eq!(request.field("content-length"), Some(&*LENGTH.to_string()));
        assert_eq!(request.field("idempotency-key"), Some("p"));
        is_pattern(5, LENGTH, &request.body).unwrap_or_else(|why| panic!("{why}"));
    }
    assert_eq!(server.recv_request().body, b"small");
    eventually("both are acknowledged", || (process.stdout() == both).then_some(()));
    assert_small(&process);
    drop(input);
    assert_ends(&process.finish(), 0, &[]);
}

#[test]
fn a_large_record_can_be_the_body_or_a_dead_letter() {
    let server = RecordServer::new(|_, _| Reply::Status(422));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dead.jsonl");
    let temporary = directory.path().to_str().unwrap();
    let flags = ["--url", &server.url(), "--body", "record", "--temporary", temporary];
    let dead = ["--dead-letter", path.to_str().unwrap()];
    let (process, input) = start(&[&flags[..], &dead].concat());
    let line = record("p", "k", &pattern(6, 5 << 20));
    let input = write(input, line.clone()).join().unwrap();
    let body = server.recv_request().body;
    assert!(body == line.trim_end().as_bytes(), "the unchanged record");
    eventually("it is acknowledged", || (process.stdout() == ack("p")).then_some(()));
    assert_small(&process);
    drop(input);
    assert_ends(&process.finish(), 0, &[]);
    let letter = Record::parse(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(letter.metadata["rdv.destination.status"], "422");
    let original = Record::parse(line.as_bytes()).unwrap();
    assert!(letter.payload == original.payload, "all of its content");
    let files = std::fs::read_dir(temporary).unwrap().count();
    assert_eq!(files, 1, "no temporary file has a name");
}

#[test]
fn a_refused_large_record_is_not_sent_to_its_end() {
    let server = Server::start(|connection| {
        let request = connection.head()?;
        connection.send("HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n")?;
        // Neither reads on nor closes: a response has to be enough.
        connection.await_release()?;
        Ok(Some(request))
    });
    let flags = ["--url", &server.url(), "--no-ping"];
    let finished = run(&flags, &record("p", "k", &pattern(7, 8 << 20)));
    assert_ends(&finished, 5, &["413", "1 try"]);
    server.release();
    assert_eq!(server.request().field("content-length"), Some("8388608"));
}

#[test]
fn a_success_that_is_sent_too_early_is_neither_a_delivery_nor_retried() {
    let server = Server::start(|connection| {
        let request = connection.head()?;
        connection.send("HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n")?;
        connection.await_release()?;
        Ok(Some(request))
    });
    let flags = ["--url", &server.url(), "--no-ping"];
    let finished = run(&flags, &record("p", "k", &pattern(7, 8 << 20)));
    assert_ends(&finished, 5, &["200", "1 try", "before the request was received"]);
    assert_eq!(finished.stdout, "");
    server.release();
}

#[test]
fn memory_does_not_grow_with_the_number_of_records() {
    let server = RecordServer::accepting();
    let (process, input) = start(&["--url", &server.url(), "--parallel", "4"]);
    let input = write(input, records(20_000)).join().unwrap();
    let lines = || process.stdout().lines().count();
    crate::support::eventually("half of them", || (lines() > 2_000).then_some(()));
    assert_small(&process);
    drop(input);
    drop(process);
}
