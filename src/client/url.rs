//! `http` and `https` URLs (RFC 3986, RFC 9110 section 4.2), parsed once and validated, so that
//! nothing in them can inject into a request head.

use super::Error;
use crate::http::host::Authority;
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`: plain text.
    Http,
    /// `https`: over TLS.
    Https,
}

impl Scheme {
    /// Returns the default port.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Returns the name as written in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// An absolute URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The scheme, before `://`.
    pub scheme: Scheme,
    /// The host: a name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// The port, explicit or default.
    pub port: u16,
    /// Path and query, percent-encoded; begins with a slash.
    pub target: String,
    /// `user:password`, decoded, if the URL has them.
    pub credentials: Option<String>,
}

impl Url {
    /// Returns the value of `Host`: the host as written in a URL, and the port unless it is the
    /// default (RFC 9110, section 7.2).
    pub fn authority(&self) -> String {
        let host = self.bracketed_host();
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }

    /// Returns host and port, both always present, as required for `CONNECT` (RFC 9110, section
    /// 9.3.6).
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    /// Returns a URL below this one: `http://h/relay` and `stream` make `http://h/relay/stream`.
    /// The query is dropped.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let base = self.target.split('?').next().unwrap_or_default().trim_end_matches('/');
        Self { target: encoded(&format!("{base}/{path}")), ..self.clone() }
    }

    /// Returns the path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// Without credentials: others may read the output.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.target)
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::Input(format!("'{}' is not a valid URL: {why}", shown(text).escape_debug()))
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some(_) | None => return Err(wrong("begin it with http:// or https://")),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let authority =
            Authority::parse(authority).filter(|authority| !authority.host.is_empty()).ok_or_else(
                || wrong("its host or port is not valid; write a name in its ASCII form"),
            )?;
        let port = match authority.port {
            None | Some("") => scheme.default_port(),
            Some(port) => {
                port.parse().map_err(|_| wrong("its port is not a number up to 65535"))?
            }
        };
        let target = target.split('#').next().unwrap_or_default();
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            scheme,
            host: authority.host.trim_matches(['[', ']']).to_owned(),
            port,
            target: encoded(&format!("{slash}{target}")),
            credentials: user.map(decoded),
        })
    }
}

/// Returns the URL without anything before an `@`, since error messages end up in logs.
pub(crate) fn shown(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

/// Percent-encodes every byte that is invalid in a request target.
fn encoded(target: &str) -> String {
    let mut text = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Encodes any name as a path segment (RFC 3986, section 3.3).
pub fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&crate::http::disposition::percent_decode(text.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_parsed() {
        for (text, host, port, target) in [
            ("http://h", "h", 80, "/"),
            ("HTTPS://h/a?b=c#d", "h", 443, "/a?b=c"),
            ("http://h:8080?q", "h", 8080, "/?q"),
            ("http://[::1]:7/x", "::1", 7, "/x"),
            ("http://me:pw@h/", "h", 80, "/"),
            ("http://h/a b/ü\r\n", "h", 80, "/a%20b/%C3%BC%0D%0A"),
            ("http://h/%41", "h", 80, "/%41"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((&*url.host, url.port, &*url.target), (host, port, target), "{text}");
        }
    }

    #[test]
    fn hosts_and_ports_are_written_as_parsed() {
        for (text, host, both) in [
            ("http://h", "h", "h:80"),
            ("https://h:443/", "h", "h:443"),
            ("http://[::1]:8080", "[::1]:8080", "[::1]:8080"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(
                (url.authority(), url.host_and_port()),
                (host.into(), both.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_printed_url_has_no_password() {
        let url: Url = "http://me:p%40w@h/x".parse().unwrap();
        assert_eq!(url.credentials.as_deref(), Some("me:p@w"));
        assert_eq!(url.to_string(), "http://h/x");
        let error = "ftp://me:secret@h".parse::<Url>().unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn paths_are_appended_to_the_url_of_the_relay() {
        for (base, below) in [
            ("http://h", "http://h/stream"),
            ("http://h/", "http://h/stream"),
            ("http://h/relay/?x", "http://h/relay/stream"),
        ] {
            assert_eq!(base.parse::<Url>().unwrap().below("stream").to_string(), below);
        }
        assert_eq!(segment("a b/c?"), "a%20b%2Fc%3F");
    }

    #[test]
    fn an_invalid_url_is_refused_with_a_hint() {
        for (text, hint) in [
            ("h:80", "begin it with http://"),
            ("ftp://h", "begin it with http://"),
            ("http://", "host"),
            ("http://a b/", "host"),
            ("http://ü/", "ASCII form"),
            ("http://h:99999", "port"),
            ("http://h:port", "port"),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
