//! Thousands of requests, while the destination, or both commands, are killed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::thread;

use crate::destination::record_server::RecordServer;
use crate::support::{ClosedPort, Process};
use crate::together::ends::{self, Source};
use crate::together::senders::Sender;
use crate::together::tally::{Tally, body};

/// The senders and their requests.
pub(crate) struct Load {
    pub(crate) senders: usize,
    /// Requests per sender; the keys are used in rotation.
    pub(crate) requests: usize,
    /// The two keys of a sender.
    pub(crate) keys: fn(usize) -> [String; 2],
    /// Whether 201 means that the server has the record; else it is stored, and delivered later.
    pub(crate) is_acknowledged: bool,
}

impl Load {
    /// Sends all requests, and waits until the server has those with a 201. Returns positions and
    /// bodies, those of one sender in their order.
    pub(crate) fn send(
        &self,
        address: SocketAddr,
        there: &RwLock<()>,
        tally: &Tally,
    ) -> Vec<(String, String)> {
        let send_one = |connection: &mut Sender<'_>, number: usize, sender| {
            let key = &(self.keys)(sender)[number % 2];
            let body = body(key, sender, number / 2);
            let position = connection.send(key, &body);
            assert!(!self.is_acknowledged || tally.has(&body), "{body} is not at the server");
            (position, body)
        };
        let send_all = |sender| {
            let mut connection = Sender::new(address, there);
            let sent = (0..self.requests).map(|it| send_one(&mut connection, it, sender));
            sent.collect::<Vec<_>>()
        };
        let send_all = &send_all;
        let created: Vec<_> = thread::scope(|scope| {
            let all = (0..self.senders).map(|sender| scope.spawn(move || send_all(sender)));
            let all: Vec<_> = all.collect();
            all.into_iter().flat_map(|sender| sender.join().expect("a sender")).collect()
        });
        assert_eq!(created.len(), self.senders * self.requests);
        created
    }
}

/// The flag for the socket between both.
fn socket(directory: &Path) -> String {
    format!("unix:{}", directory.join("records.sock").display())
}

fn destination(server: &RecordServer, input: &str) -> Process {
    ends::destination(&["--url", &server.url(), "--input", input, "--parallel", "8"])
}

#[test]
fn a_killed_destination_loses_nothing_and_keeps_the_order() {
    let load = Load {
        senders: 50,
        requests: 200,
        keys: |sender| [format!("a{sender}"), format!("b{sender}")],
        is_acknowledged: true,
    };
    let tally = Arc::new(Tally::default());
    let server = tally.failing_server();
    let directory = tempfile::tempdir().unwrap();
    let place = socket(directory.path());
    // There is not enough space for the records of all senders, so some get 503.
    let flags = ["--output", &place, "--ack", "--key", "header:X-Key", "--queue", "48"];
    let source = Source::start(0, &flags);
    let there = RwLock::new(());
    let (created, destination) = thread::scope(|scope| {
        let sending = scope.spawn(|| load.send(source.address, &there, &tally));
        let mut current = destination(&server, &place);
        for arrivals in [2_500, 5_000, 7_500] {
            tally.await_arrivals(arrivals);
            drop(current);
            current = destination(&server, &place);
        }
        (sending.join().expect("all senders"), current)
    });
    tally.check(&created);
    source.end();
    ends::end("the destination", destination);
}

/// Many share a key, so that many records of it are in flight.
const SHARED: fn(usize) -> [String; 2] =
    |sender| [format!("a{}", sender % 2), format!("b{}", sender % 2)];

#[test]
fn a_killed_source_loses_no_unacknowledged_records() {
    let load = Load { senders: 40, requests: 50, keys: SHARED, is_acknowledged: true };
    kill_source_under_load(&load, &["--ack"], &[Killed::Destination, Killed::Source]);
}

#[test]
fn a_killed_source_loses_no_spooled_records() {
    let load = Load { senders: 40, requests: 50, keys: SHARED, is_acknowledged: false };
    // Without acknowledgements, records already written to a destination are not the source's
    // responsibility.
    kill_source_under_load(&load, &[], &[Killed::Source]);
}

enum Killed {
    Source,
    Destination,
}

/// Kills these in rotation during the load, with a spool.
fn kill_source_under_load(load: &Load, flags: &[&str], turns: &[Killed]) {
    let tally = Arc::new(Tally::default());
    let server = tally.failing_server();
    let directory = tempfile::tempdir().unwrap();
    let place = socket(directory.path());
    let spool = directory.path().join("spool");
    let spool = ["--spool", spool.to_str().unwrap(), "--key", "header:X-Key", "--output", &place];
    let flags = [flags, &spool].concat();
    let port = ClosedPort::new();
    let address = port.address();
    let mut source = Source::start(address.port(), &flags);
    let there = RwLock::new(());
    let (created, source, destination) = thread::scope(|scope| {
        let sending = scope.spawn(|| load.send(address, &there, &tally));
        let mut current = destination(&server, &place);
        for (turn, killed) in turns.iter().cycle().take(4).enumerate() {
            tally.await_arrivals(400 * (turn + 1));
            match killed {
                Killed::Destination => {
                    drop(current);
                    current = destination(&server, &place);
                }
                Killed::Source => {
                    let _away = there.write().unwrap();
                    drop(source);
                    source = Source::start(address.port(), &flags);
                }
            }
        }
        (sending.join().expect("all senders"), source, current)
    });
    tally.await_success(created.len());
    tally.check(&created);
    source.end();
    ends::end("the destination", destination);
}
