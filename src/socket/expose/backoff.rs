//! Exponential backoff with jitter: the maximum pause doubles with each attempt, and a random part
//! of it is used, so that the agents of a lost relay do not reconnect all at once.

use rustix::rand::{GetRandomFlags, getrandom};
use std::time::Duration;

/// The longest pause after the first failure.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause of all.
const LAST: Duration = Duration::from_secs(30);

/// The state of the backoff.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Returns the pause after another failure; `chance` is a random number.
    pub(super) fn pause(&mut self, chance: u32) -> Duration {
        let most = self.next;
        self.next = (most * 2).min(LAST);
        most.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}

/// Returns a random number, or a fixed one if the system has none, which only makes pauses regular.
pub(super) fn chance() -> u32 {
    let mut bytes = [0x80; 4];
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_chance_takes_a_part() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..8).map(|_| backoff.pause(u32::MAX).as_millis()).collect();
        assert_eq!(longest, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        let half = backoff.pause(u32::MAX / 2).as_millis();
        assert!((14_999..=15_000).contains(&half), "{half}");
        assert_eq!(backoff.pause(0), Duration::ZERO);
    }
}
