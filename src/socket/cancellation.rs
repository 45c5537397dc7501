//! Whether the other end still wants the answer to a request. Its promise: whoever serves can find
//! out without reading or writing, and what it asked to be done is not done once it said that it
//! needs it no more.

use super::link::poisoned;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Whether a request is still wanted: it is not when the other end cancelled it, or the connection
/// ended. Every request that [`serve`](super::SocketConnection::serve) hands to its handler has one
/// among its extensions. Clones tell the same.
///
/// ```
/// use rdv::socket::{Body, Cancellation};
///
/// fn handler(request: http::Request<Body>) -> http::Response<Body> {
///     let cancellation = request.extensions().get::<Cancellation>().cloned();
///     let tick = std::time::Duration::from_millis(1);
///     for _ in 0..10 {
///         if cancellation.as_ref().is_some_and(|cancellation| cancellation.wait(tick)) {
///             break; // Nobody waits for the rest.
///         }
///     }
///     http::Response::new(Body::from("done"))
/// }
/// assert_eq!(handler(http::Request::new(Body::empty())).status(), 200);
/// ```
#[derive(Clone, Default)]
pub struct Cancellation(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<CancelState>,
    changed: Condvar,
}

#[derive(Default)]
struct CancelState {
    cancelled: bool,
    /// What is to be done then; `None` where nobody needs it any more, or it is done.
    hooks: Vec<Option<Hook>>,
}

type Hook = Box<dyn FnOnce() + Send>;

impl Cancellation {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Whether nobody waits for the answer.
    pub fn is_cancelled(&self) -> bool {
        poisoned(self.0.state.lock()).cancelled
    }

    /// Waits so long, or until nobody waits for the answer; whether that is so.
    pub fn wait(&self, most: Duration) -> bool {
        let state = poisoned(self.0.state.lock());
        let waited = self.0.changed.wait_timeout_while(state, most, |state| !state.cancelled);
        poisoned(waited).0.cancelled
    }

    /// Does this when nobody waits for the answer any more; at once, if nobody does now. It is done
    /// by the thread that carries the connection: it must not wait for anything, and not use this
    /// cancellation. Once the [`OnCancel`] is dropped it is not done.
    pub fn on_cancel(&self, act: impl FnOnce() + Send + 'static) -> OnCancel {
        let mut state = poisoned(self.0.state.lock());
        let place = state.hooks.len();
        if state.cancelled {
            act();
        } else {
            state.hooks.push(Some(Box::new(act)));
        }
        OnCancel { cancellation: self.clone(), place }
    }

    /// Nobody waits any more.
    pub(super) fn cancel(&self) {
        let mut state = poisoned(self.0.state.lock());
        state.cancelled = true;
        self.0.changed.notify_all();
        // Under the lock: whoever drops its `OnCancel` knows that nothing is being done.
        state.hooks.drain(..).flatten().for_each(|act| act());
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancellation").field(&self.is_cancelled()).finish()
    }
}

/// What is done when a request is cancelled, as long as this is there.
#[derive(Debug)]
#[must_use = "nothing is done once it is dropped"]
pub struct OnCancel {
    cancellation: Cancellation,
    place: usize,
}

impl OnCancel {
    /// Whether it has been done.
    pub fn is_done(&self) -> bool {
        self.cancellation.is_cancelled()
    }
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        let mut state = poisoned(self.cancellation.0.state.lock());
        if let Some(hook) = state.hooks.get_mut(self.place) {
            *hook = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn what_is_asked_for_is_done_once_and_only_while_it_is_needed() {
        let cancellation = Cancellation::new();
        let (tell, done) = mpsc::channel();
        let telling = |what: &'static str| {
            let tell = tell.clone();
            move || tell.send(what).unwrap()
        };
        let first = cancellation.on_cancel(telling("first"));
        drop(cancellation.on_cancel(telling("dropped")));
        let last = cancellation.on_cancel(telling("last"));
        assert!(!cancellation.is_cancelled() && !first.is_done());
        cancellation.clone().cancel();
        assert!(cancellation.is_cancelled() && last.is_done());
        assert!(cancellation.wait(Duration::from_secs(30)), "at once");
        cancellation.cancel();
        let _late = cancellation.on_cancel(telling("late"));
        assert_eq!(done.try_iter().collect::<Vec<_>>(), ["first", "last", "late"]);
    }
}
