//! The pauses between attempts to connect: each may be twice as long as the one before, and chance
//! chooses how much of it is waited for, so that the agents of a relay that went away do not come
//! back all at once.

use rustix::rand::{GetRandomFlags, getrandom};
use std::time::Duration;

/// The longest pause behind the first failure.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause of all.
const LAST: Duration = Duration::from_secs(30);

/// How often something failed in a row.
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
    /// It failed once more: the pause before the next attempt, `chance` being any number.
    pub(super) fn pause(&mut self, chance: u32) -> Duration {
        let most = self.next;
        self.next = (most * 2).min(LAST);
        most.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}

/// A number by chance; always the same one if the system has none, which only makes pauses regular.
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
