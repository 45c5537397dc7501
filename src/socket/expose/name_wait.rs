//! How long to wait for a name that is in use: after a crash, the relay keeps it for the connection
//! that was lost, and an agent with another secret cannot prove to be its successor.

use crate::mux::session::close;
use crate::socket::Error;
use std::time::{Duration, Instant};

/// Maximum pause between two attempts, so that a name is not left free for long.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The wait for a name.
pub(super) struct NameWait {
    limit: Duration,
    /// When the name was first found in use.
    since: Option<Instant>,
}

impl NameWait {
    /// Creates a wait of at most `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// Whether this error is a name in use, within the time to wait for it.
    pub(super) fn waits(&mut self, error: &Error, now: Instant) -> bool {
        let Error::Closed { code: close::NAME_TAKEN, .. } = error else { return false };
        let since = *self.since.get_or_insert(now);
        now.saturating_duration_since(since) < self.limit
    }

    /// Whether the name was found in use before.
    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Ends the wait: the agent was connected.
    pub(super) fn end(&mut self) {
        self.since = None;
    }

    /// Returns the pause before the next attempt, which is at most `pause`.
    pub(super) fn pause(pause: Duration) -> Duration {
        pause.min(PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_use_is_awaited_for_a_limited_time_and_nothing_else_is() {
        let start = crate::client::clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let closed = |code| Error::Closed { code, reason: String::new() };
        let (taken, replaced) = (closed(close::NAME_TAKEN), closed(close::REPLACED));
        let mut names = NameWait::new(Duration::from_mins(2));
        assert!(!names.waits(&replaced, at(0)));
        assert!(names.waits(&taken, at(10)) && names.waits(&taken, at(129)));
        assert!(!names.waits(&taken, at(130)), "from the first time");
        names.end();
        assert!(names.waits(&taken, at(131)), "another wait");
        assert!(!NameWait::new(Duration::ZERO).waits(&taken, at(0)));
    }
}
