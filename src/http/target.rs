//! The four forms of a request target (RFC 9112, section 3.2), split into the path and the query
//! used for routing. Nothing is decoded or normalized.

use super::head::Method;
use super::host::Authority;
use super::reject::Reject;

/// The path and query of a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'b> {
    /// The path of origin- and absolute-form, never empty; `*` of asterisk-form; all of
    /// authority-form.
    pub path: &'b str,
    /// The text after the first `?`.
    pub query: Option<&'b str>,
}

impl<'b> Target<'b> {
    /// Parses a target that holds no space and no control byte.
    ///
    /// # Errors
    ///
    /// [`Reject::TargetBytes`], [`Reject::TargetForm`] or [`Reject::TargetAuthority`].
    pub fn parse(method: Method, target: &'b str) -> Result<Self, Reject> {
        if target.bytes().any(|byte| byte == b'#' || !byte.is_ascii()) {
            return Err(Reject::TargetBytes);
        }
        if method == Method::Connect {
            return Self::authority_form(target);
        }
        if target.starts_with('/') {
            return Ok(Self::split(target));
        }
        if target == "*" && method == Method::Options {
            return Ok(Self { path: target, query: None });
        }
        Self::absolute_form(method, target)
    }

    /// Splits a text that begins with a slash into path and query.
    fn split(text: &'b str) -> Self {
        match text.split_once('?') {
            Some((path, query)) => Self { path, query: Some(query) },
            None => Self { path: text, query: None },
        }
    }

    /// Parses `uri-host ":" port`, both required (RFC 9112, section 3.2.3; RFC 9110, section
    /// 9.3.6).
    fn authority_form(target: &'b str) -> Result<Self, Reject> {
        match Authority::parse(target) {
            Some(Authority { host, port: Some(port) }) if !host.is_empty() && !port.is_empty() => {
                Ok(Self { path: target, query: None })
            }
            Some(_) | None => Err(Reject::TargetAuthority),
        }
    }

    /// Parses `http://` or `https://`, a host, and the rest (RFC 9112, section 3.2.2).
    fn absolute_form(method: Method, target: &'b str) -> Result<Self, Reject> {
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| strip_prefix_any_case(target, scheme))
            .ok_or(Reject::TargetForm)?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if Authority::parse(authority).is_none_or(|parsed| parsed.host.is_empty()) {
            return Err(Reject::TargetAuthority);
        }
        match rest.strip_prefix('?') {
            Some(query) => Ok(Self { path: "/", query: Some(query) }),
            None if !rest.is_empty() => Ok(Self::split(rest)),
            None if method == Method::Options => Ok(Self { path: "*", query: None }),
            None => Ok(Self { path: "/", query: None }),
        }
    }
}

/// Returns the text after the prefix, which is matched in any case.
fn strip_prefix_any_case<'b>(text: &'b str, prefix: &str) -> Option<&'b str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_a_path_and_query() {
        for (name, method, target, path, query) in [
            ("origin", Method::Get, "/a/b", "/a/b", None),
            ("origin with a query", Method::Get, "/a?b=/c?d", "/a", Some("b=/c?d")),
            ("empty query", Method::Get, "/?", "/", Some("")),
            ("two slashes", Method::Get, "//host/a", "//host/a", None),
            ("origin of options", Method::Options, "/a", "/a", None),
            ("asterisk", Method::Options, "*", "*", None),
            ("absolute", Method::Put, "http://h:80/a?b", "/a", Some("b")),
            ("absolute, any case", Method::Get, "HTTPS://[::1]/", "/", None),
            ("absolute without a path", Method::Get, "http://h", "/", None),
            ("absolute with a query only", Method::Get, "http://h?a/b", "/", Some("a/b")),
            ("absolute, empty port", Method::Get, "http://h:/a", "/a", None),
            ("options of a host", Method::Options, "http://h", "*", None),
            ("options of a path", Method::Options, "http://h/", "/", None),
            ("options of a query", Method::Options, "http://h?a", "/", Some("a")),
            ("authority", Method::Connect, "h:443", "h:443", None),
            ("address", Method::Connect, "[::1]:443", "[::1]:443", None),
        ] {
            assert_eq!(Target::parse(method, target), Ok(Target { path, query }), "{name}");
        }
    }

    #[test]
    fn other_targets_are_refused() {
        for (name, method, target, reject) in [
            ("fragment", Method::Get, "/a#b", Reject::TargetBytes),
            ("non-ASCII", Method::Get, "/é", Reject::TargetBytes),
            ("asterisk of get", Method::Get, "*", Reject::TargetForm),
            ("asterisk with more", Method::Options, "*a", Reject::TargetForm),
            ("relative", Method::Get, "a/b", Reject::TargetForm),
            ("authority of get", Method::Get, "h:443", Reject::TargetForm),
            ("other scheme", Method::Get, "ftp://h/", Reject::TargetForm),
            ("one slash", Method::Get, "http:/h/", Reject::TargetForm),
            ("scheme alone", Method::Get, "http:", Reject::TargetForm),
            ("no host", Method::Get, "http:///a", Reject::TargetAuthority),
            ("no host, a port", Method::Get, "http://:80/a", Reject::TargetAuthority),
            ("nothing", Method::Get, "http://", Reject::TargetAuthority),
            ("user", Method::Get, "http://me@h/", Reject::TargetAuthority),
            ("bad port", Method::Get, "http://h:x/", Reject::TargetAuthority),
            ("path of connect", Method::Connect, "/a", Reject::TargetAuthority),
            ("asterisk of connect", Method::Connect, "*", Reject::TargetAuthority),
            ("connect without a port", Method::Connect, "h", Reject::TargetAuthority),
            ("connect, empty port", Method::Connect, "h:", Reject::TargetAuthority),
            ("connect, empty host", Method::Connect, ":1", Reject::TargetAuthority),
            ("connect to a URL", Method::Connect, "http://h:1/", Reject::TargetAuthority),
        ] {
            assert_eq!(Target::parse(method, target), Err(reject), "{name}");
        }
    }
}
