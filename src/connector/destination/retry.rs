//! Decides which failures are retried and when. Time and randomness are passed in.

use crate::http::date;
use std::time::Duration;

/// The number of retries and their pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Maximum retries after the first attempt.
    pub retries: u32,
    /// Maximum pause after the first attempt; doubles with each retry.
    pub first: Duration,
    /// Maximum of all pauses, also of those requested with `Retry-After`.
    pub max: Duration,
}

impl Default for Backoff {
    /// Three retries, after pauses of up to 500 ms, 1 s and 2 s.
    fn default() -> Self {
        Self { retries: 3, first: Duration::from_millis(500), max: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// Returns the pause after `failed` attempts (from 1 on), with full jitter: between zero and
    /// the limit, which doubles each time, so that many clients do not return at once. `chance` is
    /// uniformly random. A pause that the server requested is the minimum, up to the maximum pause.
    pub fn pause(&self, failed: u32, chance: u32, asked: Option<Duration>) -> Duration {
        let doubled = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = self.first.saturating_mul(doubled).min(self.max);
        let jittered = longest.mul_f64(f64::from(chance) / f64::from(u32::MAX));
        jittered.max(asked.unwrap_or_default().min(self.max))
    }
}

/// Whether a retry would get the same response: redirects, which are not followed, and errors in
/// the request itself.
pub(super) fn is_final(status: u16) -> bool {
    matches!(status, 300..=399 | 400 | 401 | 404 | 413 | 422)
}

/// Parses a `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3). Returns `None` if it
/// is neither.
pub(super) fn retry_after(value: &str, now_unix_seconds: i64) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = date::unix_seconds(value, now_unix_seconds)?;
    Some(Duration::from_secs(u64::try_from(date.saturating_sub(now_unix_seconds)).unwrap_or(0)))
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
    fn pauses_grow_to_the_longest_one() {
        for (name, failed, chance, asked, millis) in [
            ("the first", 1, u32::MAX, None, 500),
            ("the second", 2, u32::MAX, None, 1000),
            ("the third", 3, u32::MAX, None, 2000),
            ("no longer than the longest", 4, u32::MAX, None, 3000),
            ("however many there were", u32::MAX, u32::MAX, None, 3000),
            ("no luck, no pause", 5, 0, None, 0),
            ("half of it", 2, u32::MAX / 2, None, 500),
            ("the server asks for more", 1, 0, Some(seconds(2)), 2000),
            ("for less than chance gives", 3, u32::MAX, Some(seconds(1)), 2000),
            ("for too much", 1, u32::MAX, Some(seconds(3600)), 3000),
            ("for no pause", 1, 0, Some(seconds(0)), 0),
        ] {
            // A millisecond is lost where half of `u32::MAX` is rounded down.
            let pause = POLICY.pause(failed, chance, asked).as_micros().div_ceil(1000);
            assert_eq!(pause, millis, "{name}");
        }
    }

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let now = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, asked) in [
            ("0", Some(seconds(0))),
            (" 120 ", Some(seconds(120))),
            ("99999999999999999999", Some(seconds(u64::MAX))),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(seconds(10))),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(seconds(0))),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(seconds(10))),
            ("Sun Nov  6 08:49:47 1994", Some(seconds(10))),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, now), asked, "{value}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_request_is_not_tried_again() {
        for (status, last) in [
            (400, true),
            (401, true),
            (404, true),
            (413, true),
            (422, true),
            (301, true),
            (304, true),
            (202, false),
            (403, false),
            (408, false),
            (409, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            assert_eq!(is_final(status), last, "{status}");
        }
    }
}
