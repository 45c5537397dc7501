//! The rate limit of a stream's body: a token bucket that is given the time and the number of bytes
//! taken. It does not block; while it is empty it returns the time at which it resumes, so that one
//! timer replaces polling.

use std::time::{Duration, Instant};

/// The bucket's size in time at the given rate, which is the burst after a pause. Over two seconds
/// it adds no more than 5 % to the rate.
pub const BURST_TIME: Duration = Duration::from_millis(100);

/// Minimum size of the bucket in bytes: a small message passes in one piece, however low the rate.
/// It exceeds [`BURST_TIME`] only below 10 KiB per second.
pub const BURST_MIN: u64 = 1 << 10;

/// The time for which an empty bucket refills before it allows more: the source is read 20 times
/// per second, and each time enough for a system call.
const PAUSE: Duration = Duration::from_millis(50);

const NANOS: u128 = 1_000_000_000;

/// The rate limit of one stream.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: u64,
    burst: u64,
    /// Minimum allowance in bytes; at least 1.
    least: u64,
    /// Maximum total of bytes taken up to `since`.
    allowed: u64,
    since: Instant,
}

impl Pace {
    /// Creates a full bucket. The rate must not be 0.
    pub fn new(bytes_per_second: u64, now: Instant) -> Self {
        let in_time = |time: Duration| {
            let bytes = u128::from(bytes_per_second) * time.as_nanos() / NANOS;
            u64::try_from(bytes).unwrap_or(u64::MAX)
        };
        let burst = in_time(BURST_TIME).max(BURST_MIN);
        let least = in_time(PAUSE).max(1);
        Self { bytes_per_second, burst, least, allowed: burst, since: now }
    }

    /// Refills the bucket up to `now`, with `taken` bytes in total so far.
    pub fn refill(&mut self, taken: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        let earned = elapsed.as_nanos() * u128::from(self.bytes_per_second) / NANOS;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        let full = taken.saturating_add(self.burst);
        if self.allowed.saturating_add(earned) >= full {
            (self.allowed, self.since) = (full, now);
        } else {
            // The fraction of a byte is added next time.
            self.allowed += earned;
            self.since += self.time_for(earned);
        }
    }

    /// Returns how many bytes may be taken now, after `taken` in total; 0 if below the minimum.
    pub fn allowance(&self, taken: u64) -> u64 {
        let left = self.allowed.saturating_sub(taken);
        if left < self.least { 0 } else { left }
    }

    /// Returns when there is an allowance again, if nothing is taken until then.
    pub fn resumes_at(&self, taken: u64) -> Instant {
        let missing = taken.saturating_add(self.least).saturating_sub(self.allowed);
        self.since + self.time_for(missing)
    }

    /// Returns the time in which `bytes` are added, rounded up.
    fn time_for(&self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * NANOS).div_ceil(u128::from(self.bytes_per_second));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn begin() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_greedy_source_gets_its_rate_and_one_burst() {
        for rate in [1, 7, 20, 1000, 65_537, 1 << 20, 10_000_000_000] {
            let start = begin();
            let (mut now, mut taken) = (start, 0);
            let mut pace = Pace::new(rate, now);
            let mut looks: u64 = 0;
            while now < start + Duration::from_secs(10) {
                pace.refill(taken, now);
                let allowance = pace.allowance(taken);
                assert!(allowance > 0 || looks == 0, "{rate}: a pause is long enough");
                taken += allowance;
                now = pace.resumes_at(taken);
                looks += 1;
            }
            let ideal = rate * 10;
            let burst = (rate / 10).max(BURST_MIN);
            let part = (rate / 20).max(1);
            assert!(taken <= ideal + burst, "{rate}: {taken}");
            assert!(taken + part >= ideal + burst.min(taken), "{rate}: {taken}");
            assert!(looks <= 203, "{rate}: {looks} looks in 10 s");
        }
    }

    #[test]
    fn data_below_the_rate_never_waits() {
        let mut now = begin();
        let mut taken = 0;
        let mut pace = Pace::new(100_000, now);
        for _ in 0..1000 {
            pace.refill(taken, now);
            assert!(pace.allowance(taken) >= 4096, "a message that fits the bucket");
            taken += 4096;
            now += Duration::from_millis(42);
        }
    }

    #[test]
    fn an_idle_period_allows_one_burst_only() {
        let now = begin();
        let mut pace = Pace::new(1 << 20, now);
        pace.refill(0, now + Duration::from_hours(10));
        assert_eq!(pace.allowance(0), (1 << 20) / 10);
    }

    #[test]
    fn excess_bytes_delay_the_next_read() {
        let now = begin();
        let mut pace = Pace::new(1000, now);
        let taken = BURST_MIN + 2000;
        pace.refill(taken, now);
        assert_eq!(pace.allowance(taken), 0);
        let until = pace.resumes_at(taken);
        assert_eq!(until, now + Duration::from_millis(2050));
        pace.refill(taken, until);
        assert_eq!(pace.allowance(taken), 50);
    }

    proptest! {
        #[test]
        fn no_schedule_gets_more_than_the_rate_and_one_burst(
            rate in prop_oneof![1..100u64, 1000..1_000_000u64, 1_000_000_000..20_000_000_000u64],
            acts in prop::collection::vec((0..300_000_000u64, 0..=100u64), 1..200),
        ) {
            let start = begin();
            let (mut now, mut taken) = (start, 0);
            let mut pace = Pace::new(rate, now);
            for (nanos, percent) in acts {
                now += Duration::from_nanos(nanos);
                pace.refill(taken, now);
                taken += pace.allowance(taken) * percent / 100;
                let elapsed = now.duration_since(start).as_nanos();
                let most = u128::from((rate / 10).max(BURST_MIN))
                    + elapsed * u128::from(rate) / NANOS;
                prop_assert!(u128::from(taken) <= most, "{} > {}", taken, most);
                if pace.allowance(taken) == 0 {
                    let until = pace.resumes_at(taken);
                    prop_assert!(until > now, "nobody asks in vain");
                }
            }
        }
    }
}
