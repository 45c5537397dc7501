//! A state in which the relay serves everything, only slower. PURE. A flow of transfers can exhaust
//! a resource for a moment many times a second: only a lasting state is worth a log line.

use std::time::{Duration, Instant};

/// How long a state must last to count, and how long its end must last.
const LASTS: Duration = Duration::from_secs(1);

/// Whether the relay is in a degraded state.
#[derive(Debug)]
pub struct Degraded {
    name: &'static str,
    on: bool,
    /// Since when the observed state differs from the reported one.
    differs_since: Option<Instant>,
}

impl Degraded {
    /// Creates the state of this name, not entered.
    pub fn not_yet(name: &'static str) -> Self {
        Self { name, on: false, differs_since: None }
    }

    /// Returns the name of the state.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the relay is in this state.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Records whether the relay appears to be in this state. Each change is logged once.
    pub fn update(&mut self, now: Instant, seen: bool) {
        if seen == self.on {
            self.differs_since = None;
            return;
        }
        let since = *self.differs_since.get_or_insert(now);
        if now.saturating_duration_since(since) < LASTS {
            return;
        }
        (self.on, self.differs_since) = (seen, None);
        if seen {
            log::warn!("degraded: {}; new streams are served, and copied", self.name);
        } else {
            log::info!("no longer degraded: {}", self.name);
        }
    }

    /// Returns when the state changes if the observation persists.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.differs_since.and_then(|since| since.checked_add(LASTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn only_a_lasting_condition_is_a_state() {
        let base = Instant::now();
        let mut state = Degraded::not_yet("out of pipes");
        for (name, at_ms, seen, on, deadline_ms) in [
            ("nothing is wrong", 0, false, false, None),
            ("a moment", 100, true, false, Some(1100)),
            ("it is over", 200, false, false, None),
            ("again", 300, true, false, Some(1300)),
            ("it lasts", 1200, true, false, Some(1300)),
            ("long enough", 1300, true, true, None),
            ("a moment without", 1400, false, true, Some(2400)),
            ("again", 1500, true, true, None),
            ("it ends", 2000, false, true, Some(3000)),
            ("for good", 3000, false, false, None),
        ] {
            state.update(base + Duration::from_millis(at_ms), seen);
            let deadline = deadline_ms.map(|ms| base + Duration::from_millis(ms));
            assert_eq!((state.is_on(), state.next_deadline()), (on, deadline), "{name}");
        }
    }
}
