//! The paths in a response as clients see them: the prefix that the relay removed from the request
//! is put before those of redirects and cookies, so that both stay below it.

use http::HeaderMap;
use http::header::{HeaderValue, LOCATION, SET_COOKIE};
use std::borrow::Cow;

/// The field with the prefix that the relay removed from a request.
const PREFIX: &str = "x-forwarded-prefix";

/// Puts the path of the relay's own URL before the prefix of a request: a proxy removes it on the
/// way to the relay, which does not know it.
pub(super) fn add_base(fields: &mut HeaderMap, base: &str) {
    let Some(prefix) = fields.get(PREFIX).filter(|_| !base.is_empty()) else { return };
    let prefix = [base.as_bytes(), prefix.as_bytes()].concat();
    if let Ok(prefix) = HeaderValue::from_bytes(&prefix) {
        fields.insert(PREFIX, prefix);
    }
}

/// Where clients reach an API, and where it believes to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PublicPaths {
    /// Prefix of its public paths, such as `/api/billing`; empty on a host of its own.
    public: String,
    /// Prefix of its own paths; empty for none.
    own: String,
    /// Hosts, with ports, that the API takes for its own.
    hosts: [String; 2],
}

impl PublicPaths {
    /// Creates the paths for a request with these fields; `None` if its prefix is not a path.
    pub(super) fn of(fields: &HeaderMap, own: &str, hosts: [String; 2]) -> Option<Self> {
        let Some(prefix) = fields.get(PREFIX) else {
            return Some(Self { public: String::new(), own: own.to_owned(), hosts });
        };
        let public = prefix.to_str().ok()?.trim_end_matches('/');
        // Two slashes would begin a host (RFC 3986, section 4.2).
        let is_path = public.starts_with('/') && !public.starts_with("//");
        is_path.then(|| Self { public: public.to_owned(), own: own.to_owned(), hosts })
    }

    /// Rewrites `Location` and the paths of cookies.
    pub(super) fn rewrite(&self, fields: &mut HeaderMap) {
        for (name, value) in fields.iter_mut() {
            let rewritten = match str::from_utf8(value.as_bytes()) {
                Ok(text) if name == LOCATION => self.location(text),
                Ok(text) if name == SET_COOKIE => self.cookie(text),
                Ok(_) | Err(_) => None,
            };
            if let Some(rewritten) = rewritten.and_then(|text| HeaderValue::try_from(text).ok()) {
                *value = rewritten;
            }
        }
    }

    /// Returns the `Location` for clients; `None` if it is relative to the request or names another
    /// server.
    fn location(&self, location: &str) -> Option<String> {
        if location.starts_with('/') && !location.starts_with("//") {
            return if self.is_public(location) { None } else { self.moved(location) };
        }
        let (scheme, rest) = location.split_once("//")?;
        if !["", "http:", "https:"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return None;
        }
        let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)) {
            return None;
        }
        // An API that knows its prefix needs only its host corrected.
        if self.is_public(path) { Some(path.to_owned()) } else { self.moved(path) }
    }

    /// Whether a path has the public prefix already.
    fn is_public(&self, path: &str) -> bool {
        !self.public.is_empty() && below(path, &self.public).is_some()
    }

    /// Returns the public form of a path of the API, with what follows it.
    fn moved(&self, path: &str) -> Option<String> {
        let rest = below(path, &self.own)?;
        let slash = if rest.starts_with('/') { "" } else { "/" };
        Some(format!("{}{slash}{rest}", self.public))
    }

    /// Returns the cookie with its path below the prefix.
    fn cookie(&self, cookie: &str) -> Option<String> {
        // Browsers refuse these with another path than `/` (RFC 6265bis, section 4.1.3.2).
        const FIXED: &str = "__Host-";
        if cookie.get(..FIXED.len()).is_some_and(|start| start.eq_ignore_ascii_case(FIXED)) {
            return None;
        }
        let mut parts = cookie.split(';');
        let mut rewritten = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let path =
                part.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("path"));
            let path = path.and_then(|(_, path)| self.cookie_path(path.trim()));
            let part = path.map_or(Cow::Borrowed(part), |path| format!(" Path={path}").into());
            rewritten.push(';');
            rewritten.push_str(&part);
        }
        (rewritten != cookie).then_some(rewritten)
    }

    fn cookie_path(&self, path: &str) -> Option<String> {
        if !path.starts_with('/') || self.is_public(path) {
            return None;
        }
        // A cookie for all of the API, or for more than that.
        if below(&self.own, path.trim_end_matches('/')).is_some() {
            let public = if self.public.is_empty() { "/" } else { &self.public };
            return Some(public.to_owned());
        }
        below(path, &self.own).map(|rest| format!("{}{rest}", self.public))
    }
}

