//! Exponential backoff with full jitter, so that many clients of a lost server do not return all at
//! once.

use crate::ops::random;
use std::time::Duration;

/// The number of retries and their pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Maximum retries after the first attempt.
    pub retries: u32,
    /// Maximum pause after the first attempt; doubles with each retry.
    pub first: Duration,
    /// Maximum of all pauses, also of those requested by the server.
    pub max: Duration,
}

impl Default for Backoff {
    /// Three retries, after pauses of up to 500 ms, 1 s and 2 s.
    fn default() -> Self {
        Self { retries: 3, first: Duration::from_millis(500), max: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// Returns a random pause after `failed` attempts (from 1 on).
    pub(crate) fn pause(&self, failed: u32) -> Duration {
        self.pause_of(failed, chance(), None)
    }

    /// Returns a random pause after `failed` attempts (from 1 on); one that the server requested is
    /// the minimum, up to the maximum pause.
    #[cfg(feature = "connector")]
    pub(crate) fn pause_at_least(&self, failed: u32, requested: Option<Duration>) -> Duration {
        self.pause_of(failed, chance(), requested)
    }

    /// Returns the pauses before each retry.
    pub(crate) fn pauses(self) -> impl Iterator<Item = Duration> {
        (1..=self.retries).map(move |failed| self.pause(failed))
    }

    fn pause_of(&self, failed: u32, chance: u32, requested: Option<Duration>) -> Duration {
        let doubled = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = self.first.saturating_mul(doubled).min(self.max);
        let jittered = longest.mul_f64(f64::from(chance) / f64::from(u32::MAX));
        jittered.max(requested.unwrap_or_default().min(self.max))
    }
}

/// Returns a uniformly random number; without a source of randomness the largest, which gives the
/// longest pause.
fn chance() -> u32 {
    random::bytes().map_or(u32::MAX, u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Backoff =
        Backoff { retries: 9, first: Duration::from_millis(500), max: Duration::from_secs(3) };

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_up_to_the_maximum() {
        for (name, failed, chance, requested, millis) in [
            ("the first", 1, u32::MAX, None, 500),
            ("the second", 2, u32::MAX, None, 1000),
            ("the third", 3, u32::MAX, None, 2000),
            ("the maximum", 4, u32::MAX, None, 3000),
            ("after any number", u32::MAX, u32::MAX, None, 3000),
            ("none", 5, 0, None, 0),
            ("half", 2, u32::MAX / 2, None, 500),
            ("the server requests more", 1, 0, Some(seconds(2)), 2000),
            ("the server requests less", 3, u32::MAX, Some(seconds(1)), 2000),
            ("the server requests too much", 1, u32::MAX, Some(seconds(3600)), 3000),
            ("the server requests none", 1, 0, Some(seconds(0)), 0),
        ] {
            // A millisecond is lost where half of `u32::MAX` is rounded down.
            let pause = POLICY.pause_of(failed, chance, requested).as_micros().div_ceil(1000);
            assert_eq!(pause, millis, "{name}");
        }
        assert_eq!(POLICY.pauses().count(), 9);
        assert_eq!(Backoff { retries: 0, ..POLICY }.pauses().count(), 0);
    }
}
