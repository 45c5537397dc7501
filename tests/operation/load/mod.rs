//! Load limits: what is refused beyond each, with which response, and that running transfers
//! continue.

mod addresses;
mod bytes;
mod rate;
mod requests;
use crate::support::{Response, assert_error};

/// A refusal because of load, with this status and `Retry-After`.
pub(crate) fn assert_busy(answer: &Response, (status, seconds): (u16, &str), message: &str) {
    assert_error(message, answer, (status, "TooBusyError", Some(message)));
    assert_eq!(answer.head.get("Retry-After"), Some(seconds), "{message}");
}
