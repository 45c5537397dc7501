//! The event sources of a loop besides connections.

use crate::ops::cause;
use mio::Token;
use std::io;

/// Signals.
pub(super) const SIGNALS: Token = Token(0);

/// Another thread has something for the loop: a new configuration, verdicts, or messages.
pub(super) const WOKEN: Token = Token(1);

/// The operators' listener.
pub(super) const ADMIN: Token = Token(2);

/// A hand-over.
pub(super) const HANDOVER: Token = Token(3);

/// The first of the other listeners.
pub(super) const FIRST_LISTENER: usize = 4;

/// What cannot be done without a descriptor that the loop needs.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn no_events(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot wait for events: {}", cause(&error)))
}
