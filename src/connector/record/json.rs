//! JSON as Go's encoder writes it, so that lines do not depend on the writer. Besides what RFC 8259
//! (section 7) requires, `<`, `>`, `&`, U+2028 and U+2029 are escaped, and control characters other
//! than line feed, carriage return and tab are escaped by number.

use super::Data;
use base64_simd::STANDARD;
use std::collections::BTreeMap;

/// Appends `text` as a JSON string, with its quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    // No early exit, so that the loop can be vectorized.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for char in text.chars() {
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes());
            }
            plain => out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Whether the byte needs no escape; most texts have no other bytes.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

/// Appends `bytes` as a JSON string of standard base64 with padding, with its quotes.
pub fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len().div_ceil(3) * 4 + 2);
    out.push(b'"');
    STANDARD.encode_append(bytes, out);
    out.push(b'"');
}

/// Removes the whitespace outside the strings of valid JSON, so that it fits on one line.
pub fn compact(text: &[u8]) -> Vec<u8> {
    let (mut in_string, mut escaped) = (false, false);
    let stays = |byte: &u8| {
        let stays = in_string || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
        stays
    };
    text.iter().copied().filter(stays).collect()
}

/// Returns the nesting depth of objects and arrays in valid JSON.
pub fn depth(text: &[u8]) -> usize {
    let (mut in_string, mut escaped) = (false, false);
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Appends an object of strings, sorted by the bytes of their names.
pub(super) fn map(out: &mut Vec<u8>, map: &BTreeMap<String, String>) {
    out.push(b'{');
    for (index, (name, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        string(out, value);
    }
    out.push(b'}');
}

/// Appends a key or a payload.
pub(super) fn data(out: &mut Vec<u8>, data: Option<&Data>) {
    match data {
        None => out.extend_from_slice(b"null"),
        Some(Data::Raw(bytes)) => base64(out, bytes),
        Some(Data::Structured(object)) => {
            out.extend_from_slice(&compact(object.get().as_bytes()));
        }
    }
}
