//! The requests received by a server, in their order, and a server that fails occasionally.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Condvar, Mutex};

use crate::destination::record_server::{RecordServer, Reply};
use crate::server::Request;
use crate::support::TEST_TIMEOUT;

/// How often an attempt fails, alternating between two ways.
const ONE_FAILS_OF: u64 = 25;

/// Everything a server received.
#[derive(Default)]
pub(crate) struct Tally {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    /// Every request, as position and body.
    arrivals: Vec<(String, String)>,
    /// How often each body was received.
    tries: BTreeMap<String, u64>,
    /// Bodies with a successful response.
    taken: BTreeSet<String>,
}

/// A body is `KEY SENDER NUMBER`; a sender counts up within each of its keys.
pub(crate) fn body(key: &str, sender: usize, number: usize) -> String {
    format!("{key} {sender} {number}")
}

fn sender_and_number(body: &str) -> (String, usize) {
    let (series, number) = body.rsplit_once(' ').unwrap();
    (series.to_owned(), number.parse().unwrap())
}

/// Whether an attempt of this body fails, and how: the same in every run.
fn failure(body: &str, tries: u64) -> Option<Reply> {
    let mut hasher = DefaultHasher::new();
    (body, tries).hash(&mut hasher);
    match hasher.finish() % (2 * ONE_FAILS_OF) {
        0 => Some(Reply::Status(500)),
        1 => Some(Reply::Reset("")),
        _ => None,
    }
}

impl Tally {
    /// A server that keeps this tally and fails occasionally.
    pub(crate) fn failing_server(self: &Arc<Tally>) -> RecordServer {
        let tally = Arc::clone(self);
        RecordServer::new(move |at, request| tally.take(request, at))
    }

    fn take(&self, request: &Request, at: usize) -> Reply {
        let (body, tries) = self.record_request(request);
        failure(&body, tries).unwrap_or_else(|| {
            self.seen.lock().unwrap().taken.insert(body);
            self.changed.notify_all();
            Reply::Status(if at.is_multiple_of(2) { 200 } else { 201 })
        })
    }

    /// Records a request; returns its body, and how often it was received before.
    pub(crate) fn record_request(&self, request: &Request) -> (String, u64) {
        let position = request.field("idempotency-key").expect("a position").to_owned();
        let body = String::from_utf8(request.body.clone()).unwrap();
        let mut seen = self.seen.lock().unwrap();
        seen.arrivals.push((position, body.clone()));
        let tries = seen.tries.entry(body.clone()).or_default();
        *tries += 1;
        let tries = *tries;
        self.changed.notify_all();
        (body, tries)
    }

    /// Records a successful response.
    pub(crate) fn record_success(&self, request: &Request) {
        let (body, _) = self.record_request(request);
        self.seen.lock().unwrap().taken.insert(body);
    }

    /// Whether this body got a successful response.
    pub(crate) fn has(&self, body: &str) -> bool {
        self.seen.lock().unwrap().taken.contains(body)
    }

    /// Waits for this number of requests.
    pub(crate) fn await_arrivals(&self, count: usize) {
        self.wait(|seen| seen.arrivals.len() >= count);
    }

    /// Waits until this number of bodies got a successful response.
    pub(crate) fn await_success(&self, count: usize) {
        self.wait(|seen| seen.taken.len() >= count);
    }

    /// Waits until no more requests are received.
    fn wait(&self, is_enough: impl Fn(&Seen) -> bool) {
        let mut seen = self.seen.lock().unwrap();
        while !is_enough(&seen) {
            let (now, waited) = self.changed.wait_timeout(seen, TEST_TIMEOUT).unwrap();
            assert!(!waited.timed_out(), "nothing comes after {} requests", now.arrivals.len());
            seen = now;
        }
    }

    /// Checks that everything with a 201 and such a position was received, and nothing else; that
    /// the requests of a sender with one key were received in its order, and all with a key in the
    /// order of their positions; and that a position always has the same body. Repetitions do not
    /// count.
    pub(crate) fn check(&self, created: &[(String, String)]) {
        let seen = self.seen.lock().unwrap();
        let mut bodies = BTreeMap::new();
        let mut positions: BTreeMap<_, Vec<&String>> = BTreeMap::new();
        for (position, body) in &seen.arrivals {
            let (key, _) = body.split_once(' ').unwrap();
            let before = *bodies.entry(position).or_insert_with(|| {
                positions.entry(key).or_default().push(position);
                body
            });
            assert_eq!(before, body, "one position, {position}, is one body");
        }
        for (key, positions) in positions {
            assert!(positions.is_sorted(), "{key}: {positions:?}");
        }
        for (position, body) in created {
            assert_eq!(bodies.get(position), Some(&body), "{position} is what its sender sent");
            assert!(seen.taken.contains(body), "{body} was answered with success");
        }
        drop(seen);
        self.check_bodies(created);
    }

    /// Checks only that everything with a 201 was received, the requests of a sender with one key
    /// in its order, and nothing else.
    pub(crate) fn check_bodies(&self, created: &[(String, String)]) {
        let seen = self.seen.lock().unwrap();
        let received = by_series(seen.arrivals.iter().map(|(_, body)| body));
        assert_eq!(received, by_series(created.iter().map(|(_, body)| body)), "as they were sent");
    }
}

/// The numbers of each key and sender, in the order of their first receipt.
fn by_series<'b>(bodies: impl Iterator<Item = &'b String>) -> BTreeMap<String, Vec<usize>> {
    let mut numbers: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for body in bodies {
        let (series, number) = sender_and_number(body);
        let of_series = numbers.entry(series).or_default();
        if !of_series.contains(&number) {
            of_series.push(number);
        }
    }
    numbers
}
