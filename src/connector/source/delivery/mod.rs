//! Handing records over: in order, each whole, each once to each consumer. Whether a record went out
//! is known here alone, so what becomes of those who wait for it is said here alone.
//!
//! A thread of its own does it, and waits for the consumer where that takes a while. As long as the
//! consumer keeps up the event loop does it itself, between two of those waits: to wake the thread,
//! and to be woken by it, would cost more than the record.
//!
//! A consumer that takes nothing for too long, or that is gone, leaves records that were not begun:
//! their senders are told to come again later, and they are never handed over afterwards.
//!
//! Here is what happens when; what is written, heard and waited for has files of its own.

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
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often an output that nobody is at is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Where lines come from, and who is told what became of them.
pub trait RecordFeed: Send {
    /// Moves what is to be handed over behind `lines`.
    fn take(&mut self, lines: &mut VecDeque<OutgoingLine>);

    /// These were handed over, and acknowledged where that is asked for.
    fn created(&mut self, lines: Vec<OutgoingLine>);

    /// These were not, and will not be.
    fn refused(&mut self, lines: Vec<OutgoingLine>, busy: Busy);

    /// Whether lines are kept elsewhere, so that they can wait as long as it takes.
    fn is_durable(&self) -> bool;

    /// When it wants to be asked for lines, whatever else there is.
    fn next_deadline(&self) -> Option<Instant>;

    /// Lines that came would be refused for this reason, or would not.
    fn close(&mut self, why: Option<Busy>);

    /// Nobody takes lines any more, and nobody will.
    fn end(&mut self);
}

/// Where acknowledgements come from.
#[derive(Debug)]
pub enum AckInput {
    /// None are asked for.
    No,
    /// Standard input.
    Stdin,
    /// The output itself, a socket.
    Output,
}

/// How long a consumer may take.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryTimeouts {
    /// To take anything.
    pub hand_over: Duration,
    /// To acknowledge what it took.
    pub acknowledge: Duration,
}

/// The state of handing over.
#[derive(Debug)]
pub struct Delivery<F> {
    feed: F,
    /// Where orders come from, and what wakes the thread.
    work: Arc<WorkerHandle>,
    output: Output,
    acknowledging: AckInput,
    acks: Acks,
    patience: DeliveryTimeouts,
    /// Not handed over yet.
    lines: VecDeque<OutgoingLine>,
    /// Bytes of the first one that were.
    sent: u64,
    /// A part of the first one, and how much of it was sent.
    piece: (Vec<u8>, usize),
    /// Handed over, and not acknowledged yet; and until when that may take.
    unacknowledged: BTreeMap<Uuid, (OutgoingLine, Instant)>,
    /// Since when nothing moved that should.
    stuck: Option<Instant>,
    /// What new lines are refused for.
    closed: Option<Busy>,
    /// The consumer is gone for good; until when that is still told.
    gone: Option<Instant>,
    /// A consumer that was not asked to say anything will say nothing more.
    is_silent: bool,
    /// A file kept nothing; when it is tried again.
    again: Option<Instant>,
    /// What the thread waits for.
    asked: PollSet,
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// All that was taken went out, and the feed may have more.
    More,
    Done,
    Ended,
}

/// Hands over until it is told to end, or nobody is there any more.
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
    /// Ready to hand over.
    pub fn new(
        feed: F,
        work: Arc<WorkerHandle>,
        output: Output,
        (acknowledging, patience): (AckInput, DeliveryTimeouts),
    ) -> Self {
        Self {
            feed,
            work,
            output,
            acknowledging,
            acks: Acks::default(),
            patience,
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
            // Some may have come in just before it was closed to new ones.
            self.feed.take(&mut self.lines);
            self.refuse_all(Busy::ConsumerGone);
            self.feed.end();
            return Step::Ended;
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

    /// Whether nothing is left, or only what is kept elsewhere and nobody takes.
    fn is_finished(&self) -> bool {
        if self.lines.is_empty() && self.unacknowledged.is_empty() {
            return true;
        }
        let now = now();
        let stuck = self.stuck.is_some_and(|since| since + self.patience.hand_over <= now);
        let late = self.unacknowledged.values().next().is_some_and(|(_, until)| *until <= now);
        self.feed.is_durable() && (stuck || late)
    }

    /// Hands over what is new, if that takes no waiting; whether the thread may go on to wait for
    /// what it waits for. The event loop calls it.
    pub fn flush_records(&mut self) -> bool {
        if !self.lines.is_empty() && self.gone.is_none() {
            // It waits for the consumer, and then takes what is new.
            return true;
        }
        // After the last refusal nothing may follow the line that it cut short.
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

    /// The consumer is not there any more. One that comes next gets again what was not acknowledged.
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
            self.gone = Some(now() + self.patience.hand_over);
            self.reopen_to_new(Some(Busy::ConsumerGone));
        }
    }

    /// Whether new lines are taken.
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
