//! The format of a time: a layout of Go's reference time, `02/Jan/2006:15:04:05`, or strftime(3)
//! directives, `%d/%b/%Y`. Text with a `%` is parsed as strftime(3).

use super::go_layout::{self, LayoutPiece};
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use std::io::Write as _;

/// The layout of `%t` in the presets common to web servers, brackets included.
pub const COMMON: &str = "[02/Jan/2006:15:04:05 -0700]";

/// A compiled layout.
#[derive(Clone, Debug)]
pub enum Layout {
    /// Elements of Go's reference time.
    Go(Vec<LayoutPiece>),
    /// A format of strftime(3).
    Strftime(String),
}

impl Layout {
    /// Compiles a layout.
    ///
    /// # Errors
    /// One line that names the fault and the supported elements.
    pub fn compile(text: &str) -> Result<Self, String> {
        if text.contains('%') {
            let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
            strtime::format(text, &sample)
                .map_err(|error| format!("invalid strftime layout '{text}': {error}"))?;
            return Ok(Self::Strftime(text.to_owned()));
        }
        let pieces = go_layout::compile(text);
        if pieces.iter().all(|piece| matches!(piece, LayoutPiece::Literal(_))) {
            return Err(format!(
                "the time layout '{text}' shows no time; write Go's reference time, such as \
                 '02/Jan/2006:15:04:05 -0700', or strftime directives, such as '%d/%b/%Y:%T %z'"
            ));
        }
        Ok(Self::Go(pieces))
    }

    /// Appends a formatted time, given in milliseconds since 1970.
    pub fn write(&self, unix_ms: i64, zone: &TimeZone, out: &mut Vec<u8>) {
        let time = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX);
        let time = time.to_zoned(zone.clone());
        match self {
            Self::Go(pieces) => go_layout::write(pieces, &time, out),
            Self::Strftime(format) => {
                if let Ok(text) = strtime::format(format, &time) {
                    let _ = write!(out, "{text}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_with_a_percent_sign_is_strftime() {
        for (layout, expected) in [
            (COMMON, "[09/Oct/2019:14:59:55 +0000]"),
            ("02/Jan/2006:15:04:05 Z0700", "09/Oct/2019:14:59:55 Z"),
            ("[%d/%b/%Y:%H:%M:%S %z]", "[09/Oct/2019:14:59:55 +0000]"),
            ("%Y-%m-%dT%H:%M:%S.%3fZ", "2019-10-09T14:59:55.012Z"),
            ("%A %e %B, %I %p %Z", "Wednesday  9 October, 02 PM UTC"),
            ("%s", "1570633195"),
        ] {
            let mut out = Vec::new();
            Layout::compile(layout).unwrap().write(1_570_633_195_012, &TimeZone::UTC, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{layout}");
        }
    }

    #[test]
    fn an_invalid_layout_is_named() {
        for (layout, part) in [
            ("%J!", "'%J!'"),
            ("%", "'%'"),
            ("%!", "strftime"),
            ("", "shows no time"),
            ("yyyy-MM-dd", "'yyyy-MM-dd' shows no time"),
        ] {
            let error = Layout::compile(layout).unwrap_err();
            assert!(error.contains(part) && !error.contains('\n'), "{layout}: {error}");
        }
    }
}
