//! A consumer at a socket without acknowledgements: it can write anything, or nothing.

use std::io::{BufRead as _, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;

use crate::destination::record_server::RecordServer;
use crate::support::{TEST_TIMEOUT, Wire, ask};
use crate::together::ends::{self, Source};

/// With an acknowledgement line each, more than a socket holds: 208 KiB, and a short line takes
/// about 700 bytes.
const REQUESTS: usize = 1_000;

fn send(wire: &mut Wire, body: &str) {
    let answer = wire.exchange(&ask("POST", "/in").body(body));
    assert_eq!(answer.status(), 201, "{body}: {}", answer.text());
}

#[test]
fn a_destination_that_sends_unexpected_acks_never_blocks() {
    let server = RecordServer::accepting();
    let directory = tempfile::tempdir().unwrap();
    let place = format!("unix:{}", directory.path().join("records.sock").display());
    let source = Source::start(0, &["--output", &place]);
    let destination = ends::destination(&["--url", &server.url(), "--input", &place]);
    let mut wire = Wire::connect(source.address);
    for number in 0..REQUESTS {
        send(&mut wire, &number.to_string());
    }
    for number in 0..REQUESTS {
        assert_eq!(server.recv_request().body, number.to_string().as_bytes());
    }
    source.end();
    ends::end("the destination", destination);
}

#[test]
fn a_consumer_that_half_closes_still_gets_records() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let source = Source::start(0, &["--output", &format!("unix:{}", path.display())]);
    let (consumer, _) = listener.accept().unwrap();
    consumer.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    consumer.shutdown(Shutdown::Write).unwrap();
    let mut lines = BufReader::new(&consumer).lines();
    let mut wire = Wire::connect(source.address);
    for number in 0..3 {
        send(&mut wire, &number.to_string());
        let line = lines.next().expect("a line").unwrap();
        assert!(line.contains("\"operation\":\"create\""), "{line}");
    }
    assert!(!source.process.stderr().contains("gone"), "{}", source.process.stderr());
    source.end();
}
