//! The header fields of a request, borrowed from the head buffer: nothing is copied or joined.
//! Names are tokens; values are trimmed of spaces and tabs and hold no control byte.

use std::fmt;

/// The fields of one head, in the order of the wire.
#[derive(Clone, Copy)]
pub struct Fields<'h, 'b>(&'h [httparse::Header<'b>]);

impl<'h, 'b> Fields<'h, 'b> {
    /// Wraps the headers parsed by httparse; only the head parser calls this.
    pub(super) fn new(headers: &'h [httparse::Header<'b>]) -> Self {
        Self(headers)
    }

    /// Returns every field line: its name as received, and its value. A value may hold bytes above
    /// 0x7f.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&'b str, &'b [u8])> + use<'h, 'b> {
        self.0.iter().map(|header| (header.name, header.value))
    }

    /// Returns the value of the first field of this name, in any case (RFC 9110, section 5.1).
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        self.0.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|h| h.value)
    }

    /// Returns the values of all fields of this name, in the order of the wire (RFC 9110, section
    /// 5.3).
    pub fn all<'n>(
        &self,
        name: &'n str,
    ) -> impl DoubleEndedIterator<Item = &'b [u8]> + use<'h, 'b, 'n> {
        self.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    /// Whether a list field of this name has this token as a member, in any case, on any of its
    /// lines (RFC 9110, sections 5.3 and 5.6.1).
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let mut members = self.all(name).flat_map(members);
        members.any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Returns the token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1), if present
    /// exactly once.
    pub fn bearer(&self) -> Option<&'b [u8]> {
        let mut all = self.all("Authorization");
        let (Some(value), None) = (all.next(), all.next()) else { return None };
        let (scheme, token) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
    }
}

impl fmt::Debug for Fields<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string())))
            .finish()
    }
}

/// Returns the members of a comma-separated value, each trimmed; empty ones too (RFC 9110, section
/// 5.6.1). Quoted strings are not supported, so this is for lists of tokens only.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// Splits a field line without its end into the name and the trimmed value; `None` without a colon.
pub fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((&line[..colon], trim(&line[colon + 1..])))
}

/// Returns the value without leading and trailing spaces and tabs (`OWS` of RFC 9110, section
/// 5.6.3).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether this is an RFC 9110 token (section 5.6.2): at least one letter, digit or
/// ``!#$%&'*+-.^_`|~``.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether this byte is allowed in a token.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a field value can be sent as it is: visible ASCII, space and tab only. Stricter than RFC
/// 9110, section 5.5, which allows a recipient to treat bytes above 0x7f as opaque.
pub fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_any_case_and_keep_their_order() {
        let headers = [
            httparse::Header { name: "Accept", value: b"a" },
            httparse::Header { name: "Host", value: b"h" },
            httparse::Header { name: "ACCEPT", value: b"b" },
        ];
        let fields = Fields::new(&headers);
        assert_eq!(fields.get("accept"), Some(&b"a"[..]));
        assert_eq!(fields.get("te"), None);
        assert_eq!(fields.all("Accept").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(fields.iter().map(|(name, _)| name).next_back(), Some("ACCEPT"));
        assert!(format!("{fields:?}").contains("Host"));
    }

    #[test]
    fn a_token_is_found_on_every_line_of_its_field_only() {
        let lines =
            [("Connection", "close ,\tUpgrade"), ("CONNECTION", ",,Keep-Alive,"), ("A", "x")];
        let headers = lines.map(|(name, value)| httparse::Header { name, value: value.as_bytes() });
        let fields = Fields::new(&headers);
        for (token, listed) in [
            ("upgrade", true),
            ("CLOSE", true),
            ("keep-alive", true),
            ("x", false),
            ("clos", false),
        ] {
            assert_eq!(fields.lists("Connection", token), listed, "{token}");
        }
    }

    #[test]
    fn a_bearer_token_is_read_with_its_scheme_in_any_case() {
        for (name, values, token) in [
            ("as it is written", &["Bearer x"][..], Some("x")),
            ("in capitals", &["BEARER x"], Some("x")),
            ("in small letters", &["bearer x"], Some("x")),
            ("several spaces", &["Bearer   x"], Some("x")),
            ("another scheme", &["Basic x"], None),
            ("a longer scheme", &["Bearers x"], None),
            ("the scheme alone", &["Bearer"], None),
            ("twice", &["Bearer x", "Bearer x"], None),
        ] {
            let header = |value: &&'static str| httparse::Header {
                name: "authorization",
                value: value.as_bytes(),
            };
            let headers: Vec<_> = values.iter().map(header).collect();
            assert_eq!(Fields::new(&headers).bearer(), token.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn lists_are_split_at_commas_and_trimmed() {
        for (name, value, expected) in [
            ("one", &b"a"[..], &["a"][..]),
            ("spaces and tabs", b" a ,\tb c\t", &["a", "b c"]),
            ("empty members", b",a,", &["", "a", ""]),
            ("empty value", b"", &[""]),
        ] {
            let found: Vec<_> = members(value).map(|m| str::from_utf8(m).unwrap()).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn tokens_contain_no_separators() {
        for (token, expected) in [
            ("X-Name", true),
            ("!#$%&'*+-.^_`|~09azAZ", true),
            ("", false),
            ("a b", false),
            ("a:", false),
            ("a\r", false),
            ("(a)", false),
            ("é", false),
        ] {
            assert_eq!(is_token(token.as_bytes()), expected, "{token:?}");
        }
    }

    #[test]
    fn field_values_are_visible_ascii_with_spaces_and_tabs() {
        for (value, expected) in [
            ("", true),
            ("a \t~", true),
            ("a\nb", false),
            ("\0", false),
            ("\x7f", false),
            ("é", false),
        ] {
            assert_eq!(is_field_value(value.as_bytes()), expected, "{value:?}");
        }
    }
}
