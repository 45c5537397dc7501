//! Parses `Content-Disposition`: the grammar of RFC 6266, section 4.1, and of RFC 8187, and also
//! what senders actually use, which is raw UTF-8 and Latin-1 between quotes.

use super::{hex_pair, is_attr_char};
use crate::http::fields::is_token_byte;
use std::borrow::Cow;

/// Returns the file name in a field value: `filename*` if it can be decoded (RFC 6266, section
/// 4.3), else `filename`. It is unverified and may hold directories, dots and control characters.
///
/// `None` without such a parameter, for an empty name, and for a value that violates the grammar,
/// has a control byte, or repeats a parameter, which makes it invalid (RFC 6266, section 4.1).
pub fn file_name(field_value: &[u8]) -> Option<String> {
    let parameters = parameters(field_value)?;
    let extended = find(&parameters, "filename*").and_then(extended);
    let name = extended.or_else(|| find(&parameters, "filename").map(text))?;
    (!name.is_empty()).then_some(name)
}

/// Returns the size of the file in bytes, as declared by its sender (`size`, RFC 2183, section
/// 2.7): for showing progress, not to be relied on. `None` without one, and for a value that is
/// invalid for [`file_name`].
pub fn size(field_value: &[u8]) -> Option<u64> {
    let parameters = parameters(field_value)?;
    let digits = find(&parameters, "size")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// A parameter: its name, and its value without quotes and their escapes.
type Parameter<'v> = (&'v [u8], Cow<'v, [u8]>);

fn find<'p>(parameters: &'p [Parameter<'_>], name: &str) -> Option<&'p [u8]> {
    let mut found = parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
    found.next().map(|(_, value)| value.as_ref())
}

/// Parses `disposition-type *( ";" disposition-parm )`; empty parameters are skipped.
fn parameters(value: &[u8]) -> Option<Vec<Parameter<'_>>> {
    // The head parser accepts none; a value with one is from another source.
    if value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
        return None;
    }
    let (_disposition, rest) = token(skip_blanks(value))?;
    listed(rest)
}

/// Returns the value of a parameter in `*( ";" parameter )`, of this field or another one. `None`
/// without it, and for a list that violates the grammar or repeats a parameter.
pub fn parameter_in(list: &[u8], name: &str) -> Option<Vec<u8>> {
    find(&listed(list)?, name).map(<[u8]>::to_vec)
}

fn listed(mut rest: &[u8]) -> Option<Vec<Parameter<'_>>> {
    let mut parameters: Vec<Parameter<'_>> = Vec::new();
    loop {
        rest = skip_blanks(rest);
        let [b';', tail @ ..] = rest else { break };
        rest = skip_blanks(tail);
        if matches!(rest, [] | [b';', ..]) {
            continue;
        }
        let (parameter, tail) = parameter(rest)?;
        if parameters.iter().any(|(name, _)| name.eq_ignore_ascii_case(parameter.0)) {
            return None;
        }
        parameters.push(parameter);
        rest = tail;
    }
    rest.is_empty().then_some(parameters)
}

/// Parses `token "=" ( token / quoted-string )`, with blanks around the `=` as RFC 6266 allows.
fn parameter(text: &[u8]) -> Option<(Parameter<'_>, &[u8])> {
    let (name, rest) = token(text)?;
    let rest = skip_blanks(skip_blanks(rest).strip_prefix(b"=")?);
    match rest {
        [b'"', quoted @ ..] => {
            let (value, rest) = quoted_string(quoted)?;
            Some(((name, value.into()), rest))
        }
        _ => token(rest).map(|(value, rest)| ((name, value.into()), rest)),
    }
}

fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Returns the unescaped text before the closing quote, and the rest after it (RFC 9110, 5.6.4).
fn quoted_string(mut text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    loop {
        (value, text) = match text {
            [b'"', rest @ ..] => return Some((value, rest)),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                value.push(*byte);
                (value, rest)
            }
            [] => return None,
        };
    }
}

fn skip_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Decodes UTF-8, or else Latin-1, in which every byte is a character.
fn text(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(|_| latin_1(bytes), str::to_owned)
}

fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Decodes `charset "'" [ language ] "'" value-chars` (RFC 8187, section 3.2.1). `None` for what
/// cannot be decoded and must be ignored (same section).
fn extended(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, escaped) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = unescape(escaped)?;
    if charset.eq_ignore_ascii_case(b"UTF-8") {
        String::from_utf8(bytes).ok()
    } else if charset.eq_ignore_ascii_case(b"ISO-8859-1") {
        Some(latin_1(&bytes))
    } else {
        None
    }
}

