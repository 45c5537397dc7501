//! All limits and timeouts of `rdv serve`, as flags with units and defaults.

use super::access_log::AccessLogSettings;
use super::admin::AdminSettings;
use super::events::EventSettings;
use super::metrics::MetricsSettings;
use super::request_id::RequestIdSettings;
use super::tls::TlsSettings;
use super::units::{GIB, KIB, MIB};
use super::worker_count::WorkerCount;
use super::{
    HandoverSettings, LoadSettings, NodeSettings, NotifySettings, ProxySettings, SocketSettings,
    TokenSettings, units,
};
use crate::api::access::AllowedOrigin;
use crate::api::permission::Scope;
use clap::Args;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The settings of one relay.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Address and port to listen on: 127.0.0.1:8080, :8080 for all IPv4 addresses, or an IPv6
    /// address in brackets; port 0 picks a free port; repeatable
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = units::listen)]
    pub listen: Vec<SocketAddr>,

    /// Time for both sides of a stream to connect after its creation
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::time(units::INSTANT))]
    pub ttl: Duration,

    /// Maximum waiting time that the creator of a stream may request
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = units::time(units::SECOND))]
    pub max_ttl: Duration,

    /// Time that the status of an ended stream stays readable; 0s: off
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::time(Duration::ZERO))]
    pub retention: Duration,

    /// Idle timeout for transfers: no byte moved
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = units::time(units::INSTANT))]
    pub idle_timeout: Duration,

    /// Timeout for a complete request head or JSON body, from its first byte
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::time(units::INSTANT))]
    pub header_timeout: Duration,

    /// Idle timeout for keep-alive connections, and for responses that are not read
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = units::time(units::INSTANT))]
    pub keep_alive_timeout: Duration,

    /// Timeout for a client that is still sending its body after the response
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = units::time(units::INSTANT))]
    pub linger_timeout: Duration,

    /// Maximum bytes to discard from a client that is still sending after the response
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = units::bytes(4 * KIB..=GIB))]
    pub linger_bytes: usize,

    /// Timeout for running transfers after SIGTERM; 0s: none may finish
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::time(Duration::ZERO))]
    pub drain_timeout: Duration,

    /// Maximum concurrent connections, 2 or more; further ones are answered 503
    #[arg(long, value_name = "N", default_value = "16384", value_parser = units::count(2))]
    pub max_connections: usize,

    /// Maximum streams, including ended ones within their retention; if all are active, further
    /// ones are answered 503
    #[arg(long, value_name = "N", default_value = "100000", value_parser = units::count(1))]
    pub max_streams: usize,

    /// Maximum connections in linger-timeout, beyond max-connections; further ones are closed at
    /// once; 0: none
    #[arg(long, value_name = "N", default_value = "1024", value_parser = units::count(0))]
    pub max_lingering: usize,

    /// Maximum size of a request head
    #[arg(long, value_name = "BYTES", default_value = "16KiB", value_parser = units::bytes(256..=MIB))]
    pub max_head: usize,

    /// Maximum size of a JSON request body
    #[arg(long, value_name = "BYTES", default_value = "64KiB", value_parser = units::bytes(2..=64 * MIB))]
    pub max_json_body: usize,

    /// Network of trusted peers, such as 10.0.0.0/8: they may list streams and agents on public
    /// listeners, unless they forward for others, and their X-Forwarded-For is passed to agents;
    /// repeatable
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub trusted: Vec<IpNet>,

    /// Origin whose pages may create streams, use them and read responses (CORS), such as
    /// https://app.example, or * for all; repeatable
    #[allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "this is the text of --help")]
    #[arg(long, value_name = "ORIGIN")]
    pub cors_origin: Vec<AllowedOrigin>,

    /// Serve paths: PUT or POST /p/PATH meets GET /p/PATH, as with piping-server
    #[arg(
        long, default_value = "false", default_missing_value = "true", num_args = 0..=1,
        require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL"
    )]
    pub paths: bool,

    /// Size of each pipe for splicing
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = units::bytes(4 * KIB..=256 * MIB))]
    pub pipe_size: usize,

    /// Maximum open pipes; transfers without a pipe copy; 0: none
    #[arg(long, value_name = "N", default_value = "232", value_parser = units::count(0))]
    pub max_pipes: usize,

    /// Event loops, each a thread with listeners of its own on the same addresses, or auto: one for
    /// each CPU
    #[arg(long, value_name = "N|auto", default_value = "1")]
    pub workers: WorkerCount,

    /// Copy through user memory instead of splicing
    #[arg(
        long, default_value = "false", default_missing_value = "true", num_args = 0..=1,
        require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL"
    )]
    pub no_splice: bool,

    /// TCP congestion control of clients' connections, such as cubic [default: reno on loopback
    /// addresses, else the kernel's]
    #[arg(long, value_name = "NAME", hide_default_value = true)]
    pub congestion_control: Option<String>,

    /// Serve no pages for browsers
    #[arg(
        long, default_value = "false", default_missing_value = "true", num_args = 0..=1,
        require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL"
    )]
    pub no_pages: bool,

    /// Admin listener.
    #[command(flatten)]
    pub admin: AdminSettings,

    /// Limits on load.
    #[command(flatten)]
    pub load: LoadSettings,

    /// HTTPS.
    #[command(flatten)]
    pub tls: TlsSettings,

    /// Proxies before the relay.
    #[command(flatten)]
    pub proxies: ProxySettings,

    /// Several relays with one name.
    #[command(flatten)]
    pub nodes: NodeSettings,

    /// Tokens.
    #[command(flatten)]
    pub tokens: TokenSettings,

    /// Notifications.
    #[command(flatten)]
    pub notify: NotifySettings,

    /// Agents and their APIs.
    #[command(flatten)]
    pub sockets: SocketSettings,

    /// Hand-over to a new process.
    #[command(flatten)]
    pub handover: HandoverSettings,

    /// Events of streams.
    #[command(flatten)]
    pub events: EventSettings,

    /// Access log.
    #[command(flatten)]
    pub access_log: AccessLogSettings,

    /// Request ids.
    #[command(flatten)]
    pub request_id: RequestIdSettings,

    /// Metrics.
    #[command(flatten)]
    pub metrics: MetricsSettings,
}

