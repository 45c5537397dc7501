//! Layouts of Go's reference time, Mon Jan 2 15:04:05 MST 2006: its elements are replaced, all
//! other text is copied (Go, package time, constants).

use jiff::Zoned;
use std::io::Write as _;

/// An element of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayoutPiece {
    /// Text that is copied.
    Literal(String),
    /// `2006` or `06`.
    Year(YearFormat),
    /// `January`, `Jan`, `01` or `1`.
    Month(NameFormat),
    /// `Monday` or `Mon`.
    Weekday(NameFormat),
    /// `02`, `_2` or `2`.
    Day(Padding),
    /// `002` or `__2`.
    DayOfYear(Padding),
    /// `15`.
    Hour,
    /// `03` or `3`.
    HalfDayHour(Padding),
    /// `04` or `4`.
    Minute(Padding),
    /// `05` or `5`.
    Second(Padding),
    /// `PM`, or `pm` for lower case.
    HalfDay {
        /// Whether it is in lower case.
        lower: bool,
    },
    /// `.000` or `,999`: fractional digits, with trailing zeros kept or trimmed.
    Fraction {
        /// The decimal point or comma.
        mark: char,
        /// The number of digits.
        digits: usize,
        /// `9`: trailing zeros are omitted.
        trimmed: bool,
    },
    /// `MST`.
    ZoneName,
    /// `-0700`, `Z07:00` and similar.
    Offset {
        /// Whether a zero offset is written as `Z`.
        zulu: bool,
        /// Whether colons separate the numbers.
        colon: bool,
        /// 1: hours; 2: hours and minutes; 3: hours, minutes and seconds.
        numbers: usize,
    },
}

/// The number of digits of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YearFormat {
    /// `2006`.
    Four,
    /// `06`.
    Two,
}

/// The format of a month or weekday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFormat {
    /// `January`.
    Long,
    /// `Jan`.
    Short,
    /// `01`, `1`.
    Number(Padding),
}

/// The padding of a one-digit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros.
    Zero,
    /// Spaces.
    Space,
    /// Nothing.
    None,
}

/// The elements by their text; the first match wins.
static PARTS: [(&str, LayoutPiece); 33] = [
    ("January", LayoutPiece::Month(NameFormat::Long)),
    ("Jan", LayoutPiece::Month(NameFormat::Short)),
    ("Monday", LayoutPiece::Weekday(NameFormat::Long)),
    ("Mon", LayoutPiece::Weekday(NameFormat::Short)),
    ("MST", LayoutPiece::ZoneName),
    ("002", LayoutPiece::DayOfYear(Padding::Zero)),
    ("01", LayoutPiece::Month(NameFormat::Number(Padding::Zero))),
    ("02", LayoutPiece::Day(Padding::Zero)),
    ("03", LayoutPiece::HalfDayHour(Padding::Zero)),
    ("04", LayoutPiece::Minute(Padding::Zero)),
    ("05", LayoutPiece::Second(Padding::Zero)),
    ("06", LayoutPiece::Year(YearFormat::Two)),
    ("15", LayoutPiece::Hour),
    ("1", LayoutPiece::Month(NameFormat::Number(Padding::None))),
    ("2006", LayoutPiece::Year(YearFormat::Four)),
    ("2", LayoutPiece::Day(Padding::None)),
    ("__2", LayoutPiece::DayOfYear(Padding::Space)),
    ("_2", LayoutPiece::Day(Padding::Space)),
    ("3", LayoutPiece::HalfDayHour(Padding::None)),
    ("4", LayoutPiece::Minute(Padding::None)),
    ("5", LayoutPiece::Second(Padding::None)),
    ("PM", LayoutPiece::HalfDay { lower: false }),
    ("pm", LayoutPiece::HalfDay { lower: true }),
    ("Z070000", LayoutPiece::Offset { zulu: true, colon: false, numbers: 3 }),
    ("Z07:00:00", LayoutPiece::Offset { zulu: true, colon: true, numbers: 3 }),
    ("Z0700", LayoutPiece::Offset { zulu: true, colon: false, numbers: 2 }),
    ("Z07:00", LayoutPiece::Offset { zulu: true, colon: true, numbers: 2 }),
    ("Z07", LayoutPiece::Offset { zulu: true, colon: false, numbers: 1 }),
    ("-070000", LayoutPiece::Offset { zulu: false, colon: false, numbers: 3 }),
    ("-07:00:00", LayoutPiece::Offset { zulu: false, colon: true, numbers: 3 }),
    ("-0700", LayoutPiece::Offset { zulu: false, colon: false, numbers: 2 }),
    ("-07:00", LayoutPiece::Offset { zulu: false, colon: true, numbers: 2 }),
    ("-07", LayoutPiece::Offset { zulu: false, colon: false, numbers: 1 }),
];

