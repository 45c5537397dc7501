//! The clock of the threads that deliver records; the event loop has its own.

use std::time::Instant;

#[allow(clippy::disallowed_methods, reason = "blocking threads know no turns")]
pub fn now() -> Instant {
    Instant::now()
}
