//! Settings of a source, as flags.

use super::accept_rules::{AcceptRules, KeyRule, Token};
use super::acks;
use super::output::Target;
use crate::connector::signature::{self, Scheme, Verifier};
use crate::connector::spill::SpillSpace;
use crate::http::fields::is_token;
use crate::ops::access_log::AccessLogSettings;
use crate::ops::admin::AdminSettings;
use crate::ops::cause;
use crate::ops::metrics::MetricsSettings;
use crate::ops::places;
use crate::ops::request_id::RequestIdSettings;
use crate::ops::units::{self, GIB, KIB, PIB, TIB};
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const ADMIN_LISTEN_HELP: &str = "Admin listener: a path (a Unix socket of mode 0600), or an \
    address and port that only operators can reach [default: none]";
const ALLOWED_ORIGINS_HELP: &str = "Origin whose pages may use the admin listener, besides its own, \
    such as https://source.example, or * for all; repeatable";
const ACCESS_LOG_BUFFER_HELP: &str = "Maximum lines waiting to be written; further ones are dropped \
    and counted; 0: each is written at once, and the source waits for it";

/// The settings of one source.
#[derive(Args, Clone, Debug)]
#[command(mut_arg("request_id", |arg| arg.default_value("true")))]
// Their help is the relay's; a source has no admin listener by default, no streams and no
// WebSockets.
#[command(mut_arg("admin_listen", |arg| arg.help(ADMIN_LISTEN_HELP)))]
#[command(mut_arg("allowed_origins", |arg| arg.help(ALLOWED_ORIGINS_HELP)))]
#[command(mut_arg("access_log_buffer", |arg| arg.help(ACCESS_LOG_BUFFER_HELP)))]
#[command(mut_arg("instance_id", |arg| arg.help("Name of this source, for JSON fields")))]
// There are no streams here to log or name.
#[command(mut_arg("access_log_streams", |arg| arg.hide(true)))]
#[command(mut_arg("log_full_ids", |arg| arg.hide(true)))]
pub struct SourceSettings {
    /// Port to listen on, at 127.0.0.1; 0 picks a free port
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    pub port: u16,

    /// Address and port to listen on instead: 127.0.0.1:3000, :3000 for all IPv4 addresses, or an
    /// IPv6 address in brackets; repeatable
    #[arg(long, value_name = "ADDR:PORT", value_parser = units::listen)]
    pub listen: Vec<SocketAddr>,

    /// Path to accept requests at, others are 404; repeatable [default: every path]
    #[arg(long, value_name = "PATH", value_parser = path)]
    pub path: Vec<String>,

    /// Answer a method other than POST with 404 instead of 405
    #[arg(long)]
    pub compat: bool,

    /// Maximum body size; larger bodies are refused with 413
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = units::bytes(1..=PIB))]
    pub max_body: usize,

    /// What becomes of requests.
    #[command(flatten)]
    pub record: RecordSettings,

    /// Access rules for senders.
    #[command(flatten)]
    pub sender: SenderSettings,

    /// Where records go.
    #[command(flatten)]
    pub hand_over: HandOverSettings,

    /// Directory to store records in before they are answered 201; they are delivered from there,
    /// also after a restart
    #[command(flatten)]
    pub spool: SpoolSettings,

    /// Receive one record through a stream instead of serving: the URL of a relay, to create a
    /// stream there, or of a stream
    #[command(flatten)]
    pub relay: RelaySettings,

    /// How connections are served.
    #[command(flatten)]
    pub serving: ServingSettings,

    /// Where operators are served.
    #[command(flatten)]
    pub admin: AdminSettings,

    /// The access log.
    #[command(flatten)]
    pub access_log: AccessLogSettings,

    /// Request ids.
    #[command(flatten)]
    pub request_id: RequestIdSettings,

    /// What is counted.
    #[command(flatten)]
    pub metrics: MetricsSettings,
}

/// What becomes of requests.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Records")]
pub struct RecordSettings {
    /// Header field to include in the record's metadata; repeatable
    #[arg(long, value_name = "NAME", value_parser = header)]
    pub header: Vec<String>,

