//! Notifications about ended streams, as the event loop sees them: they are sent outside the loop,
//! and nothing here blocks it.

use crate::api::status;
use crate::ops::access_log::short_id;
use crate::ops::metrics::NotifyCounts;
use crate::rendezvous::{Registry, Stream};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// A notification to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The stream that ended.
    pub stream: Uuid,
    /// The URL to notify. It may contain a secret.
    pub url: Box<str>,
    /// The status of the stream, in JSON.
    pub body: String,
}

/// Sends notifications. It is called by the loop, so nothing here may block but
/// [`Notifier::finish`].
pub trait Notifier: fmt::Debug + Send {
    /// Sends a notification later, or counts it as dropped.
    fn ended(&mut self, notification: Notification);

    /// Returns the numbers of notifications so far.
    fn counts(&self) -> NotifyCounts;

    /// Waits for at most this time until all notifications are sent. Called once, after the loop.
    fn finish(&mut self, within: Duration);
}

/// What sends the notifications, if anything does. All workers share it.
#[derive(Clone, Debug, Default)]
pub struct Notifications(Option<Arc<Mutex<Box<dyn Notifier>>>>);

impl Notifications {
    /// Sends all notifications from now on through this notifier.
    pub fn send_through(&mut self, notifier: Box<dyn Notifier>) {
        self.0 = Some(Arc::new(Mutex::new(notifier)));
    }

    /// Returns the numbers of notifications so far.
    pub fn counts(&self) -> NotifyCounts {
        self.0.as_deref().map(|notifier| locked(notifier).counts()).unwrap_or_default()
    }

    /// Waits for at most this time until all notifications are sent.
    pub fn finish(&mut self, within: Duration) {
        if let Some(notifier) = self.0.take() {
            locked(&notifier).finish(within);
        }
    }

    /// Notifies the URLs of streams that ended since the last call.
    pub fn notify(&mut self, registry: &mut Registry) {
        let read = |stream: &Stream| {
            let url = stream.notify_url()?.into();
            let body = status::object(stream).to_string();
            Some(Notification { stream: stream.id(), url, body })
        };
        while let Some(notification) = registry.take_notice(read) {
            if let Some(notification) = notification {
                self.ended(notification);
            }
        }
    }

    fn ended(&self, notification: Notification) {
        match &self.0 {
            Some(notifier) => locked(notifier).ended(notification),
            // It was handed over by a process with other settings.
            None => log::warn!(
                "notification failed stream={} reason=this relay sends none (notify-secret-file)",
                short_id(notification.stream)
            ),
        }
    }
}

fn locked(notifier: &Mutex<Box<dyn Notifier>>) -> MutexGuard<'_, Box<dyn Notifier>> {
    notifier.lock().unwrap_or_else(PoisonError::into_inner)
}
