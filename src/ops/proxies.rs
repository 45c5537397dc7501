//! The settings for proxies before the relay.

use super::settings::{is_in, network};
use clap::Args;
use ipnet::IpNet;
use std::net::IpAddr;

/// The proxies before the relay.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Proxies")]
pub struct ProxySettings {
    /// Network of the proxies before the relay, such as 10.0.0.0/8: the address of a client is taken
    /// from Forwarded or X-Forwarded-For of their requests; repeatable
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
}

impl ProxySettings {
    /// Whether this is the address of a proxy before the relay.
    pub fn includes(&self, address: IpAddr) -> bool {
        is_in(&self.trusted_proxies, address)
    }
}
