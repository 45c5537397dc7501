//! What reached the server, in its order, and the server's manners: it fails now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Condvar, Mutex};

use crate::destination::scene::{Reply, Scene};
use crate::server::Request;
use crate::support::PATIENCE;

/// Which of so many tries fail, in turn for two reasons.
const ONE_FAILS_OF: u64 = 25;

/// All that a server was sent.
#[derive(Default)]
pub(crate) struct Tally {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    /// Every request, as position and body.
    arrivals: Vec<(String, String)>,
    /// How often each body came.
    tries: BTreeMap<String, u64>,
    /// Bodies that were answered with success.
    taken: BTreeSet<String>,
}

/// A body is `KEY SENDER NUMBER`; a sender counts up within each of its keys.
pub(crate) fn body(key: &str, sender: usize, number: usize) -> String {
    format!("{key} {sender} {number}")
}

fn sender_and_number(body: &str) -> (String, usize) {
    let (lane, number) = body.rsplit_once(' ').unwrap();
    (lane.to_owned(), number.parse().unwrap())
}

/// Whether a try of this body fails, and how: the same in every run.
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
    /// A server that keeps this tally and fails now and then.
    pub(crate) fn failing_server(self: &Arc<Tally>) -> Scene {
        let tally = Arc::clone(self);
        Scene::new(move |at, request| tally.take(request, at))
    }

    fn take(&self, request: &Request, at: usize) -> Reply {
        let (body, tries) = self.record_request(request);
        failure(&body, tries).unwrap_or_else(|| {
            self.seen.lock().unwrap().taken.insert(body);
            self.changed.notify_all();
            Reply::Status(if at.is_multiple_of(2) { 200 } else { 201 })
        })
    }

    /// Notes a request; its body, and how often that came so far.
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

    /// Notes a request that is answered with success.
    pub(crate) fn record_success(&self, request: &Request) {
        let (body, _) = self.record_request(request);
        self.seen.lock().unwrap().taken.insert(body);
    }

    /// Whether this body was answered with success.
    pub(crate) fn has(&self, body: &str) -> bool {
        self.seen.lock().unwrap().taken.contains(body)
    }

    /// Waits until so many requests came.
    pub(crate) fn await_arrivals(&self, count: usize) {
        self.wait(|seen| seen.arrivals.len() >= count);
    }

    /// Waits until so many bodies were answered with success.
    pub(crate) fn await_success(&self, count: usize) {
        self.wait(|seen| seen.taken.len() >= count);
    }

    /// Waits as long as anything comes.
    fn wait(&self, is_enough: impl Fn(&Seen) -> bool) {
        let mut seen = self.seen.lock().unwrap();
        while !is_enough(&seen) {
            let (now, waited) = self.changed.wait_timeout(seen, PATIENCE).unwrap();
            assert!(!waited.timed_out(), "nothing comes after {} requests", now.arrivals.len());
            seen = now;
        }
    }

    /// Checks that all came that was answered 201 with such a position, and nothing else; that what a
    /// sender sent of a key came in its order, and all of a key in that of the positions; and that a
    /// position is always the same body. What comes again does not count.
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
        let came = by_lane(seen.arrivals.iter().map(|(_, body)| body));
        assert_eq!(came, by_lane(created.iter().map(|(_, body)| body)), "as they were sent");
    }
}

/// The numbers of each lane, in the order in which they are there first.
fn by_lane<'b>(bodies: impl Iterator<Item = &'b String>) -> BTreeMap<String, Vec<usize>> {
    let mut numbers: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for body in bodies {
        let (lane, number) = sender_and_number(body);
        let of_lane = numbers.entry(lane).or_default();
        if !of_lane.contains(&number) {
            of_lane.push(number);
        }
    }
    numbers
}
