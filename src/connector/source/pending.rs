//! Senders whose records are kept, and who wait for them to be acknowledged.

use super::clock::now;
use super::line::OutgoingLine;
use super::queue::Queue;
use crate::api::Busy;
use crate::relay::RequestToken;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Who waits, for which record, and until when.
#[derive(Debug)]
pub struct Pending {
    state: Mutex<PendingState>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct PendingState {
    waiting: BTreeMap<Uuid, (RequestToken, Instant)>,
    /// Records that were acknowledged before it was known who waits for them: a consumer may be faster
    /// than the thread that has just made its record durable.
    early: BTreeSet<Uuid>,
    /// The last record whose sender is known, or that was kept before there were any.
    known: Uuid,
    /// Whoever comes is refused at once, for this reason.
    closed: Option<Busy>,
}

impl Pending {
    /// Nobody waits. Each will wait this long at most; nobody will for records up to `last`.
    pub fn new(patience: Duration, last: Uuid) -> Self {
        let state = PendingState { known: last, ..PendingState::default() };
        Self { state: Mutex::new(state), patience }
    }

    fn lock(&self) -> MutexGuard<'_, PendingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The senders of these wait.
    pub fn add(&self, lines: &[OutgoingLine], queue: &Queue) {
        let until = now() + self.patience;
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

    /// The record was acknowledged.
    pub fn acknowledged(&self, position: Uuid, queue: &Queue) {
        let mut state = self.lock();
        match state.waiting.remove(&position) {
            Some((ticket, _)) => queue.create(ticket, position),
            None if position > state.known => _ = state.early.insert(position),
            // It was kept before this process began, or its sender has been answered.
            None => {}
        }
    }

    /// When the first one has waited long enough.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.lock().waiting.values().next().map(|(_, until)| *until)
    }

    /// Those who have waited long enough are told so. Their records are kept nevertheless.
    pub fn expire(&self, queue: &Queue) {
        let now = now();
        let mut state = self.lock();
        while let Some(late) = state.waiting.first_entry().filter(|late| late.get().1 <= now) {
            queue.refuse(late.remove().0, Busy::ConsumerSlow);
        }
    }

    /// Nobody waits any more, and nobody will.
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
    fn records_of_earlier_processes_leave_nothing_behind() {
        let last = Uuid::from_u128(7);
        let limits = QueueLimits { records: 1, bytes: 1 };
        let queue = Queue::new(limits, Waker::of_no_loop().unwrap(), last).unwrap();
        let pending = Pending::new(Duration::ZERO, last);
        for position in 1..=8 {
            pending.acknowledged(Uuid::from_u128(position), &queue);
        }
        // Of the last one it is not known yet who waits.
        assert_eq!(pending.lock().early, BTreeSet::from([Uuid::from_u128(8)]));
    }
}
