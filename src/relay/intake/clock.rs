//! How long a body may take. PURE. A client that sends one byte before each timeout would keep its
//! connection, and the received part of its record, for months: so bytes must also arrive at a
//! minimum rate, as with Apache's `mod_reqtimeout` (`body=20,MinRate=500`).

use std::time::{Duration, Instant};

/// Minimum average rate of a body in bytes per second, after the first timeout: slower than the
/// worst mobile network, and a body of 1 MiB takes 35 minutes at most.
const LEAST_RATE: u64 = 500;

/// The time one body takes. The clock is stopped while its consumer takes nothing: that is not the
/// sender's fault.
#[derive(Clone, Copy, Debug)]
pub struct BodyClock {
    began: Instant,
    /// When the consumer stopped taking bytes.
    stopped_at: Option<Instant>,
    /// Body bytes received.
    bytes: u64,
}

impl BodyClock {
    /// Starts the clock of a body.
    pub fn start(now: Instant) -> Self {
        Self { began: now, stopped_at: None, bytes: 0 }
    }

    /// Counts received body bytes.
    pub fn received(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Stops the clock: the consumer takes nothing for a while.
    pub fn stop(&mut self, now: Instant) {
        self.stopped_at = self.stopped_at.or(Some(now));
    }

    /// Restarts the clock: the consumer takes more.
    pub fn go_on(&mut self, now: Instant) {
        if let Some(stopped_at) = self.stopped_at.take() {
            let stopped_for = now.saturating_duration_since(stopped_at);
            self.began = self.began.checked_add(stopped_for).unwrap_or(now);
        }
    }

    /// Returns the deadline of the next byte: `timeout` after the last one, and no later than the
    /// minimum rate allows. `None`: no deadline.
    pub fn deadline(&self, now: Instant, timeout: Duration) -> Option<Instant> {
        if self.stopped_at.is_some() {
            return None;
        }
        let bytes_time = Duration::from_secs(self.bytes / LEAST_RATE)
            + Duration::from_millis(self.bytes % LEAST_RATE * 1000 / LEAST_RATE);
        let complete = timeout.checked_add(bytes_time);
        let complete = complete.and_then(|allowed| self.began.checked_add(allowed));
        [now.checked_add(timeout), complete].into_iter().flatten().min()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn a_body_has_a_timeout_per_byte_and_a_minimum_rate() {
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        for (name, bytes, now_s, deadline_s) in [
            ("nothing yet", 0, 0, 10),
            ("one byte just before", 1, 9, 10),
            ("a fast one", 1 << 20, 1, 11),
            ("as slow as it may be", 5000, 20, 20),
            ("a little faster", 5500, 11, 21),
        ] {
            let mut clock = BodyClock::start(base);
            clock.received(bytes);
            let deadline = clock.deadline(at(now_s), TIMEOUT).unwrap();
            let late = deadline.saturating_duration_since(at(deadline_s));
            let early = at(deadline_s).saturating_duration_since(deadline);
            assert!(late.max(early) < Duration::from_millis(10), "{name}: {late:?} {early:?}");
        }
    }

    #[test]
    fn time_spent_waiting_for_a_consumer_does_not_count() {
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        let mut clock = BodyClock::start(base);
        clock.stop(at(5));
        clock.stop(at(50));
        assert_eq!(clock.deadline(at(60), TIMEOUT), None);
        clock.go_on(at(105));
        assert_eq!(clock.deadline(at(105), TIMEOUT), Some(at(110)));
        clock.go_on(at(106));
        assert_eq!(clock.deadline(at(106), TIMEOUT), Some(at(110)), "it runs already");
    }

    #[test]
    fn a_timeout_beyond_the_clock_is_no_deadline() {
        let clock = BodyClock::start(Instant::now());
        assert_eq!(clock.deadline(Instant::now(), Duration::MAX), None);
    }
}
