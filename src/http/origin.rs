//! Origins as browsers send them in `Origin` (RFC 6454, section 7): parsed and compared, never
//! resolved.

use super::host::Authority;
use std::fmt;

/// A scheme, a host and a port. `null`, an opaque origin, is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    /// The port; `None` for the default port of the scheme.
    port: Option<u16>,
}

impl Origin {
    /// Parses `scheme "://" host [ ":" port ]`; `None` for anything else, including a path.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let Authority { host, port } = Authority::parse(authority)?;
        if !is_scheme(scheme) || host.is_empty() {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let port = number(port)?.filter(|port| Some(*port) != default_port(&scheme));
        Some(Self { scheme, host: host.to_ascii_lowercase(), port })
    }

    /// Whether this is the origin of a server with this `Host` value. A server behind a proxy
    /// cannot know the scheme, so both `http` and `https` match.
    pub fn is_of_host(&self, host: &[u8]) -> bool {
        let Some(default) = default_port(&self.scheme) else { return false };
        let Some(authority) = str::from_utf8(host).ok().and_then(Authority::parse) else {
            return false;
        };
        let Some(port) = number(authority.port) else { return false };
        authority.host.eq_ignore_ascii_case(&self.host)
            && port.unwrap_or(default) == self.port.unwrap_or(default)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Checks `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )` (RFC 3986, section 3.1).
fn is_scheme(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(rest)
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Parses the digits of a port, if there are any (RFC 3986, section 3.2.3); `None` if it is too
/// large.
#[allow(clippy::option_option, reason = "an invalid port is not a missing one")]
fn number(digits: Option<&str>) -> Option<Option<u16>> {
    match digits {
        None | Some("") => Some(None),
        Some(digits) => digits.parse().ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for (text, shown) in [
            ("http://localhost", Some("http://localhost")),
            ("HTTP://LocalHost:80", Some("http://localhost")),
            ("https://a.example:443", Some("https://a.example")),
            ("https://a.example:80", Some("https://a.example:80")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("chrome-extension://abc", Some("chrome-extension://abc")),
            ("null", None),
            ("", None),
            ("localhost", None),
            ("http://", None),
            ("http://:80", None),
            ("http://a/", None),
            ("http://a/b", None),
            ("http://me@a", None),
            ("http://a:65536", None),
            ("http://a http://b", None),
            ("1http://a", None),
        ] {
            let origin = Origin::parse(text).map(|origin| origin.to_string());
            assert_eq!(origin.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn a_server_has_the_origin_of_its_host() {
        for (name, origin, host, own) in [
            ("the same", "http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("another case", "http://relay.example", "Relay.Example", true),
            ("the default port, written", "http://a", "a:80", true),
            ("by TLS at a proxy", "https://a", "a", true),
            ("by TLS at a proxy, with its port", "https://a", "a:443", true),
            ("an empty port", "http://a", "a:", true),
            ("another port", "http://localhost:3000", "localhost:8080", false),
            ("no port", "http://localhost:3000", "localhost", false),
            ("another host", "http://b", "a", false),
            ("a subdomain", "http://x.a", "a", false),
            ("another scheme", "chrome-extension://a", "a", false),
            ("an empty host", "http://a", "", false),
            ("an invalid host", "http://a", "a/b", false),
            ("a port too large", "http://a", "a:65616", false),
        ] {
            assert_eq!(Origin::parse(origin).unwrap().is_of_host(host.as_bytes()), own, "{name}");
        }
    }
}
