//! Request options: timeouts, header fields, trusted authorities, and proxies.

use super::credential::RelayToken;
use super::outgoing::UNLIMITED;
use super::proxy::Proxies;
use super::tls::Trust;
use crate::http::fields::{is_field_value, is_token};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Error;

/// The fields that frame the message, reserved for the client.
const RESERVED: [&str; 8] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "host",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// Request options. By default, connecting times out after 10 s and a stalled transfer after 5 min,
/// the system's authorities are trusted, and proxies are those of the environment.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) connect_timeout: Duration,
    pub(crate) connect_retries: u32,
    pub(crate) stall_timeout: Duration,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) trust: Trust,
    pub(crate) proxies: Proxies,
    /// The token of a relay.
    pub(crate) token: Option<RelayToken>,
    /// The Unix socket to connect to, whatever the URL names.
    pub(crate) unix_socket: Option<PathBuf>,
    /// The addresses to connect to instead of those of the host; `None`: it is resolved.
    pub(crate) addresses: Option<Vec<SocketAddr>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            connect_retries: 0,
            stall_timeout: Duration::from_mins(5),
            fields: Vec::new(),
            trust: Trust::default(),
            proxies: Proxies::from_environment(),
            token: None,
            unix_socket: None,
            addresses: None,
        }
    }
}

impl Options {
    /// Adds a field to the head of every request.
    ///
    /// # Errors
    /// [`Error::Input`] if the name is not a token (RFC 9110), the value contains anything but
    /// visible ASCII, spaces and tabs, or the field frames the message.
    pub fn add_field(&mut self, name: &str, value: &str) -> Result<(), Error> {
        if !is_token(name.as_bytes()) {
            return Err(Error::Input(format!("'{name}' is not a valid header field name")));
        }
        if !is_field_value(value.as_bytes()) {
            let why = "only visible ASCII, spaces and tabs can be sent";
            return Err(Error::Input(format!("the value of {name} is not valid: {why}")));
        }
        let lower = name.to_ascii_lowercase();
        if RESERVED.contains(&lower.as_str()) || lower.starts_with("proxy-") {
            return Err(Error::Input(format!("{name} is set by rdv itself; remove it")));
        }
        self.fields.push((name.to_owned(), value.trim().to_owned()));
        Ok(())
    }

    /// Whether a field of this name was added.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(there, _)| there.eq_ignore_ascii_case(name))
    }

    /// Sets the timeout for connecting to each address of the host.
    pub fn set_connect_timeout(&mut self, timeout: Duration) {
        self.connect_timeout = timeout.min(UNLIMITED);
    }

    /// Sets the maximum number of retries for connecting, after 200 ms, 400 ms and so on. An
    /// untrusted certificate is not retried.
    pub fn set_connect_retries(&mut self, retries: u32) {
        self.connect_retries = retries;
    }

    /// Sets the maximum time without progress in either direction.
    pub fn set_stall_timeout(&mut self, timeout: Duration) {
        self.stall_timeout = timeout.min(UNLIMITED);
    }

    /// Trusts the certificate authorities in this PEM file, and no others.
    pub fn trust_only(&mut self, authorities: impl Into<PathBuf>) {
        self.trust = Trust::file(authorities.into());
    }

    /// Checks what a request to this URL needs: its proxy, and the authorities for `https`.
    ///
    /// # Errors
    /// [`Error::Input`] if one of them is unusable.
    #[cfg(feature = "connector")]
    pub(crate) fn check(&self, url: &super::Url) -> Result<(), Error> {
        self.proxies.for_url(url)?;
        match url.scheme {
            super::url::Scheme::Http => Ok(()),
            super::url::Scheme::Https => self.trust.config().map(drop),
        }
    }

    /// Connects to this Unix socket instead of the host of the URL, without TLS or a proxy.
    pub fn connect_to_unix(&mut self, path: impl Into<PathBuf>) {
        self.unix_socket = Some(path.into());
    }

    /// Ignores the proxy variables of the environment.
    pub fn no_proxy(&mut self) {
        self.proxies = Proxies::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_and_reserved_fields_are_refused() {
        let mut options = Options::default();
        for (name, value, hint) in [
            ("a b", "x", "valid header"),
            ("", "x", "valid header"),
            ("A", "x\r\nB: y", "visible ASCII"),
            ("A", "ü", "visible ASCII"),
            ("Content-Length", "3", "remove it"),
            ("HOST", "h", "remove it"),
            ("Proxy-Authorization", "Basic x", "remove it"),
        ] {
            let error = options.add_field(name, value).unwrap_err().to_string();
            assert!(error.contains(hint), "{name}: {error}");
        }
        options.add_field("X-A", " b ").unwrap();
        assert_eq!(options.fields, [("X-A".to_owned(), "b".to_owned())]);
        assert!(options.has_field("x-a"));
    }
}
