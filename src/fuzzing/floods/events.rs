//! Subscribers to streams that change in each turn: those that read, that read later, and that do
//! not read.

use super::super::checked_registry::START;
use super::super::choices::Choices;
use super::super::rendezvous::report;
use super::Flooder;
use super::clock::Clock;
use super::lists::{STREAMED, Takes, now, registry};
use super::turns::Turns;
use crate::relay::{ConnId, Output, Shown, Subscriber};
use crate::rendezvous::Registry;
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;
use uuid::Uuid;

/// Subscribers of one stream, as many as there may be.
const PER_STREAM: usize = 16;

/// The default interval of keep-alive comments.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Most bytes that wait for a subscriber: one event.
const EVENT_MAX: usize = 1 << 10;

/// Adds subscribers, and the streams that they subscribe to.
pub(super) fn add(turns: &mut Turns, subscribers: usize, choices: &mut Choices<'_>) {
    let mut streams = registry();
    for number in 0..subscribers.div_ceil(PER_STREAM) {
        let made = streams.create(id(number), None, Ipv4Addr::LOCALHOST.into(), now());
        made.expect("room for the streams");
    }
    let streams = Rc::new(RefCell::new(streams));
    let mut number = 0;
    turns.add(subscribers, || {
        number += 1;
        EventReader::new(streams.clone(), number - 1, choices)
    });
}

fn id(stream: usize) -> Uuid {
    Uuid::from_u128(1 + stream as u128)
}

/// A subscriber; the first one of a stream changes it.
struct EventReader {
    streams: Rc<RefCell<Registry>>,
    changes_it: bool,
    subscriber: Subscriber,
    output: Output,
    takes: Takes,
    progress: usize,
}

impl EventReader {
    fn new(streams: Rc<RefCell<Registry>>, number: usize, choices: &mut Choices<'_>) -> Self {
        let conn = ConnId { index: 0, generation: 1 };
        let subscriber = Subscriber::new(conn, id(number / PER_STREAM), STREAMED, *START);
        let changes_it = number.is_multiple_of(PER_STREAM);
        let (output, takes) = (Output::default(), Takes::choose(choices));
        Self { streams, changes_it, subscriber, output, takes, progress: 0 }
    }

    /// A client reports an error to the stream.
    fn change(&self, clock: &mut Clock, choices: &mut Choices<'_>) {
        clock.request();
        let reported = report(choices);
        self.streams.borrow_mut().report(self.subscriber.stream, reported, now());
    }
}

impl Flooder for EventReader {
    fn turn(&mut self, _: usize, clock: &mut Clock, choices: &mut Choices<'_>) -> bool {
        if self.changes_it {
            self.change(clock, choices);
        }
        self.progress += 1;
        if self.takes != Takes::Never && !self.output.is_empty() {
            let count = self.output.rest().len();
            clock.write(count);
            self.output.sent(count);
        }
        let streams = self.streams.borrow();
        let stream = streams.get(self.subscriber.stream);
        match self.subscriber.show(stream, *START, KEEP_ALIVE, &mut self.output) {
            Shown::Behind | Shown::Nothing(_) => clock.event(),
            Shown::Wrote => {
                let count = self.output.rest().len();
                clock.json(count);
                clock.write(count);
                if self.takes == Takes::AtOnce {
                    self.output.sent(count);
                }
            }
            Shown::Over(_) | Shown::Dropped => unreachable!("no stream ends"),
        }
        false
    }

    fn progress(&self) -> usize {
        self.progress
    }

    fn held_bytes(&self) -> usize {
        self.output.rest().len()
    }

    fn held_max(&self) -> usize {
        EVENT_MAX
    }
}
