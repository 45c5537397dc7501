//! Shortened stream identifiers. An identifier grants access to its stream, so a log shows only the
//! first 8 of its 36 characters, or 13 where some of these are its place.

use uuid::Uuid;

/// The number of characters before the first hyphen, which are shown.
const SHOWN: usize = 8;

/// The number that is shown of an identifier that begins with its place (version 8): six of them are
/// the same for all streams there, and 74 random bits are not shown.
const SHOWN_WITH_PLACE: usize = 13;

/// The position of the version (RFC 9562, section 4).
const VERSION: usize = 14;

/// The mark of what is not shown.
pub const CUT: &[u8] = b"...";

/// The length of an identifier.
const LEN: usize = 36;

/// The positions of hyphens in an identifier.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Which identifiers in a text are shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortenScope {
    /// None.
    Nowhere,
    /// All.
    Everywhere,
    /// Those after a slash, as in the URL of a `Referer`; an `X-Request-Id` has the same form and
    /// is kept.
    InPaths,
}

/// Returns a shortened identifier.
pub fn short_id(id: Uuid) -> String {
    let mut text = id.to_string();
    text.truncate(shown(text.as_bytes()));
    text + "..."
}

/// Returns how many characters of an identifier are shown.
pub fn shown(id: &[u8]) -> usize {
    if id.get(VERSION) == Some(&b'8') { SHOWN_WITH_PLACE } else { SHOWN }
}

/// Appends a text with its identifiers shortened.
pub fn shorten(text: &[u8], which: ShortenScope, out: &mut Vec<u8>) {
    let mut rest = text;
    let mut copied = 0;
    if which != ShortenScope::Nowhere {
        let mut from = 0;
        while let Some(hyphen) = memchr::memchr(b'-', &text[from..]) {
            let hyphen = from + hyphen;
            from = hyphen + 1;
            let Some(start) = hyphen.checked_sub(SHOWN) else { continue };
            let fits = which == ShortenScope::Everywhere || is_behind_slash(&text[..start]);
            if start >= copied && fits && is_identifier(&text[start..]) {
                out.extend_from_slice(&text[copied..start + shown(&text[start..])]);
                copied = start + LEN;
                from = copied;
                rest = &text[copied..];
            }
        }
    }
    out.extend_from_slice(rest);
}

/// Replaces the tokens in a text appended from here on, if it is a URL of a stream: the value of the
/// parameter `t`.
pub fn mask_tokens(out: &mut Vec<u8>, start: usize) {
    let is_of_stream = |place: &[u8]| place.starts_with(b"/stream/") || place.starts_with(b"/s/");
    if !(start..out.len()).any(|at| is_of_stream(&out[at..])) {
        return;
    }
    let mut from = start;
    let begins = |place: &[u8]| place.starts_with(b"?t=") || place.starts_with(b"&t=");
    while let Some(mark) = (from..out.len()).find(|at| begins(&out[*at..])) {
        let value = mark + b"?t=".len();
        let length = out[value..].iter().position(|byte| b"&# ,".contains(byte));
        let end = length.map_or(out.len(), |length| value + length);
        out.splice(value..end, CUT.iter().copied());
        from = value + CUT.len();
    }
}

fn is_identifier(text: &[u8]) -> bool {
    let fits = |(at, byte): (usize, &u8)| {
        if HYPHENS.contains(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    text.len() >= LEN && text[..LEN].iter().enumerate().all(fits)
}

fn is_behind_slash(before: &[u8]) -> bool {
    before.ends_with(b"/") || before.ends_with(b"%2F") || before.ends_with(b"%2f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_ids_are_shortened_and_other_ids_kept() {
        use ShortenScope::{Everywhere, InPaths, Nowhere};
        const ID: &str = "0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0";
        let upper = ID.to_uppercase();
        for (name, text, which, expected) in [
            ("a path", format!("/stream/{ID}/status"), Everywhere, "/stream/0b54a9d1/status"),
            ("upper case", format!("/stream/{upper}"), Everywhere, "/stream/0B54A9D1"),
            ("two", format!("/{ID}-{ID}"), Everywhere, "/0b54a9d1-0b54a9d1"),
            ("one behind more digits", format!("/ab{ID}"), Everywhere, "/ab0b54a9d1"),
            (
                "one that begins with its place",
                "/stream/00ab03ff-6e2f-8f5a-9c58-3d1f27e9a4c0/status".into(),
                Everywhere,
                "/stream/00ab03ff-6e2f/status",
            ),
            ("too short", "/0b54a9d1-6e2f".into(), Everywhere, "/0b54a9d1-6e2f"),
            (
                "no digits",
                "/------------------------------------".into(),
                Everywhere,
                "/------------------------------------",
            ),
            ("on demand in full", "/0b54a9d1-6e2f".into(), Nowhere, "/0b54a9d1-6e2f"),
            ("a referer", format!("http://h/stream/{ID}?a"), InPaths, "http://h/stream/0b54a9d1?a"),
            ("an encoded slash", format!("u=%2Fstream%2f{ID}"), InPaths, "u=%2Fstream%2f0b54a9d1"),
            ("nothing", String::new(), Everywhere, ""),
        ] {
            let mut out = Vec::new();
            shorten(text.as_bytes(), which, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
        }
        for which in [Nowhere, InPaths] {
            let mut out = Vec::new();
            shorten(ID.as_bytes(), which, &mut out);
            assert_eq!(out, ID.as_bytes(), "{which:?}: a request id stays");
        }
    }
}
