//! The one place where clients read the clock.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "clients wait for themselves; no event loop has it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
