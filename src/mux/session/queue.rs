//! The text dialect: requests of ours that wait for their turn. A peer may handle one request at a
//! time, and lose the response it is writing when it reads the next request: each is sent only once
//! the response to the one before is complete, even if nothing at this end waits for it any more.

use super::{Event, Session};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Time for the rest of a response that nothing at this end waits for. After it the connection ends,
/// so that the peer connects again: the text dialect cannot cancel a response.
const ABANDONED_TIME: Duration = Duration::from_mins(1);

/// Requests that were not sent yet, and the one that has its turn.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Complete requests, in the order in which they are sent.
    waiting: VecDeque<u32>,
    turn: Option<Turn>,
    /// The request that has its turn although nothing waits for its response, and since when.
    blocked: Option<(u32, Instant)>,
}

/// The request that has its turn.
#[derive(Clone, Copy, Debug)]
struct Turn {
    number: u32,
    /// Whether it was sent: a response of ours may still occupy the connection.
    sent: bool,
    /// Whether it was not sent at once.
    waited: bool,
    /// Whether its response is complete; the end of its last message can still be missing.
    answered: bool,
}

impl Queue {
    /// Returns the request whose response is awaited or being received.
    pub fn awaited(&self) -> Option<u32> {
        self.turn.filter(|turn| turn.sent && !turn.answered).map(|turn| turn.number)
    }

    /// Records that the response to this request is complete.
    pub fn answered(&mut self, number: u32) {
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.number == number) {
            turn.answered = true;
        }
    }

    /// Removes a request that was not sent.
    pub fn remove(&mut self, number: u32) {
        self.waiting.retain(|other| *other != number);
        self.turn = self.turn.filter(|turn| turn.number != number);
    }
}

impl Session {
    /// Whether a request of ours was not sent yet: it is incomplete, or waits for its turn.
    pub fn is_queued(&self, number: u32) -> bool {
        self.exchanges
            .get(&number)
            .is_some_and(|one| one.is_ours() && !one.outgoing.held.is_empty())
    }

    /// Returns the size of the requests of ours that were not sent yet, in bytes.
    pub fn queued_bytes(&self) -> usize {
        let ours = self.exchanges.values().filter(|one| one.is_ours());
        ours.map(|one| one.outgoing.held.len()).sum()
    }

    /// Whether the response to an abandoned request has blocked the others for too long.
    pub(super) fn is_blocked(&mut self, now: Instant) -> bool {
        let abandoned = self.queue.awaited().filter(|number| !self.knows(*number));
        let before = self.queue.blocked.filter(|(number, _)| Some(*number) == abandoned);
        self.queue.blocked = abandoned.map(|number| before.unwrap_or((number, now)));
        self.blocked_until().is_some_and(|until| now >= until)
    }

    /// Returns when [`is_blocked`](Self::is_blocked) is to be checked again.
    pub(super) fn blocked_until(&self) -> Option<Instant> {
        self.queue.blocked.map(|(_, since)| since + ABANDONED_TIME)
    }

    /// Queues a complete request of ours.
    pub(super) fn enqueue(&mut self, number: u32) {
        if self.queue.turn.is_some() {
            return self.queue.waiting.push_back(number);
        }
        self.begin_turn(number, false);
        if let Some(turn) = self.queue.turn.as_mut() {
            turn.waited = !turn.sent;
        }
    }

    /// Gives the next request its turn.
    pub(super) fn ask_next(&mut self) {
        if self.queue.turn.is_none()
            && let Some(number) = self.queue.waiting.pop_front()
        {
            self.begin_turn(number, true);
        }
    }

    fn begin_turn(&mut self, number: u32, waited: bool) {
        self.queue.turn = Some(Turn { number, sent: false, waited, answered: false });
        self.senders.push_back(number);
        self.go_on();
    }

    /// Records that the request that has its turn was sent.
    pub(super) fn asked(&mut self, number: u32) {
        let Some(turn) = self.queue.turn.as_mut() else { return };
        turn.sent = true;
        if turn.waited {
            self.events.push_back(Event::Sent(number));
        }
    }

    /// Gives the next request its turn if the last response is complete, at the end of its message:
    /// the peer must not have to write the rest of one while it reads.
    pub(super) fn end_turn(&mut self) {
        if self.queue.turn.is_some_and(|turn| turn.answered) {
            self.queue.turn = None;
            self.ask_next();
        }
    }
}
