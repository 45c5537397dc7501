//! `rdv::connector::Destination`.

use std::time::Duration;

use rdv::client::commands::Exit;
use rdv::connector::Destination;
use rdv::connector::destination::{Backoff, DestinationOptions};
use rdv::connector::record::{Reader, Record};

use crate::destination::record_server::{RecordServer, Reply, record, records};
use crate::support::ClosedPort;

fn options() -> DestinationOptions {
    let millisecond = Duration::from_millis(1);
    DestinationOptions {
        backoff: Backoff { retries: 1, first: millisecond, max: millisecond },
        ..DestinationOptions::default()
    }
}

#[test]
fn records_are_written_over_one_connection() {
    let server = RecordServer::accepting();
    let mut destination = Destination::open(&server.url(), options()).unwrap();
    let lines = records(3);
    let mut reader = Reader::new(lines.as_bytes());
    while let Some(incoming) = reader.read().unwrap() {
        destination.write_incoming(&incoming).unwrap();
    }
    destination.write(&Record::parse(record("p", "k", b"last").as_bytes()).unwrap()).unwrap();
    destination.teardown();
    assert_eq!(server.bodies(), ["0", "1", "2", "last"]);
    assert_eq!(server.inner.connections(), 1);
}

#[test]
fn a_failed_record_is_reported_with_all_details() {
    let server = RecordServer::new(|_, _| Reply::Status(503));
    let mut destination = Destination::open(&server.url(), options()).unwrap();
    let record = Record::parse(record("p", "k", b"x").as_bytes()).unwrap();
    let error = destination.write(&record).unwrap_err();
    assert_eq!(
        (error.position.as_slice(), error.status, error.attempts),
        (&b"p"[..], Some(503), 2)
    );
    assert_eq!(error.failure.exit, Exit::Refused);
    let closed = ClosedPort::new();
    let url = format!("http://{}/", closed.address());
    let error = Destination::open(&url, options()).unwrap_err();
    assert_eq!(error.exit, Exit::Network);
    assert_eq!(Destination::open("nowhere", options()).unwrap_err().exit, Exit::Usage);
}