    /// Parse JSON objects into structured payloads, decoded from gzip, deflate or zstd; invalid JSON
    /// is refused with 400, another encoding with 415
    #[arg(long)]
    pub structured: bool,

    /// Key of a record: header:NAME, path, or `json:/POINTER` into the body (RFC 6901)
    #[arg(long, value_name = "RULE")]
    pub key: Option<KeyRule>,

    /// Maximum body size in memory; larger bodies are kept on disk until delivered
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = units::bytes(0..=GIB))]
    pub memory_body: usize,

    /// Maximum memory for all incoming bodies together
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = units::bytes(64 * KIB..=TIB))]
    pub memory: usize,

    /// Directory for large bodies [default: TMPDIR, else /tmp]
    #[arg(long, value_name = "DIR")]
    pub spill_dir: Option<PathBuf>,

    /// Maximum size of large bodies on disk together; 0: none are accepted
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = units::bytes(0..=PIB))]
    pub spill_max: usize,
}

/// Access rules for senders.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Senders")]
pub struct SenderSettings {
    /// Token that requests need in 'Authorization: Bearer TOKEN', else 401; other users can see a
    /// flag
    #[arg(long, value_name = "TOKEN", env = "RDV_SOURCE_TOKEN", hide_env_values = true)]
    pub auth_token: Option<String>,

    /// File with the token in its first line
    #[arg(long, value_name = "FILE", conflicts_with = "auth_token")]
    pub auth_token_file: Option<PathBuf>,

    /// Signature scheme that bodies must be signed with, else 403
    #[arg(long, value_name = "SCHEME")]
    pub signature: Option<SchemeName>,

    /// File with the secrets of signatures, one a line; any of them is valid
    #[arg(long, value_name = "FILE", requires = "signature")]
    pub signature_secret_file: Option<PathBuf>,

    /// Secret of signatures; other users can see a flag
    #[arg(
        long,
        value_name = "SECRET",
        env = "RDV_SOURCE_SIGNATURE_SECRET",
        hide_env_values = true,
        conflicts_with = "signature_secret_file"
    )]
    pub signature_secret: Option<String>,

    /// Maximum age of a signature, and maximum clock difference
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = units::time(units::SECOND))]
    pub signature_tolerance: Duration,
}

/// Signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemeName {
    /// X-Hub-Signature-256
    Github,
    /// Stripe-Signature
    Stripe,
    /// webhook-signature or svix-signature, of Standard Webhooks
    Standard,
}

/// Where records go.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Handing over")]
pub struct HandOverSettings {
    /// Output of records: - for standard output, a file (appended to, created again if renamed or
    /// removed), a FIFO, or unix:PATH, a socket that the consumer listens on
    #[arg(long, short, value_name = "PLACE", default_value = "-", value_parser = places::no_stream_word)]
    pub output: String,

    /// Answer 201 only once a record is acknowledged: {"ack":"POSITION"} on standard input, or from
    /// the output if that is a socket
    #[arg(long)]
    pub ack: bool,

    /// Timeout for an acknowledgement; then the sender is answered 503
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::time(units::INSTANT))]
    pub ack_timeout: Duration,

    /// Timeout for a consumer that takes nothing; then waiting senders are answered 503
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::time(units::INSTANT))]
    pub consumer_timeout: Duration,

    /// Maximum records waiting for delivery; further ones are answered 503
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub queue: u32,

    /// Maximum memory for records waiting for delivery
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = units::bytes(64 * KIB..=TIB))]
    pub queue_bytes: usize,
}

/// Where records are kept.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Spool")]
pub struct SpoolSettings {
    /// Store records in this directory first, and answer 201 once they are on its disk; they are
    /// handed over from there, whatever happens in between
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,

    /// Maximum size of undelivered records in the spool; then senders are answered 503
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = units::bytes(64 * KIB..=PIB))]
    pub spool_max: usize,

    /// Size of delivered records to keep in the spool for --from; 0: none
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = units::bytes(0..=PIB))]
    pub spool_keep: usize,

    /// Deliver again the records after this position, or all that are kept: start
    #[arg(long, value_name = "POSITION|start", requires = "spool", value_parser = from)]
    pub from: Option<StartPosition>,
}

