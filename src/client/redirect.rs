//! Redirects of a relay to the node that has a stream (RFC 9110, sections 15.4.8 and 15.4.9): the
//! method and the body stay the same. Only 307 and 308 are followed, and never from `https` to
//! `http`.

use super::credential::RelayToken;
use super::url::{Scheme, Url};
use super::{Error, Options, Response};
use std::io;

/// Maximum redirects of one request. A relay redirects once; more are those of proxies, or a loop.
const REDIRECTS_MAX: u32 = 10;

/// Fields that only the server the user named gets.
const CREDENTIALS: [&str; 2] = ["Authorization", "Cookie"];

/// Where a request is sent: to the named server, then to where that one redirects it.
#[derive(Debug)]
pub(crate) struct Redirects<'o> {
    first: Url,
    given: &'o Options,
    url: Url,
    /// What differs there from the given ones.
    others: Option<Options>,
    followed: u32,
}

impl<'o> Redirects<'o> {
    pub(crate) fn new(url: Url, given: &'o Options) -> Self {
        Self { first: url.clone(), given, url, others: None, followed: 0 }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the options for a request to this URL.
    pub(crate) fn options(&self) -> &Options {
        self.others.as_ref().unwrap_or(self.given)
    }

    /// Whether the request is to be sent again, to another URL by now.
    ///
    /// # Errors
    /// As for [`Redirects::follow`].
    pub(crate) fn follow_response(&mut self, response: &Response) -> Result<bool, Error> {
        self.follow(response.status(), response.text("Location"))
    }

    /// Does the same for a response with this status and `Location`.
    ///
    /// # Errors
    /// [`Error::Network`] if the redirect cannot be followed.
    pub(crate) fn follow(&mut self, status: u16, location: Option<&str>) -> Result<bool, Error> {
        let Some(location) = location.filter(|_| matches!(status, 307 | 308)) else {
            return Ok(false);
        };
        // Another host cannot be reached through the socket of this one.
        if self.given.unix_socket.is_some() {
            return Ok(false);
        }
        let mut url = self.resolved(location)?;
        if self.url.scheme == Scheme::Https && url.scheme == Scheme::Http {
            return Err(refused(&url, "it is not encrypted; check node-url of the relay"));
        }
        self.followed += 1;
        if self.followed > REDIRECTS_MAX {
            return Err(refused(&url, "too many redirects; check node-url of the relay"));
        }
        let is_trusted = is_of(&self.first, &url);
        url.credentials = self.first.credentials.clone().filter(|_| is_trusted);
        self.others = Some(self.options_for(&url, is_trusted));
        self.url = url;
        Ok(true)
    }

    /// Returns the URL that a reference means (RFC 3986, section 5.2); one relative to a path is
    /// refused.
    fn resolved(&self, location: &str) -> Result<Url, Error> {
        if location.starts_with('/') && !location.starts_with("//") {
            let Url { scheme, .. } = self.url;
            return format!("{}://{}{location}", scheme.name(), self.url.authority()).parse();
        }
        location.parse().map_err(|error: Error| {
            let error = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
            Error::network("cannot follow the redirect", error)
        })
    }

    fn options_for(&self, url: &Url, is_trusted: bool) -> Options {
        let mut options = self.given.clone();
        let token = self.given.token.as_ref().and_then(|token| token.for_url(&self.first));
        let token = token.filter(|_| is_trusted);
        options.token = token.map(|token| RelayToken::new(token.to_owned(), Some(url)));
        if !is_trusted {
            options.fields.retain(|(name, _)| {
                !CREDENTIALS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
            });
        }
        options
    }
}

/// Whether a server gets what the first one gets: it is the same host or one below it, with the same
/// scheme and port, or with `https` instead of `http`.
fn is_of(first: &Url, url: &Url) -> bool {
    let (named, host) = (first.host.to_ascii_lowercase(), url.host.to_ascii_lowercase());
    let is_below = host.strip_suffix(&named).is_some_and(|rest| rest.ends_with('.'));
    let is_same = (first.scheme, first.port) == (url.scheme, url.port);
    let is_upgrade = (first.scheme, url.scheme) == (Scheme::Http, Scheme::Https);
    (host == named || is_below) && (is_same || is_upgrade)
}

/// Not retried, as an untrusted certificate is not.
fn refused(url: &Url, why: &'static str) -> Error {
    let error = io::Error::new(io::ErrorKind::InvalidData, why);
    Error::network(format!("cannot follow the redirect to {url}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The URL and the options after this redirect.
    fn followed(from: &str, location: &str) -> Result<(String, Options), String> {
        let token = Some(RelayToken::new("hush".into(), None));
        let mut given = Options { token, ..Options::default() };
        for name in ["X-A", "Cookie", "authorization"] {
            given.add_field(name, "b").unwrap();
        }
        let mut place = Redirects::new(from.parse().unwrap(), &given);
        let followed = place.follow(307, Some(location)).map_err(|error| error.to_string())?;
        assert!(followed);
        Ok((place.url().to_string(), place.options().clone()))
    }

    #[test]
    fn a_request_is_sent_again_to_where_it_is_redirected() {
        for (from, location, to) in [
            ("http://r/stream/7?t=1", "http://n:8/stream/7?t=1", "http://n:8/stream/7?t=1"),
            ("http://r/stream/7", "https://n/p/stream/7", "https://n/p/stream/7"),
            ("https://r:8/stream/7", "/n/3/stream/7", "https://r:8/n/3/stream/7"),
        ] {
            assert_eq!(followed(from, location).unwrap().0, to, "{from}");
        }
    }

    #[test]
    fn credentials_are_for_the_named_host_and_those_below_it() {
        for (from, location, sent) in [
            ("https://relay.example/", "/n/3/", true),
            ("https://relay.example/", "https://Relay.example/n/3/", true),
            ("https://relay.example/", "https://3.relay.example/", true),
            ("http://relay.example:80/", "https://relay.example:8443/", true),
            ("https://relay.example/", "https://relay.example:8443/", false),
            ("https://relay.example/", "https://relay-3.example/", false),
            ("https://relay.example/", "https://evilrelay.example/", false),
            ("https://3.relay.example/", "https://relay.example/", false),
        ] {
            let (to, options) = followed(from, location).unwrap();
            let token = options
                .token
                .and_then(|token| token.for_url(&to.parse().unwrap()).map(str::to_owned));
            assert_eq!(token.is_some(), sent, "{from} {location}");
            let names: Vec<_> = options.fields.iter().map(|(name, _)| name.as_str()).collect();
            let all: &[&str] = if sent { &["X-A", "Cookie", "authorization"] } else { &["X-A"] };
            assert_eq!(names, all, "{from} {location}");
        }
    }

    #[test]
    fn a_token_for_another_relay_is_not_sent_to_a_node() {
        let relay = "https://r.example".parse().unwrap();
        let token = Some(RelayToken::new("hush".into(), Some(&relay)));
        let given = Options { token, ..Options::default() };
        let mut place = Redirects::new("https://other.example/".parse().unwrap(), &given);
        assert!(place.follow(308, Some("https://3.other.example/")).unwrap());
        assert!(place.options().token.is_none());
    }

    #[test]
    fn a_redirect_that_cannot_be_followed_is_refused_with_the_reason() {
        for (from, location, part) in [
            ("https://r/", "http://r/", "not encrypted"),
            ("https://r/", "ftp://r/", "http://"),
            ("https://r/", "//n/x", "http://"),
            ("https://r/", "stream/7", "http://"),
        ] {
            let why = followed(from, location).unwrap_err();
            assert!(why.contains("redirect") && why.contains(part), "{location}: {why}");
        }
    }

    #[test]
    fn redirects_are_bounded_and_other_statuses_are_none() {
        let options = Options::default();
        let mut place = Redirects::new("http://r/".parse().unwrap(), &options);
        for status in [200, 301, 302, 303, 304, 421] {
            assert!(!place.follow(status, Some("http://n/")).unwrap(), "{status}");
        }
        assert!(!place.follow(307, None).unwrap());
        for _ in 0..REDIRECTS_MAX {
            assert!(place.follow(307, Some("http://r/")).unwrap());
        }
        let why = place.follow(307, Some("http://r/")).unwrap_err().to_string();
        assert!(why.contains("too many redirects"), "{why}");
    }
}
