//! The only place that reads a clock: to give up or to go on for a time, never to measure.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; a safety net, not an expectation. Hundreds of MiB
/// take 10 s and more where others use all processors.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The pause between two looks at a state that sends no event.
const PAUSE: Duration = Duration::from_millis(3);

#[allow(clippy::disallowed_methods, reason = "a test has no event loop to hand it the time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Looks again and again until `look` finds something; panics with `what` when patience is over.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < deadline, "never came true: {what}");
        thread::sleep(PAUSE);
    }
}
