//! Hosts and ports in a Host field or a request target: checked against RFC 3986, never resolved.

use std::net::Ipv6Addr;

/// A parsed `uri-host [ ":" port ]` (RFC 3986, section 3.2), without user information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'b> {
    /// The host: a name, an IPv4 address, or an address literal with its brackets. May be empty.
    pub host: &'b str,
    /// The digits after the colon, if there is one. May be empty.
    pub port: Option<&'b str>,
}

impl<'b> Authority<'b> {
    /// Parses an authority; `None` unless all of it is valid. The empty text is valid, as an empty
    /// host without a port (RFC 9110, section 7.2).
    pub fn parse(text: &'b str) -> Option<Self> {
        let end = text.find(']').map_or_else(|| text.find(':'), |bracket| Some(bracket + 1));
        let (host, rest) = text.split_at(end.unwrap_or(text.len()));
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return None,
        };
        let digits = port.unwrap_or("").bytes().all(|byte| byte.is_ascii_digit());
        (digits && is_host(host)).then_some(Self { host, port })
    }
}

/// Whether a Host field value is valid: empty, or a host with an optional port (RFC 9110, 7.2).
pub fn is_host_value(value: &[u8]) -> bool {
    str::from_utf8(value).is_ok_and(|text| Authority::parse(text).is_some())
}

/// Checks `host = IP-literal / IPv4address / reg-name`; the third includes the second.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']').is_some_and(is_ip_literal),
        None => is_reg_name(host.as_bytes()),
    }
}

/// Checks the text between the brackets: `IPv6address / IPvFuture`. A zone is not allowed in HTTP
/// (RFC 6874 is for what never leaves a node), and the standard library refuses it.
fn is_ip_literal(literal: &str) -> bool {
    literal.parse::<Ipv6Addr>().is_ok() || is_ip_future(literal)
}

/// Checks `"v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`.
fn is_ip_future(literal: &str) -> bool {
    let Some((version, address)) =
        literal.strip_prefix(['v', 'V']).and_then(|rest| rest.split_once('.'))
    else {
        return false;
    };
    !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !address.is_empty()
        && address.bytes().all(|byte| byte == b':' || is_name_byte(byte))
}

/// Checks `*( unreserved / pct-encoded / sub-delims )`, possibly empty.
fn is_reg_name(mut name: &[u8]) -> bool {
    while let [first, rest @ ..] = name {
        name = match (first, rest) {
            (b'%', [high, low, rest @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                rest
            }
            (&byte, rest) if is_name_byte(byte) => rest,
            _ => return false,
        };
    }
    true
}

/// Checks `unreserved / sub-delims` (RFC 3986, sections 2.2 and 2.3).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_hosts_are_split_into_host_and_port() {
        for (text, host, port) in [
            ("", "", None),
            ("localhost", "localhost", None),
            ("localhost:8080", "localhost", Some("8080")),
            ("localhost:", "localhost", Some("")),
            ("a_b.example", "a_b.example", None),
            ("127.0.0.1:80", "127.0.0.1", Some("80")),
            ("[::1]", "[::1]", None),
            ("[::1]:443", "[::1]", Some("443")),
            ("[1:2:3:4:5:6:7.8.9.10]", "[1:2:3:4:5:6:7.8.9.10]", None),
            ("[v1.fe:x]", "[v1.fe:x]", None),
            ("%41bc", "%41bc", None),
        ] {
            assert_eq!(Authority::parse(text), Some(Authority { host, port }), "{text:?}");
            assert!(is_host_value(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for (name, text) in [
            ("space", "a b"),
            ("two members", "a, b"),
            ("slash", "a/b"),
            ("user", "me@a"),
            ("query", "a?b"),
            ("port of letters", "a:http"),
            ("port with a sign", "a:+80"),
            ("two ports", "a:80:81"),
            ("address without brackets", "::1"),
            ("open bracket", "[::1"),
            ("close bracket", "::1]"),
            ("text before the bracket", "a[::1]"),
            ("text after the bracket", "[::1]a"),
            ("two literals", "[::1][::1]"),
            ("name in brackets", "[a]"),
            ("version without number", "[v.a]"),
            ("version without address", "[v1.]"),
            ("zone", "[fe80::1%25eth0]"),
            ("plain zone", "[fe80::1%1]"),
            ("cut percent", "a%4"),
            ("bad percent", "a%zz"),
            ("quote", "\"a\""),
            ("non-ASCII", "é"),
        ] {
            assert_eq!(Authority::parse(text), None, "{name}");
        }
        assert!(!is_host_value(b"a\xff"), "not UTF-8");
    }
}
