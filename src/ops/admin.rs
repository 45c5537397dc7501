//! The settings of the admin listener, and the path of the socket that a relay opens by default.

use crate::api::access::{AllowedOrigin, HostName};
use clap::Args;
use nix::unistd::geteuid;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The directory for the sockets of root.
const SYSTEM_DIRECTORY: &str = "/run/rdv";

/// The name of a configured socket, as in the documentation.
const USUAL_NAME: &str = "admin.sock";

/// The settings of the admin listener.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Administration")]
#[allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "this is the text of --help")]
pub struct AdminSettings {
    /// Admin listener: a path (a Unix socket of mode 0600), an address and port that only operators
    /// can reach, or none. Default: PORT.sock in $XDG_RUNTIME_DIR/rdv; for root and for services in
    /// /run/rdv
    #[arg(long, value_name = "PATH|ADDR:PORT|none")]
    pub admin_listen: Option<AdminListen>,

    /// Host that requests to the admin listener may name, besides localhost and its own address;
    /// repeatable
    #[arg(long, value_name = "HOST")]
    pub admin_hosts: Vec<HostName>,

    /// Origin whose pages may open WebSockets, delete streams and use the admin listener, besides
    /// the relay's own, such as https://relay.example, or * for all; they read responses only with
    /// cors-origin; repeatable
    #[arg(long, value_name = "ORIGIN")]
    pub allowed_origins: Vec<AllowedOrigin>,
}

/// Whether the admin listener is enabled, and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// No admin listener.
    Off,
    /// A listener at this address.
    At(AdminAddress),
}

/// A Unix socket or a TCP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A path in the file system.
    Unix(PathBuf),
    /// An address and port.
    Tcp(SocketAddr),
}

impl FromStr for AdminListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|why: String| format!("{why}, or none"))
    }
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
                "expected a path such as {SYSTEM_DIRECTORY}/{USUAL_NAME}, or an address such as \
                 127.0.0.1:9090"
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

/// Returns the default socket path of a relay that listens on this port.
///
/// # Errors
/// Why no directory is available.
pub fn default_socket(port: u16) -> Result<PathBuf, &'static str> {
    let directory = default_directory(|name| env::var_os(name), geteuid().is_root());
    let none = "XDG_RUNTIME_DIR names no directory";
    directory.map(|directory| directory.join(format!("{port}.sock"))).ok_or(none)
}

/// Returns all directories in which relays of this user, or of the system, create their sockets.
pub fn directories() -> Vec<PathBuf> {
    let variable = |name: &str| env::var_os(name);
    if let Some(directory) = of_service(&variable) {
        return vec![directory];
    }
    [Some(SYSTEM_DIRECTORY.into()), of_user(&variable)].into_iter().flatten().collect()
}

/// Returns the port in the name of a default socket; `Some(None)` for the usual name.
#[allow(clippy::option_option, reason = "a name without a port is not a foreign one")]
pub fn port_of(name: &Path) -> Option<Option<u16>> {
    let name = name.to_str()?;
    if name == USUAL_NAME {
        return Some(None);
    }
    name.strip_suffix(".sock")?.parse().ok().map(Some)
}

/// Returns the default directory. systemd creates one for a service and passes its path
/// (`RuntimeDirectory=`, systemd.exec(5)). Root has a directory of its own, because its
/// `$XDG_RUNTIME_DIR` is removed at logout.
fn default_directory(
    variable: impl Fn(&str) -> Option<OsString>,
    is_root: bool,
) -> Option<PathBuf> {
    let of_root = is_root.then(|| SYSTEM_DIRECTORY.into());
    of_service(&variable).or(of_root).or_else(|| of_user(&variable))
}

/// Returns the first directory in the variable, a list separated by colons.
fn of_service(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let directories = variable("RUNTIME_DIRECTORY")?;
    let first = directories.as_bytes().split(|&byte| byte == b':').next()?;
    absolute(OsString::from_vec(first.to_vec()))
}

fn of_user(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    absolute(variable("XDG_RUNTIME_DIR")?).map(|directory| directory.join("rdv"))
}

/// Ignores a relative path, as the XDG Base Directory Specification requires.
fn absolute(path: OsString) -> Option<PathBuf> {
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_directory_depends_on_user_and_service() {
        for (name, service, user, is_root, directory) in [
            ("a user", None, Some("/run/user/7"), false, Some("/run/user/7/rdv")),
            ("a user without a session", None, None, false, None),
            ("an empty variable", None, Some(""), false, None),
            ("a relative path", None, Some("run"), false, None),
            ("root", None, Some("/run/user/0"), true, Some("/run/rdv")),
            ("a service", Some("/run/rdv"), None, false, Some("/run/rdv")),
            ("a service of root", Some("/run/other"), None, true, Some("/run/other")),
            ("several directories", Some("/run/a:/run/b"), None, false, Some("/run/a")),
            (
                "a user's service",
                Some("/run/user/7/a"),
                Some("/run/user/7"),
                false,
                Some("/run/user/7/a"),
            ),
        ] {
            let variable = |wanted: &str| match wanted {
                "RUNTIME_DIRECTORY" => service.map(OsString::from),
                "XDG_RUNTIME_DIR" => user.map(OsString::from),
                other => panic!("{other}"),
            };
            let found = default_directory(variable, is_root);
            assert_eq!(found.as_deref(), directory.map(Path::new), "{name}");
        }
    }

    #[test]
    fn a_socket_is_recognized_by_its_name() {
        for (name, port) in [
            ("8080.sock", Some(Some(8080))),
            ("admin.sock", Some(None)),
            ("records.sock", None),
            ("8080.sock.new.7", None),
            ("8080", None),
            ("80800.sock", None),
            (".sock", None),
        ] {
            assert_eq!(port_of(Path::new(name)), port, "{name}");
        }
    }

    #[test]
    fn the_admin_listener_is_a_path_an_address_or_off() {
        let at = |address| Some(AdminListen::At(address));
        for (text, listen) in [
            ("none", Some(AdminListen::Off)),
            ("/run/a.sock", at(AdminAddress::Unix("/run/a.sock".into()))),
            ("unix:/run/a.sock", at(AdminAddress::Unix("/run/a.sock".into()))),
            ("127.0.0.1:0", at(AdminAddress::Tcp("127.0.0.1:0".parse().unwrap()))),
            ("off", None),
            ("localhost:80", None),
            ("a.sock", None),
        ] {
            assert_eq!(text.parse().ok(), listen, "{text}");
        }
    }
}
