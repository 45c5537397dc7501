//! How many event loops a relay has.

use std::fmt;
use std::str::FromStr;
use std::thread;

/// Maximum workers: their number is 8 bits of an identifier.
pub const WORKERS_MAX: usize = 256;

/// The number of workers: 1 to [`WORKERS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerCount(usize);

impl WorkerCount {
    /// Returns the number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl FromStr for WorkerCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            let cpus = thread::available_parallelism().map_or(1, usize::from);
            return Ok(Self(cpus.min(WORKERS_MAX)));
        }
        let count = text.parse().ok().filter(|count| (1..=WORKERS_MAX).contains(count));
        count.map(Self).ok_or_else(|| format!("expected a number from 1 to {WORKERS_MAX}, or auto"))
    }
}

impl fmt::Display for WorkerCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_workers_is_limited() {
        for (text, count) in [
            ("1", Some(1)),
            ("256", Some(256)),
            ("0", None),
            ("257", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("Auto", None),
        ] {
            assert_eq!(text.parse().ok(), count.map(WorkerCount), "{text:?}");
        }
        assert!("auto".parse::<WorkerCount>().unwrap().get() >= 1);
    }
}
