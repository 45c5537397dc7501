//! Dates as HTTP writes them (RFC 9110, section 5.6.7). The clock is the caller's.

use jiff::Timestamp;
use jiff::tz::Offset;

/// The first second of the year 0, the earliest that four digits can show.
const UNIX_SECONDS_MIN: i64 = -62_167_219_200;
const WEEKDAYS: &[u8] = b"SunMonTueWedThuFriSat";
const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// A date in the IMF-fixdate form, `Sun, 06 Nov 1994 08:49:37 GMT`, always 29 bytes of ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpDate([u8; 29]);

impl HttpDate {
    /// The date of this many seconds after 1970-01-01T00:00:00Z. What lies outside the years 0 to
    /// 9999 becomes the nearest date that can be written.
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

    /// The 29 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The three letters at `index` of a row of names.
fn name(names: &[u8], index: i8) -> &[u8] {
    let start = usize::from(index.unsigned_abs()) * 3;
    &names[start..start + 3]
}

/// Fills `field` with the last digits of a number that is not negative.
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
    fn a_date_is_written_as_imf_fixdate() {
        for (name, seconds, text) in [
            ("the example of the RFC", 784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("the epoch", 0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("the second before", -1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            ("a leap day", 951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            ("no leap day", 4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            ("behind 32 bits", 4_294_967_296, "Sun, 07 Feb 2106 06:28:16 GMT"),
            ("the first", UNIX_SECONDS_MIN, "Sat, 01 Jan 0000 00:00:00 GMT"),
            ("before the first", i64::MIN, "Sat, 01 Jan 0000 00:00:00 GMT"),
            ("behind the last", i64::MAX, "Thu, 30 Dec 9999 22:00:00 GMT"),
        ] {
            let date = HttpDate::from_unix_seconds(seconds);
            assert_eq!(std::str::from_utf8(date.as_bytes()), Ok(text), "{name}");
        }
    }
}
