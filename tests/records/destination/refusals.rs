//! Records refused by the server: which are retried and how often, and where failed ones are kept.

use std::fs;

use rdv::connector::record::{Data, Record};

use crate::destination::record_server::{
    RecordServer, Reply, ack, acks, assert_ends, record, records, run, start,
};
use crate::support::eventually;

#[test]
fn client_errors_are_not_retried() {
    for status in [400, 401, 404, 413, 422, 301, 302, 304, 308] {
        let server =
            RecordServer::new(move |at, _| Reply::Status(if at == 1 { status } else { 201 }));
        let finished = run(&["--url", &server.url()], &records(3));
        assert_ends(&finished, 5, &["MQ==", "1 try", &status.to_string()]);
        assert_eq!(finished.stdout, acks(1), "{status}");
        assert_eq!(server.bodies(), ["0", "1"], "{status}: none after it is sent");
    }
}

#[test]
fn other_statuses_are_retried_with_the_same_idempotency_key() {
    for status in [403, 408, 409, 429, 500, 502, 503, 504] {
        let server = RecordServer::new(move |_, _| Reply::Status(status));
        let finished = run(&["--url", &server.url(), "--retries", "2"], &records(2));
        assert_ends(&finished, 5, &["MA==", "3 tries", &status.to_string()]);
        assert_eq!(finished.stdout, "", "{status}");
        let all = server.all();
        let keys: Vec<_> = all.iter().map(|one| one.field("idempotency-key").unwrap()).collect();
        assert_eq!(keys, ["0", "0", "0"], "{status}");
    }
}

#[test]
fn a_record_is_delivered_after_retries() {
    let server = RecordServer::new(|at, _| Reply::Status(if at < 3 { 500 } else { 201 }));
    let finished = run(&["--url", &server.url()], &records(2));
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout, acks(2));
    assert_eq!(server.bodies(), ["0", "0", "0", "0", "1"]);
}

#[test]
fn retry_after_is_capped_at_the_longest_pause() {
    let asks = "HTTP/1.1 503 X\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    let server = RecordServer::new(move |at, _| match at {
        0 => Reply::Text(asks.into()),
        _ => Reply::Status(201),
    });
    let finished = run(&["--url", &server.url()], &records(1));
    assert_ends(&finished, 0, &[]);
    assert_eq!(server.bodies(), ["0", "0"]);
}

#[test]
fn a_lost_connection_counts_as_an_attempt() {
    for (name, printed) in [("before the answer", ""), ("within it", "HTTP/1.1 201 Cre")] {
        let server = RecordServer::new(move |at, _| match at {
            0 => Reply::Reset(printed),
            _ => Reply::Status(201),
        });
        let flags = ["--url", &server.url(), "--no-ping", "--retries", "1"];
        let finished = run(&flags, &records(1));
        assert_ends(&finished, 0, &[]);
        assert_eq!(server.bodies(), ["0", "0"], "{name}");
        assert_eq!(server.inner.connections(), 2, "{name}: on another connection");
    }
    let server = RecordServer::new(|_, _| Reply::Reset(""));
    let finished = run(&["--url", &server.url(), "--no-ping", "--retries", "1"], &records(1));
    assert_ends(&finished, 7, &["MA==", "2 tries"]);
}

#[test]
fn an_unresponsive_server_times_out() {
    let server = RecordServer::new(|_, _| Reply::Silent);
    // The ping has the same timeout, and this server could be late.
    let flags = ["--url", &server.url(), "--no-ping", "--timeout", "100ms", "--retries", "1"];
    let finished = run(&flags, &records(1));
    assert_ends(&finished, 7, &["MA==", "2 tries", "nothing within 100ms"]);
    // It may read them later.
    let _tries = [server.recv_request(), server.recv_request()];
    assert_eq!(server.bodies().len(), 0);
}