/// Returns what follows `prefix`, if the path is below it or equal to it.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(own: &str) -> PublicPaths {
        let hosts = ["127.0.0.1:3000".to_owned(), "relay.example".to_owned()];
        let fields = [("x-forwarded-prefix", "/api/billing")];
        let fields = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        PublicPaths::of(&HeaderMap::from_iter(fields), own, hosts).unwrap()
    }

    #[test]
    fn a_redirect_to_the_api_stays_below_its_prefix() {
        for (own, location, expected) in [
            ("", "/login?next=/a#b", "/api/billing/login?next=/a#b"),
            ("", "/", "/api/billing/"),
            ("", "http://127.0.0.1:3000/login", "/api/billing/login"),
            ("", "HTTPS://Relay.Example/login", "/api/billing/login"),
            ("", "//127.0.0.1:3000/login", "/api/billing/login"),
            ("", "http://127.0.0.1:3000", "/api/billing/"),
            ("", "http://127.0.0.1:3000?a", "/api/billing/?a"),
            ("", "/api/billing/login", "/api/billing/login"),
            ("", "/api/billing", "/api/billing"),
            ("", "/api/billings", "/api/billing/api/billings"),
            ("", "http://127.0.0.1:3000/api/billing/x", "/api/billing/x"),
            ("", "login", "login"),
            ("", "../a//b", "../a//b"),
            ("", "http://127.0.0.1:3001/login", "http://127.0.0.1:3001/login"),
            ("", "https://idp.example/login", "https://idp.example/login"),
            ("", "//idp.example/login", "//idp.example/login"),
            ("", "app://127.0.0.1:3000/x", "app://127.0.0.1:3000/x"),
            ("/v1", "/v1/login", "/api/billing/login"),
            ("/v1", "/v1", "/api/billing/"),
            ("/v1", "/v2/login", "/v2/login"),
        ] {
            let rewritten = paths(own).location(location);
            assert_eq!(rewritten.as_deref().unwrap_or(location), expected, "{own} {location}");
        }
    }

    #[test]
    fn a_cookie_of_the_api_is_sent_below_its_prefix() {
        for (own, cookie, expected) in [
            ("", "a=1; Path=/", "a=1; Path=/api/billing"),
            ("", "a=1; path=/; HttpOnly", "a=1; Path=/api/billing; HttpOnly"),
            ("", "a=1;Path = /x/ ;Secure", "a=1; Path=/api/billing/x/;Secure"),
            ("", "a=ü; Path=/x", "a=ü; Path=/api/billing/x"),
            ("", "a=1; Path=/api/billing/x", "a=1; Path=/api/billing/x"),
            ("", "a=1; HttpOnly", "a=1; HttpOnly"),
            ("", "a=1; Path=", "a=1; Path="),
            ("", "path=/", "path=/"),
            ("", "__Host-a=1; Secure; Path=/", "__Host-a=1; Secure; Path=/"),
            ("/v1", "a=1; Path=/", "a=1; Path=/api/billing"),
            ("/v1", "a=1; Path=/v1/x", "a=1; Path=/api/billing/x"),
            ("/v1", "a=1; Path=/v2", "a=1; Path=/v2"),
        ] {
            let rewritten = paths(own).cookie(cookie);
            assert_eq!(rewritten.as_deref().unwrap_or(cookie), expected, "{own} {cookie}");
        }
    }

    #[test]
    fn the_path_of_the_relay_precedes_the_prefix() {
        for (base, prefix, expected) in [
            ("/relay", Some("/api/billing"), Some("/relay/api/billing")),
            ("/a/b", Some("/socket/x"), Some("/a/b/socket/x")),
            ("", Some("/api/billing"), Some("/api/billing")),
            ("/relay", None, None),
        ] {
            let mut fields = HeaderMap::new();
            if let Some(prefix) = prefix {
                fields.insert(PREFIX, prefix.parse().unwrap());
            }
            add_base(&mut fields, base);
            let found = fields.get(PREFIX).map(|prefix| prefix.to_str().unwrap());
            assert_eq!(found, expected, "{base} {prefix:?}");
        }
    }

    #[test]
    fn on_a_host_of_its_own_an_api_keeps_its_paths_without_its_own_prefix() {
        let hosts = ["127.0.0.1:3000".to_owned(), "billing.relay.example".to_owned()];
        for (own, location, expected) in [
            ("", "/login", "/login"),
            ("", "http://127.0.0.1:3000/login", "/login"),
            ("", "https://billing.relay.example?a", "/?a"),
            ("", "https://idp.example/login", "https://idp.example/login"),
            ("/v1", "/v1/login", "/login"),
            ("/v1", "/v1", "/"),
            ("/v1", "/v2", "/v2"),
        ] {
            let paths = PublicPaths::of(&HeaderMap::new(), own, hosts.clone()).unwrap();
            let rewritten = paths.location(location);
            assert_eq!(rewritten.as_deref().unwrap_or(location), expected, "{own} {location}");
        }
        for (own, cookie, expected) in [
            ("", "a=1; Path=/", "a=1; Path=/"),
            ("", "a=1; Path=/x", "a=1; Path=/x"),
            ("/v1", "a=1; Path=/v1/x", "a=1; Path=/x"),
            ("/v1", "a=1; Path=/v1", "a=1; Path=/"),
            ("/v1", "a=1; Path=/v2", "a=1; Path=/v2"),
        ] {
            let paths = PublicPaths::of(&HeaderMap::new(), own, hosts.clone()).unwrap();
            let rewritten = paths.cookie(cookie);
            assert_eq!(rewritten.as_deref().unwrap_or(cookie), expected, "{own} {cookie}");
        }
    }

    #[test]
    fn with_an_invalid_prefix_nothing_is_rewritten() {
        let hosts = || [String::new(), String::new()];
        for prefix in ["", "/", "//evil.example", "api"] {
            let mut fields = HeaderMap::new();
            fields.insert("x-forwarded-prefix", prefix.parse().unwrap());
            assert_eq!(PublicPaths::of(&fields, "", hosts()), None, "{prefix}");
        }
    }
}