/// Decodes `*( pct-encoded / attr-char )`.
fn unescape(mut escaped: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(escaped.len());
    while let [byte, rest @ ..] = escaped {
        escaped = match byte {
            b'%' => {
                bytes.push(hex_pair(rest)?);
                &rest[2..]
            }
            byte if is_attr_char(*byte) => {
                bytes.push(*byte);
                rest
            }
            _ => return None,
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_every_form_are_read() {
        for (name, value, expected) in [
            ("quoted", &b"attachment; filename=\"a b.txt\""[..], "a b.txt"),
            ("a token", b"attachment; filename=a.txt", "a.txt"),
            ("inline", b"inline;filename=a", "a"),
            ("any case", b"ATTACHMENT ; FileName = \"A\"", "A"),
            ("escapes", br#"attachment; filename="a\"b\\c\d""#, "a\"b\\cd"),
            ("a semicolon between quotes", b"attachment; filename=\"a;b\"; x=y", "a;b"),
            ("empty parameters", b"attachment;; filename=a; ;", "a"),
            ("other parameters", b"attachment; x=\"filename=b\"; filename=a", "a"),
            ("raw UTF-8", "attachment; filename=\"ü€\"".as_bytes(), "ü€"),
            ("raw Latin-1", b"attachment; filename=\"\xfc.txt\"", "ü.txt"),
            ("escapes of paths stay", b"attachment; filename=\"a%20b\"", "a%20b"),
            ("a path stays", b"attachment; filename=\"../a\"", "../a"),
            ("extended", b"attachment; filename*=UTF-8''%e2%82%AC%20a", "€ a"),
            ("a language", b"attachment; filename*=utf-8'de'%C3%BC", "ü"),
            ("extended Latin-1", b"attachment; filename*=iso-8859-1''%FC", "ü"),
            ("extended wins", b"attachment; filename=a; filename*=UTF-8''b", "b"),
            ("extended wins in front", b"attachment; FILENAME*=UTF-8''b; filename=a", "b"),
            ("broken UTF-8", b"attachment; filename=a; filename*=UTF-8''%FF", "a"),
            ("a cut escape", b"attachment; filename=a; filename*=UTF-8''b%4", "a"),
            ("an unknown charset", b"attachment; filename=a; filename*=UTF-7''b", "a"),
            ("no charset", b"attachment; filename=a; filename*=b", "a"),
            ("an escaped control", b"attachment; filename*=UTF-8''%0A", "\n"),
        ] {
            assert_eq!(file_name(value).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn invalid_values_have_no_name() {
        for (name, value) in [
            ("empty", &b""[..]),
            ("no parameters", b"attachment"),
            ("no type", b"; filename=a"),
            ("the parameter alone", b"filename=a"),
            ("no value", b"attachment; filename"),
            ("an empty token", b"attachment; filename="),
            ("an empty name", b"attachment; filename=\"\""),
            ("open quotes", b"attachment; filename=\"a"),
            ("an escape at the end", b"attachment; filename=\"a\\"),
            ("text after the quotes", b"attachment; filename=\"a\"b"),
            ("two tokens", b"attachment; filename=a b"),
            ("a comma", b"attachment, filename=a"),
            ("the name twice", b"attachment; filename=a; FILENAME=b"),
            ("another parameter twice", b"attachment; filename=a; x=1; x=2"),
            ("a line break", b"attachment; filename=\"a\r\nb\""),
            ("a zero byte", b"attachment; filename=\"a\0\""),
            ("extended and broken, alone", b"attachment; filename*=UTF-8''%zz"),
            ("a quote in an extended value", b"attachment; filename*=UTF-8''a'b"),
        ] {
            assert_eq!(file_name(value), None, "{name}");
        }
    }

    #[test]
    fn a_size_is_digits() {
        for (name, value, expected) in [
            ("plain", &b"attachment; size=42"[..], Some(42)),
            ("quoted", b"attachment; filename=a; SIZE=\"7\"", Some(7)),
            ("the largest", b"attachment; size=18446744073709551615", Some(u64::MAX)),
            ("too large", b"attachment; size=18446744073709551616", None),
            ("a sign", b"attachment; size=+1", None),
            ("empty", b"attachment; size=\"\"", None),
            ("letters", b"attachment; size=1k", None),
            ("twice", b"attachment; size=1; size=1", None),
            ("none", b"attachment; filename=a", None),
        ] {
            assert_eq!(size(value), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(
            value in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b';'), Just(b'%')], 0..64)
        ) {
            let parameters = [b"attachment; filename*=UTF-8''", value.as_slice()].concat();
            for value in [&value, &parameters] {
                if let Some(name) = file_name(value) {
                    prop_assert!(!name.is_empty());
                }
                let _ = size(value);
            }
        }
    }
}