/// Splits a layout into its pieces.
pub fn compile(text: &str) -> Vec<LayoutPiece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        if let Some((piece, len)) = part(rest).or_else(|| fraction(rest)) {
            if !literal.is_empty() {
                pieces.push(LayoutPiece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
            rest = &rest[len..];
        } else {
            literal.push(char);
            rest = &rest[char.len_utf8()..];
        }
    }
    if !literal.is_empty() {
        pieces.push(LayoutPiece::Literal(literal));
    }
    pieces
}

/// Returns the element at the start of a text, and its length. `January` and `Mon` within longer
/// words do not match, and `_2006` is an underscore and a year.
fn part(text: &str) -> Option<(LayoutPiece, usize)> {
    let (name, piece) = PARTS.iter().find(|(name, _)| {
        let behind = text.strip_prefix(name);
        behind.is_some_and(|behind| match *name {
            "Jan" | "Mon" => !behind.starts_with(|c: char| c.is_ascii_lowercase()),
            "_2" => !behind.starts_with("006"),
            _ => true,
        })
    })?;
    Some((piece.clone(), name.len()))
}

/// Parses a point or comma followed by zeros or nines and no other digit.
fn fraction(text: &str) -> Option<(LayoutPiece, usize)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '.' | ','))?;
    let behind = &text[1..];
    let digit = behind.chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
    let rest = behind.trim_start_matches(digit);
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = behind.len() - rest.len();
    Some((LayoutPiece::Fraction { mark, digits, trimmed: digit == '9' }, 1 + digits))
}

/// Appends a formatted time.
pub fn write(pieces: &[LayoutPiece], time: &Zoned, out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            LayoutPiece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            LayoutPiece::Year(YearFormat::Four) => {
                number(time.year().into(), 4, Padding::Zero, out);
            }
            LayoutPiece::Year(YearFormat::Two) => {
                number(i32::from(time.year()).rem_euclid(100), 2, Padding::Zero, out);
            }
            LayoutPiece::Month(NameFormat::Number(pad)) => {
                number(time.month().into(), 2, *pad, out);
            }
            LayoutPiece::Month(form) => name(MONTHS[index(time.month() - 1)], *form, out),
            LayoutPiece::Weekday(form) => {
                name(WEEKDAYS[index(time.weekday().to_sunday_zero_offset())], *form, out);
            }
            LayoutPiece::Day(pad) => number(time.day().into(), 2, *pad, out),
            LayoutPiece::DayOfYear(pad) => number(time.day_of_year().into(), 3, *pad, out),
            LayoutPiece::Hour => number(time.hour().into(), 2, Padding::Zero, out),
            LayoutPiece::HalfDayHour(pad) => {
                number((i32::from(time.hour()) + 11) % 12 + 1, 2, *pad, out);
            }
            LayoutPiece::Minute(pad) => number(time.minute().into(), 2, *pad, out),
            LayoutPiece::Second(pad) => number(time.second().into(), 2, *pad, out),
            LayoutPiece::HalfDay { lower } => {
                out.extend_from_slice(match (time.hour() < 12, lower) {
                    (true, false) => b"AM",
                    (true, true) => b"am",
                    (false, false) => b"PM",
                    (false, true) => b"pm",
                });
            }
            LayoutPiece::Fraction { mark, digits, trimmed } => {
                fraction_of(time.subsec_nanosecond(), (*mark, *digits, *trimmed), out);
            }
            LayoutPiece::ZoneName => zone_name(time, out),
            LayoutPiece::Offset { zulu: true, .. } if time.offset().seconds() == 0 => {
                out.push(b'Z');
            }
            LayoutPiece::Offset { colon, numbers, .. } => offset(time, *colon, *numbers, out),
        }
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

fn index(number: i8) -> usize {
    usize::from(number.unsigned_abs())
}

fn name(name: &str, form: NameFormat, out: &mut Vec<u8>) {
    let shown = match form {
        NameFormat::Long => name,
        NameFormat::Short | NameFormat::Number(_) => &name[..3],
    };
    out.extend_from_slice(shown.as_bytes());
}

