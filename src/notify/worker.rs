//! The thread: sends what is due, one at a time, and what failed again after a pause, which holds no
//! other one back.

use super::Backlog;
use super::attempt::{AttemptError, Message, Sender};
use crate::client::clock;
use crate::ops::access_log::short_id;
use crate::ops::metrics::NotifyResult;
use crate::relay::Notification;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The state of the thread. The backlog bounds all of it.
pub(super) struct Worker {
    queue: Receiver<Notification>,
    backlog: Arc<Backlog>,
    sender: Sender,
    pauses: [Duration; 2],
    /// Messages that failed, by the time of their next attempt and a number, with the number of
    /// attempts so far.
    retries: BTreeMap<(Instant, u64), (Message, usize)>,
    next_number: u64,
}

impl Worker {
    pub(super) fn new(
        queue: Receiver<Notification>,
        backlog: Arc<Backlog>,
        sender: Sender,
        pauses: [Duration; 2],
    ) -> Self {
        Self { queue, backlog, sender, pauses, retries: BTreeMap::new(), next_number: 0 }
    }

    /// Sends all notifications until no more follow.
    pub(super) fn run(mut self) {
        while let Some((message, attempts)) = self.next() {
            self.attempt(message, attempts);
        }
    }

    /// Waits for the message to send next.
    fn next(&mut self) -> Option<(Message, usize)> {
        let new = |notification| Some((Message::new(notification), 0));
        loop {
            let Some(due) = self.retries.first_entry() else {
                return self.queue.recv().ok().and_then(new);
            };
            let left = due.key().0.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Some(due.remove());
            }
            match self.queue.recv_timeout(left) {
                Ok(notification) => return new(notification),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(left),
            }
        }
    }

    /// Sends a message once more after these attempts.
    fn attempt(&mut self, mut message: Message, attempts: usize) {
        let (result, reason) = match self.sender.send(&mut message) {
            Ok(()) => return self.backlog.settle(&message.notification, NotifyResult::Delivered),
            Err(AttemptError::Refused(reason)) => (NotifyResult::Refused, reason),
            Err(AttemptError::Gone) => (NotifyResult::Gone, "its receiver answered 410".into()),
            Err(AttemptError::Failed(reason)) => {
                if let Some(pause) = self.pauses.get(attempts) {
                    self.next_number += 1;
                    let due = (clock::now() + *pause, self.next_number);
                    self.retries.insert(due, (message, attempts + 1));
                    return;
                }
                (NotifyResult::Failed, reason)
            }
        };
        let stream = short_id(message.notification.stream);
        log::warn!("notification failed stream={stream} host={} reason={reason}", message.host());
        self.backlog.settle(&message.notification, result);
    }
}
