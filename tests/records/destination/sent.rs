//! The request for a record, and the acknowledgement after the response.

use std::io::Write as _;

use crate::destination::record_server::{
    RecordServer, Reply, ack, acks, assert_ends, record, records, run, start,
};
use crate::support::{Authority, Terminator, eventually};

#[test]
fn each_record_is_posted_and_acknowledged() {
    let server = RecordServer::accepting();
    let url = server.url();
    let lines = concat!(
        r#"{"position":"cA==","operation":"create","metadata":{"rdv.source.content_type":"text/csv"},"key":null,"payload":{"before":null,"after":"YSxi"}}"#,
        "\n",
        r#"{"position":"AP8=","operation":"update","payload":{"after":{"n": 1.10}}}"#,
        "\n",
        r#"{"position":"Zm9v","operation":"delete","key":"YQ=="}"#,
    );
    let finished = run(&["--url", &url, "-H", "Authorization: Bearer abc"], lines);
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout, ack("p") + "{\"ack\":\"AP8=\"}\n" + &ack("foo"));
    for (content_type, key, body) in [
        ("text/csv", "p", "a,b"),
        ("application/json", "AP8=", r#"{"n":1.10}"#),
        ("application/octet-stream", "foo", ""),
    ] {
        let request = server.recv_request();
        assert_eq!(request.line, "POST /files?to=here HTTP/1.1");
        assert_eq!(request.field("content-type"), Some(content_type));
        assert_eq!(request.field("idempotency-key"), Some(key));
        assert_eq!(request.field("authorization"), Some("Bearer abc"));
        let agent = format!("rdv/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.field("user-agent"), Some(&*agent));
        assert_eq!(request.field("content-length"), Some(&*body.len().to_string()));
        assert_eq!(String::from_utf8(request.body).unwrap(), body);
    }
    assert_eq!(server.inner.connections(), 1, "one connection for the HEAD and all records");
}

#[test]
fn bytes_are_sent_with_their_coding() {
    let line = |content: &[u8]| {
        let metadata = r#""metadata":{"rdv.source.content_encoding":"gzip"}"#;
        record("p", "k", content).replace(r#""metadata":{}"#, metadata)
    };
    let large = vec![b'x'; 3 << 20];
    for (name, flags, content, expected) in [
        ("small", &[][..], &b"content"[..], "gzip"),
        ("large", &[], &large, "gzip"),
        ("replaced", &["-H", "Content-Encoding: br"], b"content", "br"),
        ("large, replaced", &["-H", "Content-Encoding: br"], &large, "br"),
    ] {
        let server = RecordServer::accepting();
        let finished = run(&[&["--url", &server.url()], flags].concat(), &line(content));
        assert_ends(&finished, 0, &[]);
        let request = server.recv_request();
        assert_eq!(request.field("content-encoding"), Some(expected), "{name}");
        assert!(request.body == content, "{name}");
    }
}

#[test]
fn a_complete_record_can_be_the_body() {
    let server = RecordServer::accepting();
    let line = record("p", "k", b"content");
    let finished = run(&["--url", &server.url(), "--body", "record"], &line);
    assert_ends(&finished, 0, &[]);
    let request = server.recv_request();
    assert_eq!(request.field("content-type"), Some("application/json"));
    assert_eq!(String::from_utf8(request.body).unwrap() + "\n", line);
}

#[test]
fn acknowledgements_do_not_wait_for_more_records() {
    let server = RecordServer::accepting();
    let (process, mut input) = start(&["--url", &server.url()]);
    for count in 1..=3 {
        let at = (count - 1).to_string();
        input.write_all(record(&at, "k", at.as_bytes()).as_bytes()).unwrap();
        eventually("it is acknowledged", || (process.stdout() == acks(count)).then_some(()));
    }
    drop(input);
    assert_ends(&process.finish(), 0, &[]);
}

#[test]
fn a_reused_connection_closed_by_the_server_is_not_an_attempt() {
    let server = RecordServer::new(|_, _| Reply::Closing(201));
    let finished = run(&["--url", &server.url(), "--retries", "0"], &records(20));
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout, acks(20));
    assert_eq!(server.bodies().len(), 20, "and each once");
}

#[test]
fn any_2xx_means_success() {
    let server = RecordServer::new(|at, _| Reply::Status([200, 201, 202, 204, 206, 299][at]));
    let finished = run(&["--url", &server.url()], &records(6));
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout, acks(6));
    assert_eq!(server.bodies().len(), 6, "none is sent twice");
}

#[test]
fn listed_statuses_alone_mean_success_and_another_2xx_is_not_retried() {
    let server = RecordServer::new(|at, _| Reply::Status([202, 409, 201][at]));
    let finished = run(&["--url", &server.url(), "--success", "202,409"], &records(3));
    assert_ends(&finished, 5, &["Mg==", "1 try", "201", "--success"]);
    assert_eq!(finished.stdout, acks(2));
    assert_eq!(server.bodies(), ["0", "1", "2"]);
}

#[test]
fn only_the_given_certificate_authority_is_trusted() {
    let authority = Authority::new();
    let server = RecordServer::accepting();
    let front = Terminator::start(&authority.server("localhost"), server.inner.address(), &[]);
    let (url, file) = (front.url(), authority.file());
    let finished = run(&["--url", &url, "--cacert", file.to_str().unwrap()], &records(3));
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout, acks(3));
    assert_eq!(server.inner.connections(), 1, "kept over TLS, too");
    let stranger = Authority::named("another one");
    let finished =
        run(&["--url", &url, "--cacert", stranger.file().to_str().unwrap()], &records(1));
    assert_ends(&finished, 7, &["not available", "--cacert"]);
    let missing = run(&["--url", &url, "--cacert", "/nowhere.pem"], "");
    assert_ends(&missing, 2, &["/nowhere.pem"]);
}

#[test]
fn records_can_be_read_from_a_file() {
    let server = RecordServer::accepting();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), records(5)).unwrap();
    let path = file.path().to_str().unwrap();
    let finished = run(&["--url", &server.url(), "--input", path], "");
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout, acks(5));
    let missing = run(&["--url", &server.url(), "--input", "/nowhere"], "");
    assert_ends(&missing, 1, &["/nowhere"]);
}
