//! The settings for proxies before the relay.

use super::settings::{is_in, network};
use super::units;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;

/// The proxies before the relay.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Proxies")]
pub struct ProxySettings {
    /// Network of the proxies before the relay, such as 10.0.0.0/8: the address of a client is taken
    /// from Forwarded or X-Forwarded-For of their requests; repeatable
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,

    /// PROXY protocol (version 1 or 2) on the public listeners, from trusted-proxies, or from every
    /// peer if that is not set; other connections are closed
    #[arg(long, value_name = "MODE", default_value = "off")]
    pub proxy_protocol: ProxyProtocol,

    /// Interval of 102 Processing to HTTP/1.1 clients of a stream that wait for their response, so
    /// that proxies and NAT do not cut idle connections; at least 100ms; 0s: off
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = units::time_or_never(units::INSTANT))]
    pub heartbeat: Duration,
}

/// Whether connections begin with the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProxyProtocol {
    /// None does.
    Off,
    /// Each does.
    Required,
}

impl ProxySettings {
    /// Whether a peer may use the PROXY protocol where that is required.
    pub fn may_declare(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.is_empty() || self.includes(peer)
    }

    /// Whether this is the address of a proxy before the relay.
    pub fn includes(&self, address: IpAddr) -> bool {
        is_in(&self.trusted_proxies, address)
    }
}
