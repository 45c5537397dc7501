//! Whether the other end still wants the response to a request. A handler can check this without
//! reading or writing, and a hook never runs after its [`OnCancel`] was dropped.

use super::link::poisoned;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Whether a request was cancelled, by the other end or by the end of the connection. Every request
/// that [`serve`](super::SocketConnection::serve) passes to its handler has one among its
/// extensions. Clones share their state.
///
/// ```
/// use rdv::socket::{Body, Cancellation};
///
/// fn handler(request: http::Request<Body>) -> http::Response<Body> {
///     let cancellation = request.extensions().get::<Cancellation>().cloned();
///     let tick = std::time::Duration::from_millis(1);
///     for _ in 0..10 {
///         if cancellation.as_ref().is_some_and(|cancellation| cancellation.wait(tick)) {
///             break; // The response is no longer wanted.
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
    /// The hooks to run on cancellation; `None` if dropped.
    hooks: Vec<Option<Hook>>,
}

type Hook = Box<dyn FnOnce() + Send>;

impl Cancellation {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Whether the response is no longer wanted.
    pub fn is_cancelled(&self) -> bool {
        poisoned(self.0.state.lock()).cancelled
    }

    /// Waits up to `most` for the cancellation, and returns whether it happened.
    pub fn wait(&self, most: Duration) -> bool {
        let state = poisoned(self.0.state.lock());
        let waited = self.0.changed.wait_timeout_while(state, most, |state| !state.cancelled);
        poisoned(waited).0.cancelled
    }

    /// Runs `act` when the request is cancelled, or at once if it already is. The thread that owns
    /// the connection runs it: it must not block, nor use this cancellation. It does not run once
    /// the [`OnCancel`] is dropped.
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

    /// Cancels the request and runs the hooks.
    pub(super) fn cancel(&self) {
        let mut state = poisoned(self.0.state.lock());
        state.cancelled = true;
        self.0.changed.notify_all();
        // Under the lock: once an `OnCancel` is dropped, its hook is not running.
        state.hooks.drain(..).flatten().for_each(|act| act());
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancellation").field(&self.is_cancelled()).finish()
    }
}

/// A hook that runs when a request is cancelled, unless this is dropped first.
#[derive(Debug)]
#[must_use = "nothing is done once it is dropped"]
pub struct OnCancel {
    cancellation: Cancellation,
    place: usize,
}

impl OnCancel {
    /// Whether the hook has run.
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
    fn cancel_callbacks_run_once_and_only_while_held() {
        let cancellation = Cancellation::new();
        let (tell, done) = mpsc::channel();
        let record = |what: &'static str| {
            let tell = tell.clone();
            move || tell.send(what).unwrap()
        };
        let first = cancellation.on_cancel(record("first"));
        drop(cancellation.on_cancel(record("dropped")));
        let last = cancellation.on_cancel(record("last"));
        assert!(!cancellation.is_cancelled() && !first.is_done());
        cancellation.clone().cancel();
        assert!(cancellation.is_cancelled() && last.is_done());
        assert!(cancellation.wait(Duration::from_secs(30)), "at once");
        cancellation.cancel();
        let _late = cancellation.on_cancel(record("late"));
        assert_eq!(done.try_iter().collect::<Vec<_>>(), ["first", "last", "late"]);
    }
}