#[test]
fn messages_of_the_server_are_escaped() {
    let printed = "no\u{1b}[2Jgood\r\nat all";
    let text = format!("HTTP/1.1 422 X\r\nContent-Length: {}\r\n\r\n{printed}", printed.len());
    let server = RecordServer::new(move |_, _| Reply::Text(text.clone()));
    let finished = run(&["--url", &server.url()], &records(1));
    assert_ends(&finished, 5, &["422", "good"]);
    assert!(!finished.stderr.contains('\u{1b}'), "{}", finished.stderr);
}

#[test]
fn dead_letters_are_complete_records_and_acknowledged() {
    let server = RecordServer::new(|_, request| match &request.body[..] {
        b"1" => Reply::Status(422),
        b"2" => Reply::Reset(""),
        b"3" => Reply::Status(500),
        _ => Reply::Status(201),
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dead.jsonl");
    let flags = ["--url", &server.url(), "--retries", "1", "--dead-letter", path.to_str().unwrap()];
    let finished = run(&flags, &records(5));
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout, acks(5));
    let letters = fs::read_to_string(&path).unwrap();
    let letters: Vec<_> =
        letters.lines().map(|line| Record::parse(line.as_bytes()).unwrap()).collect();
    let printed = |at: usize, name: &str| letters[at].metadata.get(name).map(String::as_str);
    for (at, status, attempts) in [(0, Some("422"), "1"), (1, None, "2"), (2, Some("500"), "2")] {
        let number = (at + 1).to_string();
        assert_eq!(letters[at].position, number.as_bytes());
        assert_eq!(letters[at].payload.after, Some(Data::Raw(number.into_bytes())));
        assert_eq!(printed(at, "rdv.destination.status"), status);
        assert_eq!(printed(at, "rdv.destination.attempts"), Some(attempts));
        let error = printed(at, "rdv.destination.error").unwrap();
        assert!(error.contains(status.unwrap_or("127.0.0.1")), "{error}");
    }
    assert_eq!(letters.len(), 3);

    // The existing contents are kept, and can be sent again.
    let well = RecordServer::accepting();
    let finished = run(&["--url", &well.url(), "--input", path.to_str().unwrap()], "");
    assert_ends(&finished, 0, &[]);
    assert_eq!(well.bodies(), ["1", "2", "3"]);
    run(&flags, &records(2));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
}

#[test]
fn a_dead_letter_file_is_locked_and_must_end_with_a_complete_line() {
    let server = RecordServer::accepting();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let url = server.url();
    let flags = ["--url", &url, "--dead-letter", path];
    let (process, input) = start(&flags);
    std::io::Write::write_all(&mut &input, record("p", "k", b"x").as_bytes()).unwrap();
    eventually("it runs", || (process.stdout() == ack("p")).then_some(()));
    assert_ends(&run(&flags, ""), 1, &[path, "another process"]);
    drop(input);
    process.finish();
    fs::write(file.path(), "{\"position\":").unwrap();
    assert_ends(&run(&flags, ""), 1, &[path, "incomplete"]);
    for word in ["-", "stdout", "Stderr"] {
        let finished = run(&["--url", &url, "--dead-letter", word], "");
        assert_ends(&finished, 2, &["--dead-letter", &format!("expected a file; ./{word} is one")]);
    }
    let nowhere = ["--url", &url, "--dead-letter", "/nowhere/at/all"];
    assert_ends(&run(&nowhere, ""), 1, &["/nowhere/at/all"]);
}

#[test]
fn an_invalid_record_ends_the_command_after_the_previous_ones() {
    for (name, line, hint) in [
        ("no JSON", "hello\n", "not a JSON object"),
        ("no operation", "{\"position\":\"cA==\"}\n", "operation"),
        ("cut short", "{\"position\":\"cA==\",", "ended within"),
    ] {
        let server = RecordServer::accepting();
        let input = records(2) + line;
        let finished = run(&["--url", &server.url()], &input);
        assert_ends(&finished, 1, &["standard input, line 3", hint]);
        assert_eq!(finished.stdout, acks(2), "{name}");
    }
}
