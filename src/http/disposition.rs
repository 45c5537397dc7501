//! `Content-Disposition` (RFC 6266): written for a file name, and parsed. A written value holds a
//! safe name; a parsed value is unverified and may hold anything.

mod read;

pub use read::{file_name, parameter_in, size};

use std::fmt::Write as _;

/// Returns the field value `attachment; filename="..."` for a percent-encoded path segment,
/// followed by `filename*` (RFC 8187) where the name is not plain ASCII or has a character that
/// clients misread there. It holds visible ASCII and spaces only, whatever the segment holds.
///
/// Bad escapes are kept, invalid UTF-8 becomes U+FFFD, control characters and those that reorder
/// text on a screen are dropped, and slashes become `_`. `None` if no file name
/// remains: an empty one, `.` or `..`.
pub fn attachment(percent_encoded_name: &str) -> Option<String> {
    attachment_named(
        &String::from_utf8_lossy(&percent_decode(percent_encoded_name.as_bytes())),
        None,
    )
}

/// Returns the same for an unencoded name, followed by the size of the file in bytes, if known
/// (`size`, RFC 2183, section 2.7). `None` if no file name remains.
pub fn attachment_named(name: &str, size: Option<u64>) -> Option<String> {
    let name: String = name.chars().filter_map(harmless).collect();
    if matches!(name.trim(), "" | "." | "..") {
        return None;
    }
    let fallback = fallback(&name);
    let mut value = format!("attachment; filename=\"{fallback}\"");
    if name != fallback {
        value.push_str("; filename*=UTF-8''");
        name.bytes().for_each(|byte| push_extended(&mut value, byte));
    }
    if let Some(bytes) = size {
        // Writing to a string cannot fail.
        let _ = write!(value, "; size={bytes}");
    }
    Some(value)
}

pub(crate) fn percent_decode(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [byte, tail @ ..] = rest {
        let escape = if *byte == b'%' { hex_pair(tail) } else { None };
        decoded.push(escape.unwrap_or(*byte));
        rest = if escape.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

/// Returns the byte encoded by the first two hex digits.
fn hex_pair(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// Returns the character as allowed in a file name; `None` drops it.
fn harmless(char: char) -> Option<char> {
    match char {
        '/' => Some('_'),
        // Overrides and isolates, which can make `gpj.exe` display as `exe.jpg`.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        _ => (!char.is_control()).then_some(char),
    }
}

/// Returns the name in plain ASCII, without what clients misread between quotes (RFC 6266, appendix
/// D): quotes, backslashes, and escapes of URLs.
fn fallback(name: &str) -> String {
    let plain = |(at, char): (usize, char)| match char {
        '"' | '\\' => '_',
        '%' if hex_pair(&name.as_bytes()[at + 1..]).is_some() => '_',
        ' '..='~' => char,
        _ => '_',
    };
    name.char_indices().map(plain).collect()
}

/// Appends to the extended form: an `attr-char`, or an escape.
fn push_extended(value: &mut String, byte: u8) {
    if is_attr_char(byte) {
        value.push(byte.into());
    } else {
        // Writing to a string cannot fail.
        let _ = write!(value, "%{byte:02X}");
    }
}

/// Whether the byte is an `attr-char` (RFC 8187, section 3.2.1), which needs no escape in an
/// extended value.
fn is_attr_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_segment_becomes_a_file_name() {
        for (name, segment, value) in [
            ("plain", "a.txt", "filename=\"a.txt\""),
            ("a blank", "my%20file.txt", "filename=\"my file.txt\""),
            ("plus is no blank", "a+b", "filename=\"a+b\""),
            ("a quote", "a%22b", "filename=\"a_b\"; filename*=UTF-8''a%22b"),
            (
                "separators",
                "..%2f..%5Ce\\p",
                "filename=\".._.._e_p\"; filename*=UTF-8''.._..%5Ce%5Cp",
            ),
            ("line breaks", "a%0D%0ASet-Cookie:%20b%00", "filename=\"aSet-Cookie: b\""),
            ("a delete", "a%7Fb", "filename=\"ab\""),
            ("bad escapes", "%zz%4%", "filename=\"%zz%4%\""),
            ("a sign in an escape", "%+1", "filename=\"%+1\""),
            ("decoded once", "%2541", "filename=\"_41\"; filename*=UTF-8''%2541"),
            ("umlauts", "%C3%BC.txt", "filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"),
            ("raw umlauts", "ü", "filename=\"_\"; filename*=UTF-8''%C3%BC"),
            ("a bad escape before one", "%ü", "filename=\"%_\"; filename*=UTF-8''%25%C3%BC"),
            ("mixed", "€%20'(*)", "filename=\"_ '(*)\"; filename*=UTF-8''%E2%82%AC%20%27%28%2A%29"),
            ("no UTF-8", "a%FF", "filename=\"a_\"; filename*=UTF-8''a%EF%BF%BD"),
            ("C1 control", "a%C2%85b", "filename=\"ab\""),
            ("an override", "a%E2%80%AEgpj.exe", "filename=\"agpj.exe\""),
        ] {
            assert_eq!(attachment(segment), Some(format!("attachment; {value}")), "{name}");
        }
    }

    #[test]
    fn a_segment_without_a_file_name_is_none() {
        for segment in ["", ".", "..", "%2e", "%2E.", "%00", ".%00.", "%20", "..%20", "%0D%0A"] {
            assert_eq!(attachment(segment), None, "{segment}");
        }
    }

    #[test]
    fn a_name_is_written_without_decoding_and_with_its_size() {
        for (name, plain, size, value) in [
            ("plain", "a.txt", None, "filename=\"a.txt\""),
            ("a size", "a.txt", Some(0), "filename=\"a.txt\"; size=0"),
            ("a percent sign", "100 %", None, "filename=\"100 %\""),
            ("an escape", "100%25", None, "filename=\"100_25\"; filename*=UTF-8''100%2525"),
            ("both forms", "ü", Some(7), "filename=\"_\"; filename*=UTF-8''%C3%BC; size=7"),
        ] {
            let expected = Some(format!("attachment; {value}"));
            assert_eq!(attachment_named(plain, size), expected, "{name}");
        }
        assert_eq!(attachment_named("..", Some(1)), None);
    }

    proptest! {
        #[test]
        fn a_harmless_name_and_its_size_are_read_as_written(
            name in "[^\\pC/]{1,24}", size: Option<u64>
        ) {
            if let Some(value) = attachment_named(&name, size) {
                prop_assert_eq!(file_name(value.as_bytes()), Some(name), "{}", value);
                prop_assert_eq!(super::size(value.as_bytes()), size, "{}", value);
            }
        }

        #[test]
        fn any_segment_is_written_as_visible_ascii(
            raw in ".*", bytes in prop::collection::vec(any::<u8>(), 0..32)
        ) {
            let mut segment = raw;
            for byte in bytes {
                write!(segment, "%{byte:02x}").unwrap();
            }
            if let Some(value) = attachment(&segment) {
                prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value}");
            }
        }
    }
}
