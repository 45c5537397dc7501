//! Reads `Content-Type` (RFC 9110, section 8.3) as far as the relay needs it.

use super::disposition;
use std::borrow::Cow;

/// Maximum length of a boundary (RFC 2046, section 5.1.1).
const BOUNDARY_MAX: usize = 70;

/// Replaces `text/html` with `text/plain`: a browser must show it, not run it. Its parameters stay.
pub fn without_html(value: &[u8]) -> Cow<'_, [u8]> {
    const HTML: &[u8] = b"text/html";
    let trimmed = value.trim_ascii_start();
    let Some((kind, rest)) = trimmed.split_at_checked(HTML.len()) else { return value.into() };
    let ends = matches!(rest.first(), None | Some(b' ' | b'\t' | b';' | b','));
    if ends && kind.eq_ignore_ascii_case(HTML) {
        [b"text/plain", rest].concat().into()
    } else {
        value.into()
    }
}

/// Whether it is a form of parts.
pub fn is_form(value: &[u8]) -> bool {
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data")
}

/// Returns the boundary of a form's parts; `None` if it is missing or invalid.
pub fn boundary(value: &[u8]) -> Option<Vec<u8>> {
    let at = memchr::memchr(b';', value)?;
    // The parameters have the grammar of those of Content-Disposition.
    let boundary = disposition::parameter_in(&value[at..], "boundary")?;
    let valid = |byte: &u8| matches!(byte, b' '..=b'~');
    let fits = (1..=BOUNDARY_MAX).contains(&boundary.len());
    (fits && boundary.iter().all(valid)).then_some(boundary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_declared_as_plain_text() {
        for (name, value, sent) in [
            ("html", "text/html", "text/plain"),
            ("parameters stay", "text/html; charset=utf-8", "text/plain; charset=utf-8"),
            ("no blank", "text/html;a=b", "text/plain;a=b"),
            ("in capitals", "TEXT/HTML", "text/plain"),
            ("a blank before", " text/html", "text/plain"),
            ("a list", "text/html, a/b", "text/plain, a/b"),
            ("another type", "text/htmlx", "text/htmlx"),
            ("a similar type", "application/xhtml+xml", "application/xhtml+xml"),
            ("a short one", "a/b", "a/b"),
            ("nothing", "", ""),
        ] {
            assert_eq!(without_html(value.as_bytes()), sent.as_bytes(), "{name}");
        }
    }

    #[test]
    fn a_form_has_a_boundary() {
        for (name, value, form, expected) in [
            ("a token", "multipart/form-data; boundary=ab-c", true, Some("ab-c")),
            ("in quotes", "multipart/form-data; boundary=\"a b\"", true, Some("a b")),
            ("in capitals", "Multipart/Form-Data;BOUNDARY=x", true, Some("x")),
            ("after another", "multipart/form-data; charset=u; boundary=x", true, Some("x")),
            ("missing", "multipart/form-data", true, None),
            ("empty", "multipart/form-data; boundary=\"\"", true, None),
            ("twice", "multipart/form-data; boundary=a; boundary=b", true, None),
            ("no equals sign", "multipart/form-data; boundary", true, None),
            ("another type", "multipart/mixed; boundary=x", false, Some("x")),
            ("a tab", "multipart/form-data; boundary=\"a\tb\"", true, None),
        ] {
            assert_eq!(is_form(value.as_bytes()), form, "{name}");
            let found = boundary(value.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{name}");
        }
        for (length, valid) in [(70, true), (71, false)] {
            let value = format!("multipart/form-data; boundary={}", "x".repeat(length));
            assert_eq!(boundary(value.as_bytes()).is_some(), valid, "{length}");
        }
    }
}
