//! `rdv ctl`: commands for operators of a running relay.

mod find;

use super::single::{self, SingleRequest};
use super::{Error, Options, Part, Url};
use crate::ops::admin::directories;
use crate::ops::{AdminAddress, AdminListen, cause};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read as _};
use std::time::Duration;
use uuid::Uuid;

/// Maximum time for each step of a request.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// The arguments of `rdv ctl`.
#[derive(Args, Debug)]
pub struct Ctl {
    /// Admin address [default: from the settings, or that of the only relay here]
    #[arg(long, value_name = "PATH|ADDR:PORT", global = true)]
    pub admin: Option<AdminAddress>,
    /// Port of the relay, if several run here
    #[arg(long, value_name = "PORT", global = true, conflicts_with = "admin")]
    pub port: Option<u16>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Refuse new streams; existing ones continue
    Suspend,
    /// Accept new streams again
    Resume,
    /// Drain and exit
    Stop,
    /// Show the status of the relay
    Status,
    /// Check that the relay responds; exit status 1 if not
    Health {
        /// Check that it accepts new streams, too
        #[arg(long)]
        ready: bool,
    },
    /// List streams
    List {
        /// Active streams only
        #[arg(long)]
        active: bool,
    },
    /// List connected agents
    Agents,
    /// Cancel a stream
    Cancel {
        /// ID of the stream
        id: Uuid,
    },
}

impl Ctl {
    /// Whether the address must be taken from the settings of a relay.
    pub fn needs_settings(&self) -> bool {
        self.admin.is_none() && self.port.is_none()
    }

    /// Returns the admin address of the relay, from the settings if they have one.
    ///
    /// # Errors
    /// One line: why there is no such address.
    pub fn address(&self, configured: Option<AdminListen>) -> Result<AdminAddress, String> {
        match (&self.admin, configured) {
            (Some(address), _) => Ok(address.clone()),
            (None, Some(AdminListen::At(address))) => Ok(address),
            (None, Some(AdminListen::Off)) => {
                Err("the relay does not serve operators (admin-listen = \"none\")".to_owned())
            }
            (None, None) => find::find(&directories(), self.port),
        }
    }

    /// Sends the request to the relay at this address, and returns the text to print.
    ///
    /// # Errors
    /// One line: why it failed.
    pub fn run(&self, address: &AdminAddress) -> Result<String, String> {
        let (method, path) = match &self.command {
            Command::Suspend => ("POST", "/control/suspend".to_owned()),
            Command::Resume => ("POST", "/control/resume".to_owned()),
            Command::Stop => ("POST", "/control/stop".to_owned()),
            Command::Status => ("GET", "/control".to_owned()),
            Command::Health { ready: true } => ("GET", "/readyz".to_owned()),
            Command::Health { ready: false } => ("GET", "/healthz".to_owned()),
            Command::List { active: true } => ("GET", "/stream?active=true".to_owned()),
            Command::List { active: false } => ("GET", "/stream".to_owned()),
            Command::Agents => ("GET", "/socket".to_owned()),
            Command::Cancel { id } => ("DELETE", format!("/stream/{id}")),
        };
        let (status, body) =
            request(address, method, &path).map_err(|error| explain(address, &error))?;
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !(200..300).contains(&status) {
            return Err(format!("the relay answered {status}: {}", reason(&said)));
        }
        if self.json {
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        Ok(match &self.command {
            Command::Suspend | Command::Resume | Command::Stop | Command::Status => state(&said),
            Command::Health { ready: true } => "ready\n".to_owned(),
            Command::Health { ready: false } => "alive\n".to_owned(),
            Command::List { .. } => list(&said),
            Command::Agents => agents(&said),
            Command::Cancel { id } => format!("{id} is cancelled\n"),
        })
    }
}

/// Sends a request, and returns the status and the complete body of its response.
fn request(address: &AdminAddress, method: &str, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut options = Options::default();
    options.no_proxy();
    options.set_connect_timeout(STEP_TIMEOUT);
    options.set_stall_timeout(STEP_TIMEOUT);
    let host = match address {
        AdminAddress::Unix(path) => {
            options.connect_to_unix(path);
            "localhost".to_owned()
        }
        AdminAddress::Tcp(address) => address.to_string(),
    };
    let url: Url = format!("http://{host}{path}").parse()?;
    let single = SingleRequest {
        method,
        url: &url,
        fields: Vec::new(),
        content: Part::from(io::empty()),
        bytes: 0,
        is_held_back: false,
    };
    let mut response = single::send(single, &options)?;
    let mut body = Vec::new();
    response.body().read_to_end(&mut body)?;
    // The relay frames every response to operators.
    if response.body().ends_with_connection() {
        return Err(Error::Truncated { received_bytes: body.len() as u64 }.into());
    }
    Ok((response.status(), body))
}

/// Describes the failure; one of connecting has the system's reason.
fn explain(address: &AdminAddress, error: &io::Error) -> String {
    let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match failure {
        Some(Error::Network { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            format!(
                "cannot connect to {address}: permission denied; run this as the relay's user or root"
            )
        }
        Some(Error::Network { source, .. }) if source.raw_os_error().is_some() => {
            format!(
                "cannot connect to {address}: {}; is the relay running with --admin-listen {address}?",
                cause(source)
            )
        }
        Some(_) | None => format!("{address}: {error}"),
    }
}

/// Returns why a request failed: the message of an error, or what `/readyz` lists.
fn reason(said: &Value) -> String {
    let listed = said["reasons"].as_array().into_iter().flatten();
    let mut reasons = said["message"].as_str().into_iter().chain(listed.filter_map(Value::as_str));
    let first = reasons.next().unwrap_or("no reason was given").to_owned();
    reasons.fold(first, |all, next| all + ", " + next)
}

fn state(said: &Value) -> String {
    let streams = &said["streams"];
    let counted = |count: &Value, noun: &str| {
        let plural = if *count == 1 { "" } else { "s" };
        format!("{count} {noun}{plural}")
    };
    let node = said["node"].as_u64().map_or(String::new(), |node| format!(", node {node}"));
    format!(
        "{}: {}, {}, {} of them streaming (version {}, process {}{node})\n",
        said["state"].as_str().unwrap_or("?"),
        counted(&said["connections"], "connection"),
        counted(&streams["active"], "active stream"),
        streams["streaming"],
        said["version"].as_str().unwrap_or("?"),
        said["pid"],
    )
}

fn list(said: &Value) -> String {
    let mut text = format!("{:36}  {:24}  {:>16}  CREATED\n", "STREAM", "STATE", "BYTES");
    for stream in said.as_array().into_iter().flatten() {
        let member = |name: &str| stream[name].as_str().unwrap_or("?");
        let _ = writeln!(
            text,
            "{:36}  {:24}  {:>16}  {}",
            member("id"),
            member("state"),
            stream["bytes_transferred"].as_u64().unwrap_or_default(),
            member("created_at"),
        );
    }
    text
}

fn agents(said: &Value) -> String {
    let mut text =
        format!("{:36}  {:24}  {:>8}  {:24}  FROM\n", "AGENT", "NAME", "REQUESTS", "CONNECTED");
    for agent in said.as_array().into_iter().flatten() {
        let member = |name: &str| agent[name].as_str().unwrap_or("-");
        let _ = writeln!(
            text,
            "{:36}  {:24}  {:>8}  {:24}  {}",
            member("id"),
            member("name"),
            agent["requests_in_flight"].as_u64().unwrap_or_default(),
            member("connected_at"),
            member("remote_addr"),
        );
    }
    text
}
