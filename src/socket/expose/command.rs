//! `rdv expose`: exposes an API of this machine at a relay while it runs.

use super::address::api_url;
use super::agent::{Agent, StopMode};
use super::calls::Calls;
use super::journal::Journal;
use super::{Api, HostChoice};
use crate::client::Options;
use crate::client::commands::common::AtRelay;
use crate::client::commands::exit::{Exit, Failure};
use crate::client::commands::interrupt::on_first;
use crate::client::commands::settings::Preferences;
use crate::client::credential::credential;
use crate::ops::cause;
use crate::ops::random;
use crate::ops::stdio;
use crate::ops::units;
use crate::socket::SocketClient;
use crate::socket::relay::Relay;
use clap::Args;
use nix::sys::signal::Signal;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The maximum length of a name: that of a DNS label (RFC 1035, section 2.3.4).
const NAME_MAX_BYTES: usize = 63;

/// The arguments of `rdv expose`.
#[derive(Args, Clone, Debug)]
#[command(allow_missing_positional = true)]
pub struct Expose {
    /// Name of the API: up to 63 of a-z, 0-9, '-', '.' and '_'
    ///
    /// Without it, the public URL has the id of the connection and changes with each one.
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// URL or port of the API: 8000 (of 127.0.0.1), HOST:PORT, `https://HOST` or `unix:/PATH`
    #[arg(value_name = "URL")]
    url: String,

    /// Host field for the API: api (its own), client (as sent), or a value
    #[arg(long, value_name = "HOST", default_value = "api", value_parser = host_choice)]
    host: HostChoice,

    /// Keep Location and cookie paths unchanged
    ///
    /// By default those of the API get its public prefix (/api/NAME). A proxy that maps a host name to
    /// the API needs them unchanged.
    #[arg(long)]
    no_rewrite: bool,

    /// Idle tunnels to keep open to the relay
    ///
    /// A tunnel carries requests as plain HTTP/1.1, which is faster.
    #[arg(long, alias = "spares", value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(0..=64))]
    tunnels: u16,

    /// Metadata for the relay: a JSON object
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,

    /// Timeout for requests in progress on exit; 0s: none
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::time(Duration::ZERO))]
    drain_timeout: Duration,

    /// Maximum wait for a name in use, such as after a crash
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = units::time(Duration::ZERO))]
    name_timeout: Duration,

    /// Exit when the connection fails, instead of retrying
    #[arg(long)]
    once: bool,

    /// Print errors only
    #[arg(long, short)]
    quiet: bool,

    #[command(flatten)]
    at: AtRelay,
    #[command(flatten)]
    connecting: Connecting,
}

/// How to connect.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
#[expect(clippy::doc_markdown, reason = "it is read on a terminal")]
struct Connecting {
    /// File with the secret of the name [default: RDV_SOCKET_SECRET, or random]
    ///
    /// Another process with the same secret can take the name over.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Trusted certificate authorities (PEM), of the API and the relay [default: the system's]
    #[arg(long, value_name = "FILE", env = "RDV_CACERT", hide_env_values = true)]
    cacert: Option<PathBuf>,

    /// Timeout for each connection, to the API and to the relay
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::time(units::INSTANT))]
    connect_timeout: Duration,

    /// Timeout for a silent relay; it is pinged after half of this
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = units::time(units::INSTANT))]
    heartbeat: Duration,
}

fn host_choice(text: &str) -> Result<HostChoice, String> {
    text.parse()
}

impl Expose {
    /// Serves until it is stopped or fails, and returns the exit code.
    pub fn run(&self) -> Exit {
        match self.expose() {
            Ok(()) => Exit::Complete,
            Err(failure) => {
                stdio::error_line(format_args!("rdv: {failure}"));
                failure.exit
            }
        }
    }

    fn expose(&self) -> Result<(), Failure> {
        self.name.as_deref().map_or(Ok(()), check_name)?;
        let preferences = Preferences::read()?;
        let relay = Relay::parse(self.at.named(&preferences))?;
        let options = self.options(&preferences);
        let api = self.api(&options)?.at_relay(relay.base.path());
        let client = self.client(&relay, options.clone(), &preferences)?;
        // Its thread blocks all signals, so it can start before the signal handling.
        let journal = Journal::start(self.quiet);
        let journal =
            Arc::new(journal.map_err(|error| Failure::local("cannot start a thread", error))?);
        let reporting = Arc::clone(&journal);
        let calls = Calls::new(move |served| reporting.served(served));
        let ending = Arc::<StopMode>::default();
        watch(&ending, &calls, (&journal, self.drain_timeout));
        if let Err(error) = api.check() {
            let api = api.place();
            journal.warn(&format!(
                "cannot connect to the API at {api}: {}; is it running?",
                cause(&error)
            ));
        }
        let agent = Agent {
            name: self.name.clone(),
            name_timeout: self.name_timeout,
            relay,
            client,
            options,
            api,
            calls,
            tunnels: self.tunnels.into(),
            once: self.once,
            journal: Arc::clone(&journal),
            ending,
        };
        let ended = agent.run();
        journal.flush();
        ended
    }

