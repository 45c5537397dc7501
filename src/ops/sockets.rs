//! The settings of agents, as flags: access, limits and timeouts.

use super::tokens::beyond_loopback;
use super::units;
use crate::api::agent_host::AgentHost;
use clap::{ArgAction, Args};
use std::net::SocketAddr;
use std::time::Duration;

/// The settings of agents: programs that accept no connections and open a WebSocket to the relay.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Agents")]
pub struct SocketSettings {
    /// Address and port for agents only, in addition: a WebSocket is accepted at / as well as at
    /// /socket; repeatable
    #[arg(long, value_name = "ADDR:PORT", value_parser = units::listen)]
    pub socket_listen: Vec<SocketAddr>,

    /// Host that serves the APIs of agents and nothing else, so that their pages do not share the
    /// relay's origin: apis.example for /api/NAME/..., *.relay.example for NAME.relay.example/...;
    /// repeatable
    #[arg(long, value_name = "HOST")]
    pub agent_host: Vec<AgentHost>,

    /// Maximum connected agents; further ones are answered 503; 0: none
    #[arg(long, value_name = "N", default_value = "1000", value_parser = units::count(0))]
    pub max_agents: usize,

    /// Maximum concurrent requests to one agent; further ones are answered 503
    #[arg(long, value_name = "N", default_value = "256", value_parser = units::count(1))]
    pub max_agent_requests: usize,

    /// Maximum idle tunnels of one agent; 0: none, and all requests use its WebSocket
    #[arg(long, alias = "max-spares", value_name = "N", default_value = "16",
          value_parser = units::count(0))]
    pub max_tunnels: usize,

    /// Timeout for an agent to begin its response
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::time(units::INSTANT))]
    pub agent_timeout: Duration,

    /// Timeout for a silent agent; it is pinged after half of this
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = units::time(units::INSTANT))]
    pub agent_heartbeat: Duration,

    /// Time that the name of a disconnected agent is reserved for its secret; 0s: off
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::time(Duration::ZERO))]
    pub name_lease: Duration,

    /// Pass header fields with an underscore in their names to APIs; many confuse it with a hyphen,
    /// so by default they are dropped
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub pass_underscores: bool,

    /// Accept agents without a token on all addresses, with any name
    #[arg(
        long, default_value = "false", default_missing_value = "true", num_args = 0..=1,
        require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL"
    )]
    pub open_agents: bool,

    /// Address of an HTTP API that agents may call through their WebSocket; without it they are
    /// answered 404
    #[arg(long, value_name = "ADDR:PORT", value_parser = to_dial)]
    pub socket_api: Option<SocketAddr>,
}

impl SocketSettings {
    /// Returns a notice for the operator about agents on these listeners, where they need no token.
    pub fn notice(&self, listeners: &[SocketAddr]) -> Option<String> {
        let elsewhere = beyond_loopback(listeners);
        if self.max_agents == 0 || elsewhere.is_empty() {
            return None;
        }
        Some(if self.open_agents {
            format!("agents need no token on {elsewhere} (open-agents)")
        } else {
            format!(
                "agents are refused on {elsewhere}: no token is required (tokens, or \
                 open-agents to take all)"
            )
        })
    }
}

/// Parses an address to connect to.
fn to_dial(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    address.ok_or_else(|| "expected an address and port, such as 127.0.0.1:3000".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches as _};

    fn settings(flags: &[&str]) -> Result<SocketSettings, clap::Error> {
        let command = SocketSettings::augment_args(Command::new("rdv").no_binary_name(true));
        SocketSettings::from_arg_matches(&command.try_get_matches_from(flags)?)
    }

    #[test]
    fn public_agent_listeners_are_logged() {
        let loopback = ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"];
        let both = ["127.0.0.1:80", "0.0.0.0:81"];
        for (name, flags, listeners, notice) in [
            ("loopback", &[][..], &loopback[..], None),
            ("all addresses", &[], &both, Some("agents are refused on 0.0.0.0:81: ")),
            ("open", &["--open-agents"], &both, Some("agents need no token on 0.0.0.0:81 ")),
            ("without agents", &["--max-agents=0"], &both, None),
        ] {
            let listeners: Vec<_> = listeners.iter().map(|text| text.parse().unwrap()).collect();
            let found = settings(flags).unwrap().notice(&listeners);
            assert_eq!(found.is_some(), notice.is_some(), "{name}: {found:?}");
            assert!(found.unwrap_or_default().starts_with(notice.unwrap_or_default()), "{name}");
        }
    }

    #[test]
    fn addresses_can_be_given_repeatedly() {
        let flags = ["--socket-listen", "127.0.0.1:0", "--socket-listen", "[::1]:6000"];
        let listen = settings(&flags).unwrap().socket_listen;
        assert_eq!(listen, ["127.0.0.1:0", "[::1]:6000"].map(|text| text.parse().unwrap()));
    }

    #[test]
    fn invalid_settings_are_refused() {
        for (flag, value, expected) in [
            ("--max-agents", "0", true),
            ("--max-agent-requests", "0", false),
            ("--max-agent-requests", "1", true),
            ("--max-tunnels", "0", true),
            ("--max-tunnels", "-1", false),
            ("--agent-timeout", "60", false),
            ("--agent-heartbeat", "100ms", true),
            ("--agent-heartbeat", "99ms", false),
            ("--name-lease", "0s", true),
            ("--pass-underscores", "true", true),
            ("--pass-underscores", "1", false),
            ("--socket-api", "127.0.0.1:3000", true),
            ("--socket-api", "127.0.0.1:0", false),
            ("--socket-api", "localhost:3000", false),
        ] {
            let given = settings(&[&format!("{flag}={value}")]);
            assert_eq!(given.is_ok(), expected, "{flag} {value}: {given:?}");
        }
    }
}
