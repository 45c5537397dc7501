//! Parsers of times, sizes, counts and addresses, and the bounds of settings.
//!
//! Every setting has a minimum and a maximum, so that none can stop the relay, make it spin, or
//! overflow a clock; if 0 has a special meaning, the help describes it.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Minimum of a timeout: less is below a round trip to the far side of the world, and a limit on a
/// peer's silence would only detect the network.
pub const INSTANT: Duration = Duration::from_millis(100);

/// A second: the unit of HTTP and the API.
pub const SECOND: Duration = Duration::from_secs(1);

/// Long enough for any limit here, short enough never to overflow a clock.
pub const YEAR: Duration = Duration::from_hours(365 * 24);

/// More than any machine serves, and far from overflow of sums.
pub const MANY: usize = 1 << 24;

/// One KiB, in bytes.
pub const KIB: usize = 1 << 10;
/// One MiB, in bytes.
pub const MIB: usize = 1 << 20;
/// One GiB, in bytes.
pub const GIB: usize = 1 << 30;
/// One TiB, in bytes.
pub const TIB: usize = 1 << 40;
/// One PiB, in bytes.
pub const PIB: usize = 1 << 50;

/// The units of sizes and their shifts, largest first.
const SIZES: [(&str, u32); 5] = [("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// The units of times in milliseconds, largest first.
const TIMES: [(&str, u128); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Parses an address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`; a port alone
/// is on 127.0.0.1, and `:8080` on all IPv4 addresses.
///
/// # Errors
/// What is expected instead.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let port = |text: &str| text.parse::<u16>().ok().filter(|_| digits(text));
    let local = text.strip_prefix("localhost:").unwrap_or(text);
    if let Some(port) = port(local) {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    if let Some(port) = text.strip_prefix(':').and_then(port) {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    text.parse().map_err(|_| {
        "expected an address and a port, such as 127.0.0.1:8080, [::1]:8080, localhost:8080, \
         :8080 (all IPv4 addresses) or 8080 (127.0.0.1)"
            .into()
    })
}

/// Returns a parser of times such as `250ms`, `60s`, `10m`, `6h` or `1h 30m`, with a minimum.
pub fn time(
    least: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| within(duration(text)?, &(least..=YEAR), |&time| time_text(time))
}

/// Returns a parser of times, with 0 for off.
pub fn time_or_never(
    least: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    let time = time(least);
    move |text| match duration(text)? {
        Duration::ZERO => Ok(Duration::ZERO),
        _ => time(text).map_err(|why| format!("{why}, or 0s for off")),
    }
}

/// Returns a parser of sizes such as `4096`, `64KiB` or `1MiB`.
pub fn bytes(
    allowed: RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |text| within(size(text)?, &allowed, |&bytes| size_text(bytes))
}

/// Returns a parser of sizes, with 0 for no limit.
pub fn bytes_or_unlimited(
    allowed: RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    let bytes = bytes(allowed);
    move |text| or_zero(size(text)?, || bytes(text))
}

/// Returns a parser of integers up to [`MANY`].
pub fn count(
    least: usize,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |text| within(number(text)?, &(least..=MANY), ToString::to_string)
}

/// Returns a parser of integers, with 0 for no limit.
pub fn count_or_unlimited(
    least: usize,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    let count = count(least);
    move |text| or_zero(number(text)?, || count(text))
}

/// Parses the number of a node.
///
/// # Errors
/// What is expected instead.
pub fn node(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("expected an integer from 0 to {}", u16::MAX))
}

fn within<T: PartialOrd>(
    value: T,
    allowed: &RangeInclusive<T>,
    text: impl Fn(&T) -> String,
) -> Result<T, String> {
    if allowed.contains(&value) {
        return Ok(value);
    }
    Err(format!("expected {} to {}", text(allowed.start()), text(allowed.end())))
}

fn or_zero(value: usize, bounded: impl FnOnce() -> Result<usize, String>) -> Result<usize, String> {
    if value == 0 { Ok(0) } else { bounded().map_err(|why| format!("{why}, or 0 for no limit")) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number with a unit, such as 250ms, 60s, 10m or 6h".to_owned();
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}

fn size(text: &str) -> Result<usize, String> {
    let wrong = || "expected a number of bytes, such as 65536, 64KiB or 1MiB".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        unit => SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected an integer".to_owned())
}

/// Formats a size so that it can be typed back: `64KiB`.
fn size_text(bytes: usize) -> String {
    let unit = SIZES.iter().find(|(_, shift)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    unit.map_or_else(|| bytes.to_string(), |(name, shift)| format!("{}{name}", bytes >> shift))
}

/// Formats a time so that it can be typed back: `100ms`.
fn time_text(time: Duration) -> String {
    let ms = time.as_millis();
    let unit = TIMES.iter().find(|(_, unit)| ms > 0 && ms.is_multiple_of(*unit));
    unit.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", ms / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_may_be_abbreviated() {
        for (text, address) in [
            ("8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            (":8080", "0.0.0.0:8080"),
            ("0", "127.0.0.1:0"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(listen(text).map(|address| address.to_string()).as_deref(), Ok(address));
        }
        for text in [
            "",
            ":",
            "65536",
            ":65536",
            "localhost",
            "example.org:80",
            "::1:80",
            "+1",
            "http://127.0.0.1:80",
        ] {
            assert!(listen(text).is_err_and(|why| why.starts_with("expected")), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_powers_of_two() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("64KiB", 65536), ("1 MiB", 1 << 20), ("2GiB", 2 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "64kb", "1.5MiB", "-1", "99999999999GiB", "99999PiB"] {
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

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        let times = time(INSTANT);
        let sizes = bytes(4 * KIB..=MIB + 1);
        let rates = bytes_or_unlimited(1..=TIB);
        let counts = count(2);
        let limits = count_or_unlimited(2);
        assert_eq!(times("100ms"), Ok(INSTANT));
        assert_eq!(times("8760h"), Ok(YEAR));
        for text in ["99ms", "0s", "8760h 1ms", "99999999h"] {
            assert_eq!(times(text), Err("expected 100ms to 8760h".into()), "{text}");
        }
        assert_eq!(time(Duration::ZERO)("8761h"), Err("expected 0s to 8760h".into()));
        assert_eq!(sizes("4KiB"), Ok(4096));
        assert_eq!(sizes("4095"), Err("expected 4KiB to 1048577".into()));
        assert_eq!((rates("0"), rates("1"), rates("1TiB")), (Ok(0), Ok(1), Ok(TIB)));
        assert_eq!(rates("2TiB"), Err("expected 1 to 1TiB, or 0 for no limit".into()));
        assert_eq!((counts("2"), counts("16777216")), (Ok(2), Ok(MANY)));
        assert_eq!(counts("1"), Err("expected 2 to 16777216".into()));
        assert_eq!(counts("-1"), Err("expected an integer".into()));
        assert_eq!((limits("0"), limits("2")), (Ok(0), Ok(2)));
        assert_eq!(limits("1"), Err("expected 2 to 16777216, or 0 for no limit".into()));
    }
}
