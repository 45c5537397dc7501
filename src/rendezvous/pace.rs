//! How fast the body of one stream may be taken from its source: a token bucket that is told the
//! time and how much was taken. It delays nothing itself; while it allows nothing it says until
//! when, so that one timer replaces any asking again.

use std::time::{Duration, Instant};

/// The bucket holds what the rate gives in this time: what may come at once after a silence. In
/// two seconds it is no more than 5 % above the rate.
pub const BURST_TIME: Duration = Duration::from_millis(100);

/// The bucket holds at least so many bytes: a small message goes through in one piece, however low
/// the rate. It is more than [`BURST_TIME`] gives only below 10 KiB a second.
pub const BURST_MIN: u64 = 1 << 10;

/// Once it is empty, the bucket gives nothing before it holds what comes in this time: the source is
/// looked at 20 times a second, and each time there is something worth a system call.
const PAUSE: Duration = Duration::from_millis(50);

const NANOS: u128 = 1_000_000_000;

/// The pace of one stream.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: u64,
    burst: u64,
    /// Less than this is nothing; at least 1.
    least: u64,
    /// How many bytes may have been taken in all up to `since`.
    allowed: u64,
    since: Instant,
}

impl Pace {
    /// A pace that begins now, with a full bucket. The rate is not 0.
    pub fn new(bytes_per_second: u64, now: Instant) -> Self {
        let in_time = |time: Duration| {
            let bytes = u128::from(bytes_per_second) * time.as_nanos() / NANOS;
            u64::try_from(bytes).unwrap_or(u64::MAX)
        };
        let burst = in_time(BURST_TIME).max(BURST_MIN);
        let least = in_time(PAUSE).max(1);
        Self { bytes_per_second, burst, least, allowed: burst, since: now }
    }

    /// Time has gone by, in which `taken` stayed what it is.
    pub fn refill(&mut self, taken: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        let earned = elapsed.as_nanos() * u128::from(self.bytes_per_second) / NANOS;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        let full = taken.saturating_add(self.burst);
        if self.allowed.saturating_add(earned) >= full {
            (self.allowed, self.since) = (full, now);
        } else {
            // What is not a whole byte yet is earned next time.
            self.allowed += earned;
            self.since += self.time_for(earned);
        }
    }

    /// How many bytes may be taken now, after `taken` in all; 0 while it is not worth it.
    pub fn allowance(&self, taken: u64) -> u64 {
        let left = self.allowed.saturating_sub(taken);
        if left < self.least { 0 } else { left }
    }

    /// When there is an allowance again, if nothing is taken until then.
    pub fn resumes_at(&self, taken: u64) -> Instant {
        let missing = taken.saturating_add(self.least).saturating_sub(self.allowed);
        self.since + self.time_for(missing)
    }

    /// In which time so many bytes are earned, rounded up.
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
    fn what_comes_slower_than_the_rate_never_waits() {
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
    fn a_silence_earns_one_burst_and_no_more() {
        let now = begin();
        let mut pace = Pace::new(1 << 20, now);
        pace.refill(0, now + Duration::from_hours(10));
        assert_eq!(pace.allowance(0), (1 << 20) / 10);
    }

    #[test]
    fn what_was_taken_too_much_is_waited_for() {
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