fn number(number: i32, width: usize, pad: Padding, out: &mut Vec<u8>) {
    let _ = match pad {
        Padding::Zero => write!(out, "{number:0width$}"),
        Padding::Space => write!(out, "{number:width$}"),
        Padding::None => write!(out, "{number}"),
    };
}

fn fraction_of(nanoseconds: i32, (mark, digits, trimmed): (char, usize, bool), out: &mut Vec<u8>) {
    let text = format!("{nanoseconds:09}");
    let mut text = text[..digits.min(9)].to_owned();
    text.extend(std::iter::repeat_n('0', digits.saturating_sub(9)));
    let text = if trimmed { text.trim_end_matches('0') } else { &text };
    if !text.is_empty() {
        let _ = write!(out, "{mark}{text}");
    }
}

/// Appends the abbreviation of the zone, or its offset if it has no abbreviation.
fn zone_name(time: &Zoned, out: &mut Vec<u8>) {
    let info = time.time_zone().to_offset_info(time.timestamp());
    out.extend_from_slice(info.abbreviation().as_bytes());
}

fn offset(time: &Zoned, colon: bool, numbers: usize, out: &mut Vec<u8>) {
    let seconds = time.offset().seconds();
    out.push(if seconds < 0 { b'-' } else { b'+' });
    let seconds = seconds.unsigned_abs();
    for (at, part) in
        [seconds / 3600, seconds / 60 % 60, seconds % 60][..numbers].iter().enumerate()
    {
        let mark = if colon && at > 0 { ":" } else { "" };
        let _ = write!(out, "{mark}{part:02}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use jiff::tz::{Offset, TimeZone};

    fn written(layout: &str, time: &Zoned) -> String {
        let mut out = Vec::new();
        write(&compile(layout), time, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn zone(seconds: i32) -> TimeZone {
        TimeZone::fixed(Offset::from_seconds(seconds).unwrap())
    }

    #[test]
    fn each_element_of_the_reference_time_is_a_placeholder() {
        let utc = date(2009, 2, 4).at(21, 5, 7, 12_300_000).to_zoned(TimeZone::UTC).unwrap();
        for (layout, expected) in [
            ("2006 06", "2009 09"),
            ("January Jan 01 1", "February Feb 02 2"),
            ("Monday Mon", "Wednesday Wed"),
            ("02|_2|2", "04| 4|4"),
            ("002|__2", "035| 35"),
            ("15|03|3", "21|09|9"),
            ("04|4", "05|5"),
            ("05|5", "07|7"),
            ("PM pm", "PM pm"),
            ("MST", "UTC"),
            ("Z0700|Z07:00|Z07|Z070000|Z07:00:00", "Z|Z|Z|Z|Z"),
            ("-0700|-07:00|-07|-070000|-07:00:00", "+0000|+00:00|+00|+000000|+00:00:00"),
            ("05.000|05,000|05.0000000000", "07.012|07,012|07.0123000000"),
            ("05.999|05.999999|05.9", "07.012|07.0123|07"),
            ("_2006", "_2009"),
            ("Month Janus", "Month Janus"),
            ("at 05.0001", "at 07.0002"),
            ("0700 Größe", "0700 Größe"),
            ("Mon Jan _2 15:04:05 2006", "Wed Feb  4 21:05:07 2009"),
            ("2006-01-02T15:04:05.999999999Z07:00", "2009-02-04T21:05:07.0123Z"),
            ("02/Jan/2006:15:04:05 Z0700", "04/Feb/2009:21:05:07 Z"),
            ("3:04PM", "9:05PM"),
        ] {
            assert_eq!(written(layout, &utc), expected, "{layout}");
        }
    }

    #[test]
    fn offsets_and_half_days_are_right_on_both_sides() {
        for (hour, seconds, layout, expected) in [
            (0, 19_800, "15 3PM -0700 Z07:00", "00 12AM +0530 +05:30"),
            (12, -12_600, "15 3pm -0700 Z0700", "12 12pm -0330 -0330"),
            (23, 3_723, "03 -07:00:00 Z070000", "11 +01:02:03 +010203"),
            (11, -3_600, "pm -07 Z07 MST", "am -01 -01 -01"),
        ] {
            let time = date(2019, 10, 9).at(hour, 0, 0, 0).to_zoned(zone(seconds)).unwrap();
            assert_eq!(written(layout, &time), expected, "{layout}");
        }
    }
}
