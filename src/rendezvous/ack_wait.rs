//! Waiting until the destination's TCP has acknowledged a complete body. No event reports that, so
//! a timer checks it: soon at first, as most bodies are acknowledged within a round trip, then less
//! often.

use std::time::{Duration, Instant};

/// Pauses between two checks: doubling, from and up to.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What the destination's TCP has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// Every byte.
    All,
    /// Not these segments in flight, and these bytes that were not sent.
    Not {
        /// Segments that were sent.
        segments: u32,
        /// Bytes in the send buffer that were not.
        unsent_bytes: u32,
    },
    /// The connection was reset or timed out, or the kernel does not report it.
    Lost,
}

/// The wait of one transfer.
#[derive(Debug)]
pub struct AckWait {
    last: Option<Acked>,
    /// When an acknowledgement was last noticed, or the wait began.
    progress_at: Instant,
    /// When the timer checks next; an event of the socket can cause a check before.
    next_at: Instant,
    pause: Duration,
}

impl AckWait {
    /// Begins to wait.
    pub fn new(now: Instant) -> Self {
        Self { last: None, progress_at: now, next_at: now, pause: FIRST_PAUSE }
    }

    /// Notes a check that found bytes not acknowledged; returns the time of the next one. `None`:
    /// nothing was acknowledged for this long.
    pub fn checked(&mut self, found: Acked, now: Instant, timeout: Duration) -> Option<Instant> {
        if self.last.replace(found) != Some(found) {
            self.progress_at = now;
        }
        let left = timeout.saturating_sub(now.saturating_duration_since(self.progress_at));
        if self.next_at <= now {
            self.next_at = now + self.pause;
            self.pause = (self.pause * 2).min(LAST_PAUSE);
        }
        (!left.is_zero()).then(|| self.next_at.min(now + left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(3);

    fn not(unsent_bytes: u32) -> Acked {
        Acked::Not { segments: 1, unsent_bytes }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn checks_become_rarer_until_the_timeout() {
        let begin = Instant::now();
        let (mut wait, mut now, mut checks) = (AckWait::new(begin), begin, 0);
        while let Some(next) = wait.checked(not(7), now, TIMEOUT) {
            assert!(next > now && next <= now + LAST_PAUSE, "the loop must not spin");
            (now, checks) = (next, checks + 1);
        }
        assert_eq!(now, begin + TIMEOUT);
        assert!(checks < 20, "{checks} checks");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn checks_between_do_not_delay_the_next_one() {
        let begin = Instant::now();
        let mut wait = AckWait::new(begin);
        for bytes in 0..100 {
            let next = wait.checked(not(100 - bytes), begin, TIMEOUT);
            assert_eq!(next, Some(begin + FIRST_PAUSE));
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn a_slow_destination_that_acknowledges_has_time() {
        let begin = Instant::now();
        let mut wait = AckWait::new(begin);
        for second in 0..100 {
            let now = begin + Duration::from_secs(u64::from(second));
            assert!(wait.checked(not(100 - second), now, TIMEOUT).is_some(), "{second}");
        }
        let late = begin + Duration::from_secs(102);
        assert_eq!(wait.checked(not(1), late, TIMEOUT), None);
    }
}
