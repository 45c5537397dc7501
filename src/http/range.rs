//! `Range` (RFC 9110, section 14.2) on a resource that cannot resume: whether a request can be
//! served with the complete resource. PURE.

use super::fields::{Fields, trim};

/// The only unit with a defined meaning (RFC 9110, section 14.1.2), in any case.
const UNIT: &[u8] = b"bytes";

/// Whether the fields of a `GET` request a part only, and not the complete resource.
///
/// A `Range` that has another unit, is malformed or repeated is ignored (section 14.2); so is any
/// with an `If-Range`, because no validator matches where nothing is stored (section 13.1.5).
pub fn asks_for_a_part(fields: Fields<'_, '_>) -> bool {
    let mut ranges = fields.all("Range");
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => fields.get("If-Range").is_none() && names_a_part(range),
        (None | Some(_), _) => false,
    }
}

/// Whether a value of `Range` is valid and other than `bytes=0-`, the complete resource.
fn names_a_part(value: &[u8]) -> bool {
    let Some((unit, set)) = split_at(value, b'=') else { return false };
    if !unit.eq_ignore_ascii_case(UNIT) {
        return false;
    }
    let mut whole = false;
    let mut count = 0usize;
    // A list may have empty members (section 5.6.1).
    for spec in set.split(|&byte| byte == b',').map(trim).filter(|spec| !spec.is_empty()) {
        let Some(spec) = RangeSpec::parse(spec) else { return false };
        whole = spec == RangeSpec::Whole;
        count += 1;
    }
    count > 1 || count == 1 && !whole
}

/// One member of a set of byte ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeSpec {
    /// From the first byte to the last.
    Whole,
    /// Anything else: a later start, an earlier end, or a number of bytes before the end.
    Part,
}

impl RangeSpec {
    /// Parses `int-range / suffix-range` (section 14.1.1); `None` if it is neither, or ends before
    /// it begins.
    fn parse(spec: &[u8]) -> Option<Self> {
        let (first, last) = split_at(spec, b'-')?;
        if !first.iter().chain(last).all(u8::is_ascii_digit) {
            return None;
        }
        match (first, last) {
            (b"", b"") => None,
            (b"", _) => Some(Self::Part),
            (_, b"") if number(first).is_empty() => Some(Self::Whole),
            (_, b"") => Some(Self::Part),
            (..) => (order(first) <= order(last)).then_some(Self::Part),
        }
    }
}

/// Strips leading zeros: a position may exceed every integer type.
fn number(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    &digits[zeros..]
}

/// Returns the key by which digits are compared.
fn order(digits: &[u8]) -> (usize, &[u8]) {
    let number = number(digits);
    (number.len(), number)
}

/// Returns the text before and after the first such byte.
fn split_at(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, text)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests_part(lines: &[(&'static str, &str)]) -> bool {
        let headers: Vec<_> = lines
            .iter()
            .map(|&(name, value)| httparse::Header { name, value: value.as_bytes() })
            .collect();
        asks_for_a_part(Fields::new(&headers))
    }

    #[test]
    fn every_range_but_the_complete_one_is_a_part() {
        for (name, range, part) in [
            ("the whole", "bytes=0-", false),
            ("the whole with more zeros", "bytes=0000000000000000000000000-", false),
            ("in capitals", "BYTES=0-", false),
            ("a blank before", "bytes= 0-", false),
            ("a tab and a blank around", "bytes=\t0- ", false),
            ("empty members beside it", "bytes=, 0- ,,", false),
            ("the rest", "bytes=100-", true),
            ("the rest in mixed case", "Bytes=100-", true),
            ("the rest, a blank before", "bytes= 100-", true),
            ("the rest, empty members beside it", "bytes=,100-,", true),
            ("a beginning", "bytes=0-499", true),
            ("the first byte", "bytes=0-0", true),
            ("the end of the numbers", "bytes=0-18446744073709551615", true),
            ("beyond all numbers", "bytes=99999999999999999999999-", true),
            ("both beyond all numbers", "bytes=100000000000000000000-100000000000000000001", true),
            ("zeros before the larger one", "bytes=0005-00010", true),
            ("a suffix", "bytes=-500", true),
            ("an empty suffix", "bytes=-0", true),
            ("two ranges", "bytes=0-1,5-6", true),
            ("two that are the whole together", "bytes=0-499, 500-", true),
            ("the whole twice", "bytes=0-,0-", true),
        ] {
            assert_eq!(requests_part(&[("Range", range)]), part, "{name}");
        }
    }

    #[test]
    fn an_invalid_range_is_ignored() {
        for (name, range) in [
            ("empty", ""),
            ("no set", "bytes"),
            ("an empty set", "bytes="),
            ("a set of empty members", "bytes=, ,"),
            ("another unit", "seconds=5-10"),
            ("another unit that begins alike", "bytes2=5-10"),
            ("a blank before the sign", "bytes =5-10"),
            ("no range", "bytes=abc"),
            ("a number alone", "bytes=5"),
            ("a dash alone", "bytes=-"),
            ("two dashes", "bytes=5--10"),
            ("a sign", "bytes=+5-"),
            ("a blank within", "bytes=5 - 10"),
            ("an end before the beginning", "bytes=10-5"),
            ("an end before it by length", "bytes=100-99"),
            ("a good range beside a bad one", "bytes=5-10,x"),
            ("a bad range beside a good one", "bytes=x,5-10"),
        ] {
            assert!(!requests_part(&[("Range", range)]), "{name}");
        }
    }

    #[test]
    fn several_fields_or_an_if_range_disable_a_range() {
        for (name, lines, part) in [
            ("no field", &[][..], false),
            ("any case", &[("rAnGe", "bytes=5-")], true),
            ("two fields", &[("Range", "bytes=5-"), ("Range", "bytes=5-")], false),
            ("a tag", &[("Range", "bytes=5-"), ("If-Range", "\"x\"")], false),
            (
                "a date",
                &[("If-Range", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Range", "bytes=5-")],
                false,
            ),
            ("another condition", &[("Range", "bytes=5-"), ("If-Match", "\"x\"")], true),
        ] {
            assert_eq!(requests_part(lines), part, "{name}");
        }
    }
}
