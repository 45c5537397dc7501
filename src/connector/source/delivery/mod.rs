//! Delivers records in order, each completely, and once to each consumer. Only this module knows
//! whether a record was sent, so only this module decides how its sender is answered.
//!
//! A separate thread delivers, and waits for the consumer where necessary. While the consumer keeps
//! up, the event loop delivers by itself, between two of those waits: to wake the thread, and to be
//! woken by it, would cost more than the record.
//!
//! If a consumer reads nothing for too long, or disconnects, records that were not begun are
//! refused: their senders are answered 503, and they are never delivered afterwards.
//!
//! This file holds the steps; writing, reading and waiting have files of their own.

mod ack_reader;
mod backlog;
#[cfg(test)]
mod tests;
mod writer;

use super::acks::Acks;
use super::clock::now;
use super::line::OutgoingLine;
use super::output::Output;
use super::poll_set::PollSet;
use super::worker_handle::{WorkerCommand, WorkerHandle};
use crate::api::Busy;
use crate::ops::cause;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Retry interval for an output without a consumer.
const RETRY: Duration = Duration::from_millis(100);

/// Source of lines, which is notified of their outcome.
pub trait RecordFeed: Send {
    /// Appends the next lines to `lines`.
    fn take(&mut self, lines: &mut VecDeque<OutgoingLine>);

    /// Reports lines that were delivered, and acknowledged where required.
    fn created(&mut self, lines: Vec<OutgoingLine>);

    /// Reports lines that were not delivered, and will not be.
    fn refused(&mut self, lines: Vec<OutgoingLine>, busy: Busy);

    /// Reports lines that are in a file although they were to be removed from it: they may be read
    /// as records.
    fn unknown(&mut self, lines: Vec<OutgoingLine>);

    /// Whether lines are durable, so that they can wait indefinitely.
    fn is_durable(&self) -> bool;

    /// Returns when it needs to be polled for lines, regardless of other events.
    fn next_deadline(&self) -> Option<Instant>;

    /// Refuses new lines for this reason, or accepts them again.
    fn close(&mut self, why: Option<Busy>);

    /// Reports that delivery has ended for good.
    fn end(&mut self);
}

/// Source of acknowledgements.
#[derive(Debug)]
pub enum AckInput {
    /// Acknowledgements are not used.
    No,
    /// Standard input.
    Stdin,
    /// The output itself, a socket.
    Output,
}

/// Timeouts for a consumer.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryTimeouts {
    /// Until it reads anything.
    pub hand_over: Duration,
    /// Until it acknowledges what it read.
    pub acknowledge: Duration,
}

/// State of the delivery.
#[derive(Debug)]
pub struct Delivery<F> {
    feed: F,
    /// Source of commands, which also wakes the thread.
    work: Arc<WorkerHandle>,
    output: Output,
    acknowledging: AckInput,
    acks: Acks,
    timeouts: DeliveryTimeouts,
    /// Lines not delivered yet.
    lines: VecDeque<OutgoingLine>,
    /// Bytes of the first line that were sent.
    sent: u64,
    /// A piece of the first line, and how much of it was sent.
    piece: (Vec<u8>, usize),
    /// Lines delivered and not acknowledged yet, with their deadlines.
    unacknowledged: BTreeMap<Uuid, (OutgoingLine, Instant)>,
    /// When the output stopped making progress.
    stuck: Option<Instant>,
    /// Why new lines are refused.
    closed: Option<Busy>,
    /// When to end after the consumer disconnected for good; until then lines are refused.
    gone: Option<Instant>,
    /// Whether a consumer that need not send anything has stopped sending.
    is_silent: bool,
    /// When to retry a file that could not be written.
    again: Option<Instant>,
    /// Events the thread waits for.
    asked: PollSet,
}

/// Outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// All lines were sent, and the feed may have more.
    More,
    Done,
    Ended,
}

/// Delivers until it is stopped, or no consumer is left.
pub fn run<F: RecordFeed>(delivery: &Mutex<Delivery<F>>) {
    let lock = || -> MutexGuard<'_, Delivery<F>> {
        delivery.lock().unwrap_or_else(PoisonError::into_inner)
    };
    let work = Arc::clone(&lock().work);
    loop {
        let mut state = lock();
        match state.step() {
            Step::More => continue,
            Step::Done => {}
            Step::Ended => return,
        }
        state.asked = state.questions();
        let questions = state.asked.clone();
        drop(state);
        if let Some(answers) = questions.ask(&work) {
            lock().act(answers);
        }
    }
}

