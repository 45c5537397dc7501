//! Where operators ask and tell: the address of the admin listener.

use crate::api::access::{AllowedOrigin, HostName};
use clap::Args;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where `rdv ctl` looks when nobody says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/rdv/admin.sock";

/// The settings of the admin listener.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Administration")]
#[allow(clippy::doc_markdown, reason = "this is the text of --help")]
pub struct AdminSettings {
    /// Serve operators here: a path (a Unix socket of mode 0600), or an address and port that
    /// nobody else can reach; the public listeners no longer list streams then
    #[arg(long, value_name = "PATH|ADDR:PORT")]
    pub admin_listen: Option<AdminAddress>,

    /// Name or address that operators may reach the relay by, besides localhost and the address
    /// it listens on; repeatable
    #[arg(long, value_name = "HOST")]
    pub admin_hosts: Vec<HostName>,

    /// Origin whose pages may open WebSockets, delete streams and use the admin listener, besides
    /// the relay's own, such as https://relay.example, or * for all; repeatable
    #[arg(long, value_name = "ORIGIN")]
    pub allowed_origins: Vec<AllowedOrigin>,
}

/// A Unix socket or a TCP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A path in the file system.
    Unix(PathBuf),
    /// An address and port.
    Tcp(SocketAddr),
}

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Self::Unix(path.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!(
                "expected a path such as {DEFAULT_SOCKET}, or an address such as 127.0.0.1:9090"
            )
        })
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}
