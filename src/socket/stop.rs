//! A wish to end, which interrupts pauses.

use super::link::poisoned;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A wish to end. Clones are the same wish.
///
/// ```
/// let stop = rdv::socket::Stop::new();
/// stop.clone().set();
/// assert!(stop.wait(std::time::Duration::from_secs(30)), "at once");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Nobody wishes it yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wishes it.
    pub fn set(&self) {
        *poisoned(self.0.0.lock()) = true;
        self.0.1.notify_all();
    }

    /// Whether it is wished.
    pub fn is_set(&self) -> bool {
        *poisoned(self.0.0.lock())
    }

    /// Waits so long, or until it is wished; whether it is.
    pub fn wait(&self, most: Duration) -> bool {
        let guard = poisoned(self.0.0.lock());
        let waited = self.0.1.wait_timeout_while(guard, most, |wished| !*wished);
        *poisoned(waited).0
    }
}
