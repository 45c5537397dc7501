//! Delivery, step by step, from a feed that returns one line at a time.

use super::*;
use crate::connector::source::output::Target;
use std::os::unix::net::UnixStream;

/// Waiting lines, and positions of those that were delivered, refused, or may be delivered.
#[derive(Debug, Default)]
struct Told {
    waiting: VecDeque<OutgoingLine>,
    created: Vec<u128>,
    refused: Vec<u128>,
    unknown: Vec<u128>,
}

/// A feed that returns one line at a time.
#[derive(Clone, Debug, Default)]
struct OneByOne(Arc<Mutex<Told>>);

impl OneByOne {
    fn outcome(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    fn add(&self, number: u128) {
        let head = format!("{number}\n").into_bytes();
        let position = Uuid::from_u128(number);
        self.outcome().waiting.push_back(OutgoingLine { ticket: None, position, head, rest: None });
    }
}

fn numbers(lines: &[OutgoingLine]) -> impl Iterator<Item = u128> {
    lines.iter().map(|line| line.position.as_u128())
}

impl RecordFeed for OneByOne {
    fn take(&mut self, lines: &mut VecDeque<OutgoingLine>) {
        lines.extend(self.outcome().waiting.pop_front());
    }

    fn created(&mut self, lines: Vec<OutgoingLine>) {
        self.outcome().created.extend(numbers(&lines));
    }

    fn refused(&mut self, lines: Vec<OutgoingLine>, _busy: Busy) {
        self.outcome().refused.extend(numbers(&lines));
    }

    fn unknown(&mut self, lines: Vec<OutgoingLine>) {
        self.outcome().unknown.extend(numbers(&lines));
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn close(&mut self, _why: Option<Busy>) {}

    fn end(&mut self) {}
}

fn delivery(feed: &OneByOne, output: Output) -> Delivery<OneByOne> {
    let timeouts = DeliveryTimeouts { hand_over: Duration::ZERO, acknowledge: Duration::ZERO };
    let work = Arc::new(WorkerHandle::new().unwrap());
    Delivery::new(feed.clone(), work, output, (AckInput::No, timeouts))
}

#[test]
fn a_feed_is_polled_until_it_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    let feed = OneByOne::default();
    (1..=3).for_each(|number| feed.add(number));
    let delivery = delivery(&feed, Output::open(&Target::Path(path.clone())).unwrap());
    delivery.work.give(WorkerCommand::Finish);
    run(&Mutex::new(delivery));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "1\n2\n3\n");
    assert_eq!(feed.outcome().created, [1, 2, 3]);
}

#[test]
fn a_record_arriving_during_a_consumer_disconnect_is_refused() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let feed = OneByOne::default();
    let mut delivery = delivery(&feed, Output::of_socket(ours));
    feed.add(1);
    assert_eq!(delivery.step(), Step::Done);
    feed.add(2);
    assert_eq!(delivery.step(), Step::Ended);
    assert_eq!(feed.outcome().refused, [1, 2]);
}

#[test]
fn after_the_final_refusal_the_event_loop_delivers_nothing() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let feed = OneByOne::default();
    let mut delivery = delivery(&feed, Output::of_socket(ours));
    feed.add(1);
    delivery.flush_records();
    delivery.work.give(WorkerCommand::GiveUp);
    feed.add(2);
    delivery.flush_records();
    assert_eq!(feed.outcome().created, [1]);
    assert_eq!(delivery.step(), Step::Ended);
    assert_eq!(feed.outcome().refused, [2]);
}
