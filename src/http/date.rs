//! Dates as HTTP writes them and must parse them (RFC 9110, section 5.6.7). The caller supplies the
//! clock.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::Offset;

/// The first second of the year 0, the earliest that four digits can represent.
const UNIX_SECONDS_MIN: i64 = -62_167_219_200;
const WEEKDAYS: &[u8] = b"SunMonTueWedThuFriSat";
const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// A date in the IMF-fixdate form, `Sun, 06 Nov 1994 08:49:37 GMT`, always 29 bytes of ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpDate([u8; 29]);

impl HttpDate {
    /// Returns the date of this many seconds after 1970-01-01T00:00:00Z. Times outside the years 0
    /// to 9999 become the nearest date that can be written.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        let seconds = seconds.clamp(UNIX_SECONDS_MIN, Timestamp::MAX.as_second());
        let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = Offset::UTC.to_datetime(time);
        let mut text = *b"Sun, 06 Nov 1994 08:49:37 GMT";
        text[..3].copy_from_slice(name(WEEKDAYS, time.weekday().to_sunday_zero_offset()));
        write_digits(&mut text[5..7], time.day().into());
        text[8..11].copy_from_slice(name(MONTHS, time.month() - 1));
        write_digits(&mut text[12..16], time.year());
        write_digits(&mut text[17..19], time.hour().into());
        write_digits(&mut text[20..22], time.minute().into());
        write_digits(&mut text[23..25], time.second().into());
        Self(text)
    }

    /// Returns the 29 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Returns the seconds after 1970-01-01T00:00:00Z of a date in any of the three forms that a
/// recipient must accept; `None` for any other form.
pub fn unix_seconds(text: &str, now_unix_seconds: i64) -> Option<i64> {
    let imf = || rfc2822::parse(text).ok().map(|time| time.timestamp().as_second());
    imf().or_else(|| rfc_850(text, now_unix_seconds)).or_else(|| asctime(text))
}

/// Parses `Sunday, 06-Nov-94 08:49:37 GMT`: of the years that end in these digits, the latest that
/// is at most 50 years from now.
fn rfc_850(text: &str, now_unix_seconds: i64) -> Option<i64> {
    let (_weekday, date) = text.split_once(", ")?;
    let (day_and_month, rest) = date.split_at_checked(7)?;
    let (year, time) = rest.split_at_checked(2)?;
    let digits = year.bytes().all(|byte| byte.is_ascii_digit());
    let year: i16 = year.parse().ok().filter(|_| digits)?;
    let now = Offset::UTC.to_datetime(Timestamp::from_second(now_unix_seconds).ok()?).year();
    let latest = now + 50;
    let year = latest - (latest - year).rem_euclid(100);
    calendar("%d-%b-%Y %H:%M:%S GMT", &format!("{day_and_month}{year:04}{time}"))
}

/// Parses `Sun Nov  6 08:49:37 1994`, the format of asctime(3).
fn asctime(text: &str) -> Option<i64> {
    calendar("%a %b %e %H:%M:%S %Y", text)
}

/// Parses a date in UTC into seconds.
fn calendar(format: &str, text: &str) -> Option<i64> {
    let date: DateTime = strtime::parse(format, text).ok()?.to_datetime().ok()?;
    Offset::UTC.to_timestamp(date).ok().map(Timestamp::as_second)
}

/// Returns the three letters at `index` of a row of names.
fn name(names: &[u8], index: i8) -> &[u8] {
    let start = usize::from(index.unsigned_abs()) * 3;
    &names[start..start + 3]
}

/// Fills `field` with the last digits of a non-negative number.
fn write_digits(field: &mut [u8], number: i16) {
    let mut rest = number.unsigned_abs();
    for digit in field.iter_mut().rev() {
        *digit = b"0123456789"[usize::from(rest % 10)];
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_are_read() {
        const NOW: i64 = 1_795_000_000; // 2026
        let digits = |year: i64| format!("Monday, 01-Jan-{:02} 00:00:00 GMT", year % 100);
        let new_year = |year: i64| {
            let text = format!("{year:04}-01-01T00:00:00Z");
            Some(text.parse::<Timestamp>().unwrap().as_second())
        };
        for (name, text, seconds) in [
            ("IMF-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("RFC 850", "Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("asctime", "Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("asctime, two digits", "Wed Nov 16 08:49:37 1994", Some(784_975_777)),
            ("this century", &digits(2026), new_year(2026)),
            ("50 years ahead", &digits(2076), new_year(2076)),
            ("more than that, so it is past", &digits(2077), new_year(1977)),
            ("no zone", "Sun, 06 Nov 1994 08:49:37", None),
            ("RFC 850 without a zone", "Sunday, 06-Nov-94 08:49:37", None),
            ("a signed year", "Sunday, 06-Nov-+4 08:49:37 GMT", None),
            ("no such day", "Sunday, 31-Nov-94 08:49:37 GMT", None),
            ("no such hour", "Sun Nov  6 24:49:37 1994", None),
            ("not ASCII", "Sunday, 06-Növ-94 08:49:37 GMT", None),
            ("cut off", "Sunday, 06", None),
            ("empty", "", None),
        ] {
            assert_eq!(unix_seconds(text, NOW), seconds, "{name}");
        }
    }

    #[test]
    fn a_date_is_written_as_imf_fixdate() {
        for (name, seconds, text) in [
            ("the example of the RFC", 784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("the epoch", 0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("the second before", -1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            ("a leap day", 951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            ("no leap day", 4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            ("after 32 bits", 4_294_967_296, "Sun, 07 Feb 2106 06:28:16 GMT"),
            ("the first", UNIX_SECONDS_MIN, "Sat, 01 Jan 0000 00:00:00 GMT"),
            ("before the first", i64::MIN, "Sat, 01 Jan 0000 00:00:00 GMT"),
            ("after the last", i64::MAX, "Thu, 30 Dec 9999 22:00:00 GMT"),
        ] {
            let date = HttpDate::from_unix_seconds(seconds);
            assert_eq!(std::str::from_utf8(date.as_bytes()), Ok(text), "{name}");
        }
    }
}