impl<F: RecordFeed> Delivery<F> {
    /// Creates a delivery that is ready to start.
    pub fn new(
        feed: F,
        work: Arc<WorkerHandle>,
        output: Output,
        (acknowledging, timeouts): (AckInput, DeliveryTimeouts),
    ) -> Self {
        Self {
            feed,
            work,
            output,
            acknowledging,
            acks: Acks::default(),
            timeouts,
            lines: VecDeque::new(),
            sent: 0,
            piece: (Vec::new(), 0),
            unacknowledged: BTreeMap::new(),
            stuck: None,
            closed: None,
            gone: None,
            is_silent: false,
            again: None,
            asked: PollSet::default(),
        }
    }

    fn step(&mut self) -> Step {
        self.look_at_the_clock();
        if self.gone.is_some_and(|until| until <= now()) {
            // Some may have been added just before new ones were refused.
            self.feed.take(&mut self.lines);
            self.refuse_all(Busy::ConsumerGone);
            self.feed.end();
            return Step::Ended;
        }
        if self.work.takes_reopen_request() {
            self.reopen_output();
        }
        let order = self.work.order();
        if order == WorkerCommand::GiveUp {
            self.feed.take(&mut self.lines);
            self.apply_acks();
            self.refuse_all(Busy::Stopping);
            return Step::Ended;
        }
        self.feed.take(&mut self.lines);
        let took = !self.lines.is_empty();
        self.send();
        if took && self.lines.is_empty() && self.gone.is_none() {
            return Step::More;
        }
        if self.gone.is_some() {
            self.refuse_all(Busy::ConsumerGone);
        }
        if order == WorkerCommand::Finish && self.is_finished() { Step::Ended } else { Step::Done }
    }

    /// Follows a rotation without a record to write; within a line that waits for its end.
    fn reopen_output(&mut self) {
        if self.sent == 0
            && let Err(error) = self.output.follow()
        {
            log::error!("cannot reopen the output: {}", cause(&error));
        }
    }

    /// Whether nothing is left, or only durable records that no consumer reads.
    fn is_finished(&self) -> bool {
        if self.lines.is_empty() && self.unacknowledged.is_empty() {
            return true;
        }
        let now = now();
        let stuck = self.stuck.is_some_and(|since| since + self.timeouts.hand_over <= now);
        let late = self.unacknowledged.values().next().is_some_and(|(_, until)| *until <= now);
        self.feed.is_durable() && (stuck || late)
    }

    /// Delivers new lines if that does not block; returns whether the thread can keep waiting for
    /// the same events. Called by the event loop.
    pub fn flush_records(&mut self) -> bool {
        if !self.lines.is_empty() && self.gone.is_none() {
            // The thread waits for the consumer, and then takes new lines.
            return true;
        }
        // After the last refusal nothing must follow the line that it truncated.
        let given_up = self.work.order() == WorkerCommand::GiveUp;
        if self.gone.is_some() || self.output.may_block() || given_up {
            return false;
        }
        self.feed.take(&mut self.lines);
        if self.lines.iter().any(|line| line.rest.is_some()) {
            return false;
        }
        self.send();
        self.asked.add(&self.questions())
    }

    fn drop_consumer(&mut self, why: &io::Error) {
        self.apply_acks();
        self.consumer_lost(why, !self.output.returns());
    }

    /// Handles a lost consumer. The next one gets unacknowledged records again.
    fn consumer_lost(&mut self, why: &io::Error, for_good: bool) {
        log::warn!("the consumer disconnected: {why}");
        self.rewind();
        self.again = None;
        self.acks.forget();
        self.is_silent = false;
        for (_, (line, _)) in std::mem::take(&mut self.unacknowledged).into_iter().rev() {
            self.lines.push_front(line);
        }
        self.output.close();
        if for_good {
            self.gone = Some(now() + self.timeouts.hand_over);
            self.reopen_to_new(Some(Busy::ConsumerGone));
        }
    }

    /// Sets why new lines are refused, if they are.
    fn reopen_to_new(&mut self, closed: Option<Busy>) {
        if self.closed != closed {
            self.closed = closed;
            self.feed.close(closed);
        }
    }

    fn refuse_all(&mut self, busy: Busy) {
        self.rewind();
        let waiting = std::mem::take(&mut self.unacknowledged).into_values().map(|(line, _)| line);
        let lines: Vec<OutgoingLine> = waiting.chain(self.lines.drain(..)).collect();
        if !lines.is_empty() {
            self.feed.refused(lines, busy);
        }
    }
}
