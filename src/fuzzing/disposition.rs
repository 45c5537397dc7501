//! File names from paths: for any path the field holds one harmless name, the same in both forms.
//! And file names from fields: any field gives a name or none.

use crate::http::disposition::{attachment, attachment_named, file_name, size};
use std::fmt::Write as _;

/// Fuzzes a raw field and a path segment; bytes that are not UTF-8 are escaped.
pub fn disposition(data: &[u8]) {
    received(data);
    received(&[b"attachment; ", data].concat());
    received(&[b"attachment; filename*=UTF-8''", data].concat());
    segment(data);
}

/// Checks that what is read from a field is the same after it is written and read again.
fn received(value: &[u8]) {
    let (name, bytes) = (file_name(value), size(value));
    let Some(name) = name else { return };
    assert!(!name.is_empty(), "a name is something");
    let Some(written) = attachment_named(&name, bytes) else { return };
    let again = file_name(written.as_bytes()).expect("what was written is read");
    assert_eq!(size(written.as_bytes()), bytes, "{written}");
    assert_eq!(attachment_named(&again, bytes), Some(written), "a harmless name stays as it is");
}

fn segment(data: &[u8]) {
    let segment = match str::from_utf8(data) {
        Ok(text) => text.to_owned(),
        Err(_) => escaped(data),
    };
    let Some(value) = attachment(&segment) else { return };
    assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value}");
    let (plain, extended) = read(&value);
    let name = extended.clone().unwrap_or_else(|| plain.clone());
    assert_eq!(file_name(value.as_bytes()).as_ref(), Some(&name), "{value}");
    assert!(!matches!(name.trim(), "" | "." | ".."), "{value}");
    assert!(!name.chars().any(|char| char.is_control() || char == '/'), "{value}");
    assert_eq!(extended.is_some(), plain != name, "the second form only where it is needed");
    assert!(!plain.contains(['"', '\\']) && !has_escape(&plain), "{value}");
    let same = plain.chars().zip(name.chars()).all(|(one, other)| one == other || one == '_');
    assert!(same && plain.chars().count() == name.chars().count(), "both forms are one name");
    assert_eq!(attachment(&escaped(name.as_bytes())), Some(value), "a name gives itself");
}

/// Whether clients may decode a part of a name (RFC 6266, appendix D).
fn has_escape(name: &str) -> bool {
    name.split('%')
        .skip(1)
        .any(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns every byte as an escape.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "%{byte:02x}").expect("a string takes everything");
    }
    text
}

/// Returns the quoted name and the extended one (RFC 6266, section 4.1).
fn read(value: &str) -> (String, Option<String>) {
    let rest = value.strip_prefix("attachment; filename=\"").expect("the field begins like that");
    let (mut plain, mut chars) = (String::new(), rest.chars());
    loop {
        match chars.next().expect("the quotes end") {
            '"' => break,
            '\\' => plain.push(chars.next().expect("something is escaped")),
            char => plain.push(char),
        }
    }
    let extended = match chars.as_str() {
        "" => None,
        more => Some(more.strip_prefix("; filename*=UTF-8''").expect("the second form")),
    };
    (plain, extended.map(unescape))
}

/// Decodes an `ext-value` (RFC 8187, section 3.2.1).
fn unescape(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, tail) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("an escape is two digits"));
        bytes.extend_from_slice(tail.as_bytes());
    }
    String::from_utf8(bytes).expect("the name is UTF-8")
}