    fn api(&self, options: &Options) -> Result<Api, Failure> {
        let api = Api::new(&api_url(&self.url)?, self.host.clone())?.with_options(options);
        Ok(if self.no_rewrite { api.without_rewriting() } else { api })
    }

    fn options(&self, preferences: &Preferences) -> Options {
        let mut options = Options::default();
        options.set_connect_timeout(self.connecting.connect_timeout);
        if let Some(cacert) = self.connecting.cacert.as_ref().or(preferences.cacert.as_ref()) {
            options.trust_only(cacert);
        }
        options
    }

    fn client(
        &self,
        relay: &Relay,
        options: Options,
        preferences: &Preferences,
    ) -> Result<SocketClient, Failure> {
        let Connecting { secret_file, heartbeat, .. } = &self.connecting;
        let secret = match credential(secret_file.as_deref(), "RDV_SOCKET_SECRET")? {
            Some(secret) => secret,
            None => made_up_secret()?,
        };
        let metadata = self.metadata(secret)?;
        let client = SocketClient::new(&relay.socket.to_string()).map_err(refused)?;
        let client =
            client.with_metadata(metadata).with_options(options).with_heartbeat(*heartbeat);
        match self.at.token(preferences)? {
            Some(token) => client.with_token(&token).map_err(refused),
            None => Ok(client),
        }
    }

    /// Returns the metadata of the agent.
    fn metadata(&self, secret: String) -> Result<Value, Failure> {
        let mut metadata = match self.metadata.as_deref().map(serde_json::from_str) {
            None => Map::new(),
            Some(Ok(Value::Object(metadata))) => metadata,
            Some(Ok(_)) => {
                let why = "--metadata is not a JSON object; expected '{\"key\": \"value\"}'";
                return Err(Failure::new(Exit::Usage, why));
            }
            Some(Err(error)) => {
                return Err(Failure::new(
                    Exit::Usage,
                    format!("--metadata is not valid JSON: {error}"),
                ));
            }
        };
        if let Some(name) = &self.name {
            metadata.insert("name".into(), name.as_str().into());
        }
        metadata.insert("secret".into(), secret.into());
        Ok(Value::Object(metadata))
    }
}

/// Drains on the first `SIGTERM` or `SIGINT`; the second has its default effect.
fn watch(ending: &Arc<StopMode>, calls: &Calls, (journal, most): (&Arc<Journal>, Duration)) {
    let (ending, calls, journal) = (Arc::clone(ending), calls.clone(), Arc::clone(journal));
    on_first([Signal::SIGTERM, Signal::SIGINT], move |_| {
        journal.log(&format!("ending: what is under way is served, for {most:?} at most"));
        if !ending.drain(&calls, most) {
            // Nothing is in progress; exit now instead of waiting for a connection attempt.
            journal.flush();
            std::process::exit(Exit::Complete.status().into());
        }
    });
}

fn made_up_secret() -> Result<String, Failure> {
    let secret = random::uuid().map(|secret| secret.to_string());
    secret.map_err(|error| Failure::local("cannot create a secret", error))
}

fn refused(error: crate::socket::Error) -> Failure {
    super::outcome::failure(Some(error))
}

/// Checks the name of the API.
fn check_name(name: &str) -> Result<(), Failure> {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_')
    };
    // `.` and `..` have a special meaning in paths (RFC 3986, section 3.3).
    let only_dots = name.bytes().all(|byte| byte == b'.');
    if name.len() <= NAME_MAX_BYTES && !only_dots && name.bytes().all(allowed) {
        return Ok(());
    }
    let why = "is not a valid name; use 1 to 63 of a-z, 0-9, '-', '.' and '_', not only dots";
    Err(Failure::new(Exit::Usage, format!("'{name}' {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        let longest = "a".repeat(NAME_MAX_BYTES);
        for good in ["billing", "a", "a.b-c_9", "..a", &longest] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let longer = format!("{longest}a");
        for bad in ["", "Billing", "a/b", "a b", ".", "..", "ü", &longer] {
            let failure = check_name(bad).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.why.contains("1 to 63"), "{bad}");
        }
    }
}
