//! Durations and sizes as people write them.

use std::time::Duration;

/// Reads `250ms`, `60s`, `10m`, `6h`, or combinations such as `1h 30m`; a unit is required.
///
/// # Errors
/// One line that says what would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number with a unit, such as 250ms, 60s, 10m or 6h".to_owned();
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong()).and_then(|duration| {
        if duration <= DURATION_MAX {
            Ok(duration)
        } else {
            Err("expected at most 8760h, a year".into())
        }
    })
}

/// Long enough for any limit here, short enough never to overflow a clock.
const DURATION_MAX: Duration = Duration::from_hours(365 * 24);

/// Reads `4096`, `64KiB`, `1MiB` or `2GiB` into bytes.
///
/// # Errors
/// One line that says what would be right.
pub fn size(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(SIZE_EXPECTED.into()),
    };
    let number: usize = number.parse().map_err(|_| SIZE_EXPECTED.to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| SIZE_EXPECTED.into())
}

const SIZE_EXPECTED: &str = "expected a number of bytes, such as 65536, 64KiB or 1MiB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("64KiB", 65536), ("1 MiB", 1 << 20), ("2GiB", 2 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "64kb", "1.5MiB", "-1", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, ms) in [("250ms", 250), ("60s", 60_000), ("10m", 600_000), ("1h 30m", 5_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "60", "s", "-3s", "1e9h", "forever"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
