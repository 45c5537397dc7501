//! Escaping of values in log lines. Bytes from a client can never end a line, close a quotation or
//! control a terminal: unsafe bytes are written as `\xNN`, or as JSON escapes them.

use std::io::Write as _;

/// Appends a value to a line of text. UTF-8 is kept, except for control characters, quotes,
/// backslashes, and characters that other programs treat as line ends or that change the direction
/// of writing; those and invalid UTF-8 are escaped.
pub fn text(value: &[u8], line: &mut Vec<u8>) {
    if value.iter().all(|&byte| is_plain(byte)) {
        return line.extend_from_slice(value);
    }
    each_char(value, line, |char, line| {
        if matches!(char, '"' | '\\') || is_unsafe(char) {
            bytes(char.encode_utf8(&mut [0; 4]).as_bytes(), line);
        } else {
            line.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
    });
}

/// Appends a value as a JSON string, quotes included. Invalid UTF-8 becomes `\xNN`.
pub fn json(value: &[u8], line: &mut Vec<u8>) {
    if value.iter().all(|&byte| is_plain(byte)) {
        line.push(b'"');
        line.extend_from_slice(value);
        return line.push(b'"');
    }
    let mut text = Vec::with_capacity(value.len() + 16);
    each_char(value, &mut text, |char, text| {
        text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    });
    let quoted = serde_json::Value::from(String::from_utf8_lossy(&text)).to_string();
    for char in quoted.chars() {
        if is_unsafe(char) {
            let _ = write!(line, "\\u{:04x}", u32::from(char));
        } else {
            line.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Passes each character to `put`; invalid UTF-8 is escaped before.
fn each_char(value: &[u8], out: &mut Vec<u8>, mut put: impl FnMut(char, &mut Vec<u8>)) {
    for chunk in value.utf8_chunks() {
        for char in chunk.valid().chars() {
            put(char, out);
        }
        bytes(chunk.invalid(), out);
    }
}

fn bytes(unsafe_bytes: &[u8], line: &mut Vec<u8>) {
    for byte in unsafe_bytes {
        let _ = write!(line, "\\x{byte:02x}");
    }
}

/// Whether a byte is visible ASCII or a space, but not a quote or a backslash.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// Whether a character is C0, DEL or C1, a Unicode line end, or reverses the direction of text.
fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn as_text(value: &[u8]) -> String {
        let mut line = Vec::new();
        text(value, &mut line);
        String::from_utf8(line).unwrap()
    }

    fn as_json(value: &[u8]) -> String {
        let mut line = Vec::new();
        json(value, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn characters_that_could_forge_a_line_are_escaped() {
        for (name, value, text, json) in [
            ("plain", &b"curl/8.5 (x; y)"[..], "curl/8.5 (x; y)", r#""curl/8.5 (x; y)""#),
            ("a line end", b"a\r\nb", r"a\x0d\x0ab", r#""a\r\nb""#),
            ("a tab", b"a\tb", r"a\x09b", r#""a\tb""#),
            ("a quote", b"a\"b", r"a\x22b", r#""a\"b""#),
            ("a backslash", b"a\\n", r"a\x5cn", r#""a\\n""#),
            ("an escape sequence", b"\x1b[2J", r"\x1b[2J", r#""\u001b[2J""#),
            ("delete", b"\x7f", r"\x7f", r#""\u007f""#),
            ("next line, of C1", "\u{85}".as_bytes(), r"\xc2\x85", r#""\u0085""#),
            ("a line separator", "\u{2028}".as_bytes(), r"\xe2\x80\xa8", r#""\u2028""#),
            ("an override", "\u{202e}".as_bytes(), r"\xe2\x80\xae", r#""\u202e""#),
            ("no UTF-8", b"\xffa\xc3", r"\xffa\xc3", r#""\\xffa\\xc3""#),
            ("UTF-8", "Größe €".as_bytes(), "Größe €", "\"Größe €\""),
            ("nothing", b"", "", r#""""#),
        ] {
            assert_eq!(as_text(value), text, "{name}");
            assert_eq!(as_json(value), json, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_put_a_control_character_into_a_line(value: Vec<u8>) {
            let line = as_text(&value);
            prop_assert!(!line.chars().any(|char| is_unsafe(char) || char == '"'));
        }

        #[test]
        fn any_bytes_become_one_json_string(value: Vec<u8>) {
            let line = as_json(&value);
            prop_assert!(!line.chars().any(is_unsafe));
            prop_assert!(serde_json::from_str::<String>(&line).is_ok());
        }

        #[test]
        fn text_survives_json_encoding(value: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&as_json(value.as_bytes())).unwrap(), value);
        }
    }
}
