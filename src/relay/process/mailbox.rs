//! What one worker sends to another: a bounded queue, and what wakes the loop that reads it.

use mio::Waker;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages that may wait before the sender has to refuse work. A turn takes all of them, and may
/// serve as many events.
const ROOM: usize = 1024;

/// The queue of one worker.
#[derive(Debug)]
pub struct Mailbox<M> {
    waiting: Arc<Mutex<VecDeque<M>>>,
    waker: Arc<Waker>,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self { waiting: Arc::clone(&self.waiting), waker: Arc::clone(&self.waker) }
    }
}

impl<M> Mailbox<M> {
    /// Creates an empty one.
    pub fn new(waker: Arc<Waker>) -> Self {
        Self { waiting: Arc::default(), waker }
    }

    /// Whether work may be sent: what was sent before is read soon enough.
    pub fn has_room(&self) -> bool {
        self.waiting().len() < ROOM
    }

    /// Sends a message. Work is bounded by [`Mailbox::has_room`], everything else by its nature.
    pub fn send(&self, message: M) {
        let wakes = {
            let mut waiting = self.waiting();
            waiting.push_back(message);
            waiting.len() == 1
        };
        if wakes && let Err(error) = self.waker.wake() {
            // Another message, or any event, makes it look again.
            log::warn!("a worker could not be woken: {error}");
        }
    }

    /// Takes all messages.
    pub fn take(&self) -> VecDeque<M> {
        std::mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<M>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};
    use std::thread;

    #[test]
    fn messages_wake_the_reader_and_keep_their_order() {
        let mut poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(Arc::new(Waker::new(poll.registry(), Token(7)).unwrap()));
        let sender = mailbox.clone();
        let sending = thread::spawn(move || (0..2000).for_each(|number| sender.send(number)));
        let mut events = Events::with_capacity(4);
        let mut taken = Vec::new();
        while taken.len() < 2000 {
            poll.poll(&mut events, None).unwrap();
            taken.extend(mailbox.take());
        }
        sending.join().unwrap();
        assert!(taken.into_iter().eq(0..2000));
    }

    #[test]
    fn a_full_mailbox_takes_no_more_work() {
        let poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(Arc::new(Waker::new(poll.registry(), Token(7)).unwrap()));
        for number in 0..ROOM {
            assert!(mailbox.has_room(), "{number}");
            mailbox.send(number);
        }
        assert!(!mailbox.has_room());
        assert_eq!(mailbox.take().len(), ROOM);
        assert!(mailbox.has_room());
    }
}
