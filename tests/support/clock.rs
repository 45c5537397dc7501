//! The only place that reads a clock: for timeouts, never to measure.

use std::thread;
use std::time::{Duration, Instant};

/// Timeout for anything in a test; a safety net, not an expectation. Hundreds of MiB take 10 s and
/// more if other processes use all processors.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_mins(1);

/// The pause between two checks of a state without events.
const PAUSE: Duration = Duration::from_millis(3);

#[allow(clippy::disallowed_methods, reason = "a test has no event loop to hand it the time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Polls until `look` returns a value; panics with `what` at the timeout.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + TEST_TIMEOUT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < deadline, "timeout: {what}");
        thread::sleep(PAUSE);
    }
}