/// A relay instead of a server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Relay")]
pub struct RelaySettings {
    /// Take one record from a rendezvous stream instead of serving: a relay, where a stream is made
    /// and printed to standard error, or a stream's URL
    #[arg(long, value_name = "URL", conflicts_with_all = ["port", "listen", "spool", "path", "compat", "signature", "header"])]
    pub relay: Option<String>,

    /// Timeout for the sender to connect to the stream
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = units::time(units::SECOND))]
    pub ttl: Duration,

    /// Trusted certificate authorities (PEM) [default: the system's]
    #[arg(long, value_name = "FILE", env = "RDV_CACERT", hide_env_values = true)]
    pub cacert: Option<PathBuf>,
}

/// Where delivery starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPosition {
    /// At the oldest record.
    Start,
    /// After this position.
    Behind(Uuid),
}

/// How connections are served.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Serving")]
pub struct ServingSettings {
    /// Maximum concurrent connections; further ones are answered 503
    #[arg(long, value_name = "N", default_value_t = 16384, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub max_connections: u32,

    /// Timeout for a complete request head, and for the next byte of a body
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::time(units::INSTANT))]
    pub header_timeout: Duration,

    /// Idle timeout for keep-alive connections
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = units::time(units::INSTANT))]
    pub keep_alive_timeout: Duration,

    /// Maximum concurrent requests, including those that wait for delivery; further ones are
    /// answered 503; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1 << 24))]
    pub max_concurrent: u32,

    /// Maximum concurrent connections of one address (IPv6: one /64); further ones are answered
    /// 503; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1 << 24))]
    pub max_connections_per_address: u32,

    /// Retry-After of 503 responses, in seconds, rounded up
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::time(units::SECOND))]
    pub retry_after: Duration,

    /// Timeout for requests in progress after SIGTERM; 0s: none may finish
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::time(Duration::ZERO))]
    pub drain_timeout: Duration,
}

impl Default for SourceSettings {
    /// Returns the settings without flags; environment variables are ignored.
    fn default() -> Self {
        use clap::{Command, FromArgMatches as _};
        let command = Self::augment_args(Command::new("source").no_binary_name(true));
        let command = command.mut_args(|arg| arg.env(None::<&str>));
        let matches = command.try_get_matches_from(std::iter::empty::<&str>());
        match matches.and_then(|matches| Self::from_arg_matches(&matches)) {
            Ok(settings) => settings,
            Err(error) => unreachable!("every setting has a default: {error}"),
        }
    }
}

impl RecordSettings {
    /// Returns the space for large bodies.
    pub(super) fn spill_space(&self) -> Arc<SpillSpace> {
        SpillSpace::new(self.spill_dir.clone(), "--spill-dir", self.spill_max as u64)
    }
}

impl SourceSettings {
    /// Returns the addresses to listen on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match self.listen.as_slice() {
            [] => vec![(Ipv4Addr::LOCALHOST, self.port).into()],
            listen => listen.to_vec(),
        }
    }

    /// Returns the output of records.
    pub fn target(&self) -> Target {
        Target::parse(&self.hand_over.output)
    }

    /// Returns the rules for accepting requests.
    ///
    /// # Errors
    /// One line: a secret that cannot be read, or is invalid.
    pub fn rules(&self) -> Result<AcceptRules, String> {
        let headers: BTreeSet<_> = self.record.header.iter().cloned().collect();
        Ok(AcceptRules {
            paths: self.path.clone(),
            compat: self.compat,
            body_max: self.max_body,
            headers: headers.into_iter().collect(),
            token: self.sender.token()?,
            verifier: self.sender.verifier()?,
            structured: self.record.structured,
            key: self.record.key.clone().unwrap_or_default(),
        })
    }
}

impl SenderSettings {
    fn token(&self) -> Result<Option<Token>, String> {
        let text = match &self.auth_token_file {
            // An empty file is an empty token, not a missing one, which would allow every request.
            Some(path) => Some(read(path)?.lines().next().unwrap_or_default().to_owned()),
            None => self.auth_token.clone(),
        };
        match text.as_deref().map(str::trim) {
            Some("") => Err("the token is empty; anyone could send it".into()),
            text => Ok(text.map(Token::new)),
        }
    }