impl Settings {
    /// Whether a peer's address is in a trusted network.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        is_in(&self.trusted, peer)
    }

    /// Returns all addresses that are listened on, except that of the admin listener.
    pub fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        let Self { listen, tls, sockets, .. } = self;
        listen.iter().chain(&tls.tls_listen).chain(&sockets.socket_listen).copied()
    }

    /// Whether agents are accepted on addresses other than loopback.
    pub fn takes_agents_elsewhere(&self) -> bool {
        self.tokens.requires(Scope::Agent) || self.sockets.open_agents
    }

    /// Returns warnings for the operator about access on these listeners.
    pub fn access_warnings(&self, listeners: &[SocketAddr]) -> Vec<String> {
        let agents = (!self.tokens.requires(Scope::Agent)).then(|| self.sockets.notice(listeners));
        [self.tokens.warning(listeners), agents.flatten()].into_iter().flatten().collect()
    }

    /// Returns how many unjoined streams one address may have; 0: no limit.
    pub fn unjoined_per_address(&self) -> usize {
        let usual = (self.max_streams / 10).max(1);
        self.load.max_unjoined_streams_per_address.unwrap_or(usual)
    }

    /// Returns the waiting time of a stream whose creator requests `requested_s` seconds; never more
    /// than requested.
    pub fn granted_ttl(&self, requested_s: u64) -> Duration {
        let longest = self.ttl.max(self.max_ttl);
        Duration::from_secs(requested_s.min(longest.as_secs()))
    }
}

/// Whether an address is in one of these networks; an IPv4-mapped one as the IPv4 address.
pub(super) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address.to_canonical()))
}

/// Reads a network, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "expected a network such as 10.0.0.0/8 or fd00::/8, or one address".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches as _};

    fn settings(flags: &[&str]) -> Settings {
        let command = Settings::augment_args(Command::new("rdv").no_binary_name(true));
        Settings::from_arg_matches(&command.try_get_matches_from(flags).unwrap()).unwrap()
    }

    #[test]
    fn a_requested_ttl_is_granted_up_to_the_maximum() {
        for (name, flags, requested_s, granted_s) in [
            ("shorter than others", &[][..], 1, 1),
            ("longer than others", &[], 3599, 3599),
            ("the longest", &[], 3600, 3600),
            ("beyond it", &[], 3601, 3600),
            ("beyond every clock", &[], u64::MAX, 3600),
            ("another longest", &["--max-ttl", "90s"], 100, 90),
            ("below the usual one, that is the longest", &["--max-ttl", "5s"], 100, 60),
            ("the usual one is no least", &["--max-ttl", "5s"], 7, 7),
            ("a part of a second is not counted", &["--max-ttl=1500ms", "--ttl=100ms"], 9, 1),
        ] {
            let granted = settings(flags).granted_ttl(requested_s);
            assert_eq!(granted, Duration::from_secs(granted_s), "{name}");
        }
    }

    #[test]
    fn unjoined_streams_per_address_default_to_a_tenth_of_max_streams() {
        for (name, flags, most) in [
            ("as it comes", &[][..], 10_000),
            ("of few", &["--max-streams=19"], 1),
            ("of very few", &["--max-streams=1"], 1),
            ("given", &["--max-unjoined-streams-per-address=7"], 7),
            ("off", &["--max-unjoined-streams-per-address=0"], 0),
        ] {
            assert_eq!(settings(flags).unjoined_per_address(), most, "{name}");
        }
    }
}
