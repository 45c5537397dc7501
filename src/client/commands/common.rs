//! Arguments that several commands share: connections, the relay, output.

use super::exit::{Exit, Failure};
use super::reporter::Reporter;
use super::settings::Preferences;
use crate::client::credential::{self, RelayToken};
use crate::client::dial::pauses;
use crate::client::relay::{Answered, Refusal, Stream};
use crate::client::url::shown;
use crate::client::{Error, Options, Url};
use crate::ops::units;
use clap::Args;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// Connection arguments.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Connecting {
    /// Header field for every request; repeatable
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub headers: Vec<String>,

    /// Trusted certificate authorities (PEM) [default: the system's]
    #[arg(long, value_name = "FILE", env = "RDV_CACERT", hide_env_values = true)]
    pub cacert: Option<PathBuf>,

    /// Timeout for each connection
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::time(units::INSTANT))]
    pub connect_timeout: Duration,

    /// Retries, with backoff, while nothing has been sent
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub retries: u32,
}

impl Connecting {
    /// Returns the request options: these arguments, with defaults from the preferences file.
    ///
    /// # Errors
    /// A header field is invalid.
    pub fn options(&self, preferences: &Preferences) -> Result<Options, Failure> {
        let mut options = Options::default();
        options.set_connect_timeout(self.connect_timeout);
        if let Some(cacert) = self.cacert.as_ref().or(preferences.cacert.as_ref()) {
            options.trust_only(cacert);
        }
        for header in &self.headers {
            let Some((name, value)) = header.split_once(':') else {
                // Not shown: it may be part of a password.
                let why = "a --header has no colon; write 'Name: value'";
                return Err(Failure::new(Exit::Usage, why));
            };
            options.add_field(name.trim(), value)?;
        }
        Ok(options)
    }
}

/// The relay argument.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Relay")]
pub struct AtRelay {
    /// URL of the relay [default: from client.toml, or 127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "RDV_RELAY", hide_env_values = true)]
    pub relay: Option<String>,

    /// File with the token for the relay [default: RDV_TOKEN]
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    #[expect(clippy::doc_markdown, reason = "it is read on a terminal")]
    pub token_file: Option<PathBuf>,
}

/// The address of a relay started without flags.
const USUAL_RELAY: &str = "http://127.0.0.1:8080";

impl AtRelay {
    /// Returns the URL of the relay.
    ///
    /// # Errors
    /// The URL is invalid.
    pub fn url(&self, preferences: &Preferences) -> Result<Url, Failure> {
        let chosen = self.named(preferences);
        let text = if chosen.contains("://") { chosen.into() } else { format!("http://{chosen}") };
        Ok(text.parse()?)
    }

    /// Returns the options for requests with the token of the relay. One of the environment is for
    /// the configured relay only, whatever server a URL names.
    ///
    /// # Errors
    /// An argument is invalid, or the file cannot be read.
    pub fn options(
        &self,
        connecting: &Connecting,
        preferences: &Preferences,
    ) -> Result<Options, Failure> {
        let mut options = connecting.options(preferences)?;
        if let Some(token) = self.token(preferences)? {
            let relay = if self.token_file.is_none() { Some(self.url(preferences)?) } else { None };
            options.token = Some(RelayToken::new(token, relay.as_ref()));
        }
        Ok(options)
    }

    /// Returns the token for the relay, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or is empty.
    pub(crate) fn token(&self, preferences: &Preferences) -> Result<Option<String>, Failure> {
        let file = self.token_file.as_deref();
        credential::token(file.or(preferences.token_file.as_deref()))
    }

    /// Returns the configured relay, or the default one.
    pub(crate) fn named<'n>(&'n self, preferences: &'n Preferences) -> &'n str {
        // An empty environment variable counts as unset.
        let named = self.relay.as_deref().filter(|named| !named.is_empty());
        named.or(preferences.relay.as_deref()).unwrap_or(USUAL_RELAY)
    }

    /// Returns the stream of a URL, or of an ID at this relay.
    ///
    /// # Errors
    /// The argument is neither.
    pub fn stream(
        &self,
        place: &str,
        options: Options,
        preferences: &Preferences,
    ) -> Result<Stream, Failure> {
        if let Ok(id) = place.parse::<Uuid>() {
            return Ok(Stream::new(self.url(preferences)?, id, options));
        }
        let url = if place.contains("://") { place.to_owned() } else { format!("http://{place}") };
        let stream = url.parse().ok().and_then(|url| Stream::of_url(&url, options));
        stream.ok_or_else(|| {
            let why = "is neither a stream's identifier nor a URL that ends in /stream/ID or /s/ID";
            Failure::new(Exit::Usage, format!("'{}' {why}", shown(place)))
        })
    }
}

/// Retries, with growing pauses, as long as nothing was sent. A reachable but untrusted server
/// (`InvalidData`) is not retried.
///
/// # Errors
/// The error of the last attempt.
pub fn persistently<T>(
    retries: u32,
    reporter: &Reporter,
    mut attempt: impl FnMut() -> Answered<T>,
) -> Result<T, Failure> {
    for (number, pause) in (1..).zip(pauses(retries)) {
        let why = match attempt() {
            Ok(Err(refusal)) if refusal.is_passing() => refusal.to_string(),
            Err(error @ Error::Network { .. }) if !is_untrusted(&error) => error.to_string(),
            decided => return settled(decided),
        };
        reporter.retrying(&why, pause, (number, retries));
        std::thread::sleep(pause);
    }
    settled(attempt())
}

/// Whether a server was reached that cannot be trusted.
fn is_untrusted(error: &Error) -> bool {
    matches!(error, Error::Network { source, .. } if source.kind() == ErrorKind::InvalidData)
}

/// Returns the error that the other side reported through the relay, if the response with this
/// status may hide it: a reporter can choose a success status, or one without a body.
pub fn reported(stream: &Stream, status: u16) -> Option<Refusal> {
    reported_in(&stream.status().ok()?.ok()?, status)
}

/// Does the same, from a status object.
pub fn reported_in(held: &Value, status: u16) -> Option<Refusal> {
    let said = |member: &str| held["error"][member].as_str().map(str::to_owned);
    Some(Refusal { status, name: said("name")?, message: said("message")? })
}

/// Returns the media type for a file extension.
pub fn media_type(name: Option<&str>) -> String {
    let guessed = name.and_then(|name| mime_guess::from_path(name).first_raw());
    guessed.unwrap_or("application/octet-stream").to_owned()
}

/// Converts a response with either kind of refusal to a failure.
///
/// # Errors
/// The refusal.
pub fn settled<T>(answered: Answered<T>) -> Result<T, Failure> {
    match answered {
        Err(error) if error.is_connection_refused() => {
            let why = format!("{error}; is the relay running? (rdv serve)");
            Err(Failure::new(Exit::Network, why))
        }
        answered => Ok(answered??),
    }
}
