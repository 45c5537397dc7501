//! Notifications about ended streams: one POST each to the URL of its creator, signed as Standard
//! Webhooks (standardwebhooks.com), from one thread. The event loop never waits for it.
//!
//! Those URLs are the choice of clients, and the relay may reach what its clients cannot. So only
//! public addresses are connected to, or those that the operator allows; a name is resolved once,
//! and the connection is made to an address that was checked. Redirects are not followed, proxies
//! of the environment are not used, and nothing of a response is read but its status.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the handle that the event loop has, and the bounds of the queue |
//! | `worker` | the thread: what is sent next, and when again |
//! | `attempt` | one attempt |
//! | `address` | which addresses are public |

mod address;
mod attempt;
#[cfg(test)]
mod tests;
mod worker;

use crate::ops::access_log::short_id;
use crate::ops::metrics::{NotifyCounts, NotifyResult};
use crate::ops::{NotifySettings, cause, threads};
use crate::relay::{Notification, Notifier};
use attempt::Sender;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use worker::Worker;

/// Maximum notifications that are not sent yet.
const QUEUE_MAX: usize = 1024;

/// Maximum size of their bodies and URLs together, in bytes: a status has the header fields of its
/// creator, 64 KiB or more.
const QUEUE_MAX_BYTES: usize = 16 << 20;

/// Maximum time of an attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Pauses before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// The thread that sends notifications.
#[derive(Debug)]
pub struct NotifyThread {
    /// `None` once no more follow.
    queue: Option<mpsc::Sender<Notification>>,
    backlog: Arc<Backlog>,
    /// Ends with the thread.
    thread: Receiver<()>,
    /// Whether the last notification was dropped: a shortage is logged once.
    is_full: bool,
}

impl NotifyThread {
    /// Starts the thread; `None`: notifications are off.
    ///
    /// # Errors
    /// One line: the secret cannot be read, or the thread cannot be created.
    pub fn start(settings: &NotifySettings) -> Result<Option<Self>, String> {
        let Some(key) = settings.key()? else { return Ok(None) };
        let thread = Self::sending(Sender::new(key, settings.clone(), TIMEOUT), PAUSES);
        let failed = |error| format!("cannot start the thread of notifications: {}", cause(&error));
        thread.map(Some).map_err(failed)
    }

    fn sending(sender: Sender, pauses: [Duration; 2]) -> std::io::Result<Self> {
        let (queue, notifications) = mpsc::channel();
        let (ended, thread) = mpsc::channel();
        let backlog = Arc::new(Backlog::default());
        let worker = Worker::new(notifications, Arc::clone(&backlog), sender, pauses);
        threads::spawn("notifications", move || {
            let _ended: mpsc::Sender<()> = ended;
            worker.run();
        })?;
        Ok(Self { queue: Some(queue), backlog, thread, is_full: false })
    }
}

impl Notifier for NotifyThread {
    fn ended(&mut self, notification: Notification) {
        let stream = notification.stream;
        let is_queued = self.backlog.reserve(&notification)
            && self.queue.as_ref().is_some_and(|queue| queue.send(notification).is_ok());
        if !is_queued {
            self.backlog.count(NotifyResult::Dropped);
            if !self.is_full {
                let stream = short_id(stream);
                log::warn!("notification failed stream={stream} reason=too many wait; more follow");
            }
        }
        self.is_full = !is_queued;
    }

    fn counts(&self) -> NotifyCounts {
        NotifyResult::ALL
            .map(|result| self.backlog.results[result as usize].load(Ordering::Relaxed))
    }

    fn finish(&mut self, within: Duration) {
        self.queue = None;
        if self.backlog.len() > 0
            && self.thread.recv_timeout(within) == Err(RecvTimeoutError::Timeout)
        {
            log::warn!("{} notifications were not sent before the end", self.backlog.len());
        }
    }
}

/// The notifications that are not sent yet, and the results of the others.
#[derive(Debug, Default)]
struct Backlog {
    count: AtomicUsize,
    bytes: AtomicUsize,
    results: [AtomicU64; NotifyResult::ALL.len()],
}

impl Backlog {
    /// Adds a notification, if there is space for it. Called by one thread only.
    fn reserve(&self, notification: &Notification) -> bool {
        let bytes = size_bytes(notification);
        let has_space =
            self.len() < QUEUE_MAX && self.bytes.load(Ordering::Relaxed) + bytes <= QUEUE_MAX_BYTES;
        if has_space {
            self.count.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        has_space
    }

    /// Removes a notification with this result.
    fn settle(&self, notification: &Notification, result: NotifyResult) {
        self.count(result);
        self.bytes.fetch_sub(size_bytes(notification), Ordering::Relaxed);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    fn count(&self, result: NotifyResult) {
        self.results[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

fn size_bytes(notification: &Notification) -> usize {
    notification.body.len() + notification.url.len()
}
