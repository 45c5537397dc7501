//! Load limits: what is refused beyond each, how that is said, and that what runs goes on.

mod addresses;
mod bytes;
mod rate;
mod requests;
use crate::support::{Response, assert_error};

/// A refusal for being too busy, with the status and the `Retry-After` asked for.
pub(crate) fn assert_busy(answer: &Response, (status, seconds): (u16, &str), message: &str) {
    assert_error(message, answer, (status, "TooBusyError", Some(message)));
    assert_eq!(answer.head.get("Retry-After"), Some(seconds), "{message}");
}
