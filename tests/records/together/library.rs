//! `rdv::connector::Source` and `rdv::connector::Destination` in one program.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rdv::connector::destination::{Backoff, DestinationOptions};
use rdv::connector::source::SourceSettings;
use rdv::connector::{Destination, Source};

use crate::support::{ClosedPort, Wire, ask, eventually};
use crate::together::tally::{Tally, body};

const SENDERS: usize = 4;
const REQUESTS: usize = 50;

/// On this port (0: any).
fn open_source(port: u16) -> Source {
    let mut settings = SourceSettings { port, ..SourceSettings::default() };
    settings.record.key = Some("header:X-Key".parse().unwrap());
    Source::open(settings).unwrap()
}

fn open_destination(url: &str) -> Destination {
    let millisecond = Duration::from_millis(1);
    let backoff = Backoff { retries: 30, first: millisecond, max: millisecond };
    Destination::open(url, DestinationOptions { backoff, ..DestinationOptions::default() }).unwrap()
}

#[test]
fn a_program_delivers_records_and_confirms_them_afterwards() {
    let tally = Arc::new(Tally::default());
    let server = tally.failing_server();
    let port = ClosedPort::new();
    let mut source = open_source(port.address().port());
    let mut destination = open_destination(&server.url());
    let address = source.addresses()[0];
    let tally = &*tally;
    let send_all = |sender| {
        let mut wire = Wire::connect(address);
        let sent = (0..REQUESTS).map(|number| {
            let body = body("k", sender, number);
            let answer = wire.exchange(&ask("POST", "/in").field("X-Key", "k").body(&body));
            assert_eq!(answer.status(), 201, "{}", answer.text());
            assert!(tally.has(&body), "{body} is not at the server");
            (answer.json()["position"].as_str().unwrap().to_owned(), body)
        });
        sent.collect::<Vec<_>>()
    };
    let send_all = &send_all;
    let created: Vec<_> = thread::scope(|scope| {
        let senders: Vec<_> =
            (0..SENDERS).map(|sender| scope.spawn(move || send_all(sender))).collect();
        for _ in 0..SENDERS * REQUESTS {
            let record = source.read().unwrap().expect("it goes on");
            assert_eq!(record.key.as_ref().unwrap().bytes(), b"k");
            destination.write(&record).unwrap();
            source.ack(&record).unwrap();
        }
        senders.into_iter().flat_map(|sender| sender.join().expect("a sender")).collect()
    });
    tally.check(&created);
    destination.teardown();
    source.teardown().unwrap();
    // A process that another test is about to start has a copy of the listener until execve(2).
    eventually("the port is closed", || std::net::TcpStream::connect(address).err());
}

#[test]
fn unacknowledged_senders_are_answered_503_at_teardown() {
    let mut source = open_source(0);
    let mut wire = Wire::connect(source.addresses()[0]);
    wire.ask(&ask("POST", "/in").body("late"));
    let record = source.read().unwrap().expect("it goes on");
    assert_eq!(record.payload.after.unwrap().bytes(), b"late");
    source.teardown().unwrap();
    let answer = wire.response();
    assert_eq!(answer.status(), 503, "{}", answer.text());
}
