//! What several commands take: how to connect, which relay, what to tell.

use super::exit::{Exit, Failure};
use super::reporter::Reporter;
use super::settings::Preferences;
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

/// How to connect.
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
    /// These wishes, where the file of preferences does not say otherwise.
    ///
    /// # Errors
    /// A field that cannot be sent.
    pub fn options(&self, preferences: &Preferences) -> Result<Options, Failure> {
        let mut options = Options::default();
        options.set_connect_timeout(self.connect_timeout);
        if let Some(cacert) = self.cacert.as_ref().or(preferences.cacert.as_ref()) {
            options.trust_only(cacert);
        }
        for header in &self.headers {
            let Some((name, value)) = header.split_once(':') else {
                // It is not shown: it may be half a password.
                let why = "a --header has no colon; write 'Name: value'";
                return Err(Failure::new(Exit::Usage, why));
            };
            options.add_field(name.trim(), value)?;
        }
        Ok(options)
    }
}

/// Which relay.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Relay")]
pub struct AtRelay {
    /// URL of the relay [default: from client.toml, or 127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "RDV_RELAY", hide_env_values = true)]
    pub relay: Option<String>,
}

/// Where a relay listens that was started without flags.
const USUAL_RELAY: &str = "http://127.0.0.1:8080";

impl AtRelay {
    /// The relay's URL.
    ///
    /// # Errors
    /// It is none.
    pub fn url(&self, preferences: &Preferences) -> Result<Url, Failure> {
        let chosen = self.named(preferences);
        let text = if chosen.contains("://") { chosen.into() } else { format!("http://{chosen}") };
        Ok(text.parse()?)
    }

    /// The relay as it was named, or the usual one.
    pub(crate) fn named<'n>(&'n self, preferences: &'n Preferences) -> &'n str {
        // An empty variable is none.
        let named = self.relay.as_deref().filter(|named| !named.is_empty());
        named.or(preferences.relay.as_deref()).unwrap_or(USUAL_RELAY)
    }

    /// The stream of a URL, or of an identifier at this relay.
    ///
    /// # Errors
    /// It is neither.
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
            let why = "is neither a stream's identifier nor a URL that ends in /stream/ID";
            Failure::new(Exit::Usage, format!("'{}' {why}", shown(place)))
        })
    }
}

/// Retries, with growing pauses, what failed before anything was sent. A server that is reached but
/// cannot be trusted (`InvalidData`) is not tried again.
///
/// # Errors
/// That of the last attempt.
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

/// The error that the other side reported through the relay, where an answer with this status does
/// not say so: whoever reports may choose a status of success, or one without a body.
pub fn reported(stream: &Stream, status: u16) -> Option<Refusal> {
    reported_in(&stream.status().ok()?.ok()?, status)
}

/// The same, from a status object.
pub fn reported_in(held: &Value, status: u16) -> Option<Refusal> {
    let said = |member: &str| held["error"][member].as_str().map(str::to_owned);
    Some(Refusal { status, name: said("name")?, message: said("message")? })
}

/// The media type that the end of a name stands for.
pub fn media_type(name: Option<&str>) -> String {
    let guessed = name.and_then(|name| mime_guess::from_path(name).first_raw());
    guessed.unwrap_or("application/octet-stream").to_owned()
}

/// An answer with either kind of refusal as a failure.
///
/// # Errors
/// The refusal.
pub fn settled<T>(answered: Answered<T>) -> Result<T, Failure> {
    Ok(answered??)
}
