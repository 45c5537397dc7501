//! One attempt to send a notification.

use super::address::is_public;
use crate::client::connection::Connection;
use crate::client::single::{SingleRequest, send_on};
use crate::client::{Error, Options, Part, Url, clock, dial};
use crate::http::webhook::{self, SigningKey};
use crate::ops::NotifySettings;
use crate::ops::random;
use crate::relay::Notification;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// Maximum addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;

/// A notification, with what all attempts have in common.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) notification: Notification,
    /// `None`: its URL is not valid.
    url: Option<Url>,
    /// The same in all attempts, so that its receiver recognizes a repeated one.
    id: String,
    /// Where it can be sent to; empty before its host was resolved.
    addresses: Vec<SocketAddr>,
}

impl Message {
    pub(super) fn new(notification: Notification) -> Self {
        let url = notification.url.parse().ok().filter(|url: &Url| url.credentials.is_none());
        // Without randomness the id of the stream is as good: there is one message for each.
        let id = random::uuid().unwrap_or(notification.stream).simple();
        Self { url, id: format!("msg_{id}"), notification, addresses: Vec::new() }
    }

    /// Returns the host, for the log; the rest of the URL may be a secret.
    pub(super) fn host(&self) -> &str {
        self.url.as_ref().map_or("-", |url| &url.host)
    }
}

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AttemptError {
    /// It must not be sent.
    Refused(String),
    /// The receiver wants no more.
    Gone,
    /// Another attempt may succeed.
    Failed(String),
}

/// Sends messages.
#[derive(Debug)]
pub(super) struct Sender {
    key: SigningKey,
    settings: NotifySettings,
    options: Options,
    timeout: Duration,
}

impl Sender {
    /// Creates a sender with a timeout for each attempt; the resolution of the name has its own.
    pub(super) fn new(key: SigningKey, settings: NotifySettings, timeout: Duration) -> Self {
        let mut options = Options::default();
        // A proxy would resolve the name again, and reach what must not be reached.
        options.no_proxy();
        // Connecting and the handshake of TLS have one each.
        options.set_connect_timeout(timeout / 2);
        options.set_stall_timeout(timeout);
        Self { key, settings, options, timeout }
    }

    /// Sends a message once.
    pub(super) fn send(&mut self, message: &mut Message) -> Result<(), AttemptError> {
        let Some(url) = &message.url else {
            return Err(AttemptError::Refused("its URL is not valid".into()));
        };
        if message.addresses.is_empty() {
            message.addresses = self.resolve(url)?;
        }
        self.options.addresses = Some(message.addresses.clone());
        match self.post(url, message) {
            Ok(200..=299) => Ok(()),
            Ok(410) => Err(AttemptError::Gone),
            Ok(status) => Err(AttemptError::Failed(format!("its receiver answered {status}"))),
            Err(error) => Err(AttemptError::Failed(error.to_string())),
        }
    }

    /// Returns the addresses of a host that can be connected to.
    fn resolve(&self, url: &Url) -> Result<Vec<SocketAddr>, AttemptError> {
        let found = dial::resolve(url).map_err(|error| AttemptError::Failed(error.to_string()))?;
        let is_allowed = |address: &SocketAddr| {
            let address = address.ip();
            is_public(address) || self.settings.allows(address)
        };
        let allowed: Vec<_> =
            found.iter().copied().filter(is_allowed).take(ADDRESSES_MAX).collect();
        match found.first() {
            Some(refused) if allowed.is_empty() => Err(AttemptError::Refused(format!(
                "the address {} is not public (notify-allow)",
                refused.ip()
            ))),
            Some(_) | None => Ok(allowed),
        }
    }

    /// Posts a message; returns the status of the response.
    fn post(&self, url: &Url, message: &Message) -> Result<u16, Error> {
        let start = clock::now();
        let body = message.notification.body.as_bytes();
        let time = unix_seconds();
        let signature = self.key.sign(&message.id, time, body);
        let mut connection = Connection::open(url, &self.options)?;
        connection.limit_to(start, self.timeout);
        let request = SingleRequest {
            method: "POST",
            url,
            fields: vec![
                ("Content-Type", "application/json".into()),
                (webhook::ID, message.id.clone()),
                (webhook::TIMESTAMP, time.to_string()),
                (webhook::SIGNATURE, signature),
            ],
            content: Part::from(body),
            bytes: body.len() as u64,
            is_held_back: false,
        };
        Ok(send_on(connection, request, &self.options)?.status())
    }
}

/// Returns the time of an attempt, which its receiver compares with its own.
#[allow(clippy::disallowed_methods, reason = "this thread knows no turns")]
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