    fn verifier(&self) -> Result<Option<Verifier>, String> {
        let Some(scheme) = self.signature.map(Scheme::from) else {
            return match self.signature_secret {
                None => Ok(None),
                // The operator set a secret, and so expects signatures to be checked.
                Some(_) => {
                    Err("a signature secret is set without a scheme; set --signature, or unset the secret"
                        .into())
                }
            };
        };
        let text = match (&self.signature_secret_file, &self.signature_secret) {
            (Some(path), _) => read(path)?,
            (None, Some(text)) => text.clone(),
            (None, None) => {
                return Err("--signature needs --signature-secret-file, or \
                            RDV_SOURCE_SIGNATURE_SECRET in the environment"
                    .into());
            }
        };
        let secrets: Result<Vec<_>, _> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| signature::secret(scheme, line.trim()))
            .collect();
        let verifier =
            secrets.and_then(|secrets| Verifier::new(scheme, &secrets, self.signature_tolerance));
        verifier.map(Some).map_err(|error| error.to_string())
    }
}

impl std::convert::From<SchemeName> for Scheme {
    fn from(name: SchemeName) -> Self {
        match name {
            SchemeName::Github => Self::GitHub,
            SchemeName::Stripe => Self::Stripe,
            SchemeName::Standard => Self::Standard,
        }
    }
}

fn read(path: &std::path::Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {}", path.display(), cause(&error)))
}

fn path(text: &str) -> Result<String, String> {
    let fits = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = fits && !text.contains(['?', '#']);
    fits.then(|| text.to_owned()).ok_or_else(|| "expected a path such as /hooks/github".into())
}

fn header(text: &str) -> Result<String, String> {
    let name = is_token(text.as_bytes()).then(|| text.to_ascii_lowercase());
    name.ok_or_else(|| "expected the name of a header, such as X-GitHub-Event".into())
}

fn from(text: &str) -> Result<StartPosition, String> {
    match text {
        "start" => Ok(StartPosition::Start),
        text => acks::position(text)
            .map(StartPosition::Behind)
            .ok_or_else(|| "expected start, or a record's position".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::signature::TOLERANCE;
    use clap::{Command, FromArgMatches as _};

    fn settings(flags: &[&str]) -> Result<SourceSettings, clap::Error> {
        let command = SourceSettings::augment_args(Command::new("source").no_binary_name(true));
        SourceSettings::from_arg_matches(&command.try_get_matches_from(flags)?)
    }

    #[test]
    fn the_defaults_are_as_documented() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.addresses(), ["127.0.0.1:3000".parse().unwrap()]);
        assert_eq!(settings.target(), Target::Stdout);
        assert!(settings.request_id.request_id, "records name their requests");
        assert_eq!(settings.sender.signature_tolerance, TOLERANCE);
        let rules = settings.rules().unwrap();
        assert!(rules.takes("/whatever") && rules.token.is_none() && rules.verifier.is_none());
    }

    #[test]
    fn header_names_are_sorted_and_deduplicated() {
        let settings =
            settings(&["--header", "X-B", "--header", "x-a", "--header", "x-b"]).unwrap();
        assert_eq!(settings.rules().unwrap().headers, ["x-a", "x-b"]);
    }

    #[test]
    fn invalid_flags_are_refused() {
        for flags in [
            &["--path", "hooks"][..],
            &["--path", "/a?b"],
            &["--header", "a b"],
            &["--key", "body"],
            &["--key", "json:a"],
            &["--queue", "0"],
            &["--from", "start"],
            &["--from", "7", "--spool", "/x"],
            &["--signature", "md5"],
            &["--signature-secret-file", "/x"],
        ] {
            assert!(settings(flags).is_err(), "{flags:?}");
        }
        for flags in [
            &["--signature", "github"][..],
            &["--signature", "standard", "--signature-secret", "no base64"],
            &["--auth-token", " "],
            &["--auth-token-file", "/does/not/exist"],
            &["--auth-token-file", "/dev/null"],
            &["--signature-secret", "s3cret"],
            &["--signature", "github", "--signature-secret-file", "/dev/null"],
        ] {
            assert!(settings(flags).unwrap().rules().is_err(), "{flags:?}");
        }
    }
}
