//! Formats sizes, times and rates for people, as `curl` and `restic` print them.

use std::time::Duration;

/// Formats a size in binary units: `17 B`, `3.4 MiB`, `122 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    // In tenths of the unit, rounded.
    let tenths = |unit: usize| {
        let divisor = 1_u128 << (10 * (unit + 1));
        (u128::from(bytes) * 10 + divisor / 2) / divisor
    };
    while tenths(unit) >= 10_240 {
        unit += 1;
    }
    match tenths(unit) {
        tenths @ 0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        tenths => format!("{} {}", (tenths + 5) / 10, UNITS[unit]),
    }
}

/// Formats a time with at most two units: `0.4 s`, `42 s`, `3 min 20 s`, `2 h 5 min`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Formats a transfer: `5.0 GiB in 42 s, 122 MiB/s`; omits a time too short to be meaningful.
pub fn transfer(bytes: u64, time_taken: Duration) -> String {
    let millis = time_taken.as_millis();
    if millis < 100 {
        return size(bytes);
    }
    let rate = u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX);
    format!("{} in {}, {}/s", size(bytes), time(time_taken), size(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_or_three_digits_and_a_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_189, "10 KiB"),
            (10_240, "10 KiB"),
            (300_000, "293 KiB"),
            (1_048_575, "1.0 MiB"),
            (5_368_709_120, "5.0 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn times_have_two_units_at_most() {
        for (millis, text) in
            [(400, "0.4 s"), (42_000, "42 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min")]
        {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn only_a_longer_transfer_has_a_rate() {
        assert_eq!(transfer(1 << 30, Duration::from_secs(10)), "1.0 GiB in 10 s, 102 MiB/s");
        assert_eq!(transfer(17, Duration::from_millis(3)), "17 B");
    }
}
