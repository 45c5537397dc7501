//! A stop flag that interrupts pauses.

use super::link::poisoned;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A stop flag. Clones share it.
///
/// ```
/// let stop = rdv::socket::Stop::new();
/// stop.clone().set();
/// assert!(stop.wait(std::time::Duration::from_secs(30)), "at once");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Creates a flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag.
    pub fn set(&self) {
        *poisoned(self.0.0.lock()) = true;
        self.0.1.notify_all();
    }

    /// Whether the flag is set.
    pub fn is_set(&self) -> bool {
        *poisoned(self.0.0.lock())
    }

    /// Waits up to `most` for the flag, and returns whether it is set.
    pub fn wait(&self, most: Duration) -> bool {
        let guard = poisoned(self.0.0.lock());
        let waited = self.0.1.wait_timeout_while(guard, most, |wished| !*wished);
        *poisoned(waited).0
    }
}
