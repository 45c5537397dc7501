//! Senders that wait for their stored records to be acknowledged.

use super::clock::now;
use super::line::OutgoingLine;
use super::queue::Queue;
use crate::api::Busy;
use crate::relay::RequestToken;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Waiting senders, by record, with their deadlines.
#[derive(Debug)]
pub struct Pending {
    state: Mutex<PendingState>,
    ack_timeout: Duration,
}

#[derive(Debug, Default)]
struct PendingState {
    waiting: BTreeMap<Uuid, (RequestToken, Instant)>,
    /// Records acknowledged before their senders were known: a consumer may be faster than the
    /// thread that has just made the record durable.
    early: BTreeSet<Uuid>,
    /// The last record whose sender is known, or that was stored before this process started.
    known: Uuid,
    /// Why new senders are refused immediately.
    closed: Option<Busy>,
}

impl Pending {
    /// Creates an empty set. Each sender waits for this time at most; records up to `last` have no
    /// sender.
    pub fn new(ack_timeout: Duration, last: Uuid) -> Self {
        let state = PendingState { known: last, ..PendingState::default() };
        Self { state: Mutex::new(state), ack_timeout }
    }

    fn lock(&self) -> MutexGuard<'_, PendingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the senders of these lines.
    pub fn add(&self, lines: &[OutgoingLine], queue: &Queue) {
        let until = now() + self.ack_timeout;
        let mut state = self.lock();
        for line in lines {
            let Some(ticket) = line.ticket else { continue };
            state.known = line.position;
            if state.early.remove(&line.position) {
                queue.create(ticket, line.position);
            } else if let Some(busy) = state.closed {
                queue.refuse(ticket, busy);
            } else {
                state.waiting.insert(line.position, (ticket, until));
            }
        }
    }

    /// Answers the sender of an acknowledged record.
    pub fn acknowledged(&self, position: Uuid, queue: &Queue) {
        let mut state = self.lock();
        match state.waiting.remove(&position) {
            Some((ticket, _)) => queue.create(ticket, position),
            None if position > state.known => _ = state.early.insert(position),
            // It was stored before this process started, or its sender has been answered.
            None => {}
        }
    }

    /// Returns the earliest deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.lock().waiting.values().next().map(|(_, until)| *until)
    }

    /// Refuses senders whose deadline has passed. Their records are kept nevertheless.
    pub fn expire(&self, queue: &Queue) {
        let now = now();
        let mut state = self.lock();
        while let Some(late) = state.waiting.first_entry().filter(|late| late.get().1 <= now) {
            queue.refuse(late.remove().0, Busy::ConsumerSlow);
        }
    }

    /// Refuses all waiting senders, and all new ones.
    pub fn refuse_all(&self, queue: &Queue, busy: Busy) {
        let mut state = self.lock();
        state.closed = Some(busy);
        for (ticket, _) in std::mem::take(&mut state.waiting).into_values() {
            queue.refuse(ticket, busy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::source::queue::QueueLimits;
    use crate::relay::Waker;

    #[test]
    fn records_of_earlier_processes_leave_no_state() {
        let last = Uuid::from_u128(7);
        let limits = QueueLimits { records: 1, bytes: 1 };
        let queue = Queue::new(limits, Waker::of_no_loop().unwrap(), last).unwrap();
        let pending = Pending::new(Duration::ZERO, last);
        for position in 1..=8 {
            pending.acknowledged(Uuid::from_u128(position), &queue);
        }
        // The sender of the last one is not known yet.
        assert_eq!(pending.lock().early, BTreeSet::from([Uuid::from_u128(8)]));
    }
}
