//! Decides which failures are retried, and reads when the server wants that.

use crate::http::date;
use std::time::Duration;

/// Whether a retry is wrong or would get the same response: the server processed the record (2xx), a
/// redirect, which is not followed, or an error in the request itself.
pub(super) fn is_final(status: u16) -> bool {
    matches!(status, 200..=399 | 400 | 401 | 404 | 413 | 422)
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

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
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
    fn client_errors_are_not_retried() {
        for (status, last) in [
            (400, true),
            (401, true),
            (404, true),
            (413, true),
            (422, true),
            (301, true),
            (304, true),
            (202, true),
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
