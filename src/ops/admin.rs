//! Where operators ask and tell: the address of the admin listener.

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
pub struct AdminSettings {
    /// Serve operators here: a path (a Unix socket of mode 0600), or an address and port that
    /// nobody else can reach; the public listeners no longer list streams then
    #[arg(long, value_name = "PATH|ADDR:PORT")]
    pub admin_listen: Option<AdminAddress>,
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
