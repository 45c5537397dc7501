//! `rdv ctl`: what operators ask and tell a running relay.

use super::exchange::{Answer, exchange};
use crate::ops::AdminAddress;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::fmt::Write as _;
use uuid::Uuid;

/// Asks or tells a running relay.
#[derive(Args, Debug)]
pub struct Ctl {
    /// The relay's admin address; else the one in the environment or the file of settings, else
    /// /run/rdv/admin.sock
    #[arg(long, value_name = "PATH|ADDR:PORT", global = true)]
    pub admin: Option<AdminAddress>,
    /// Print the relay's JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Take no new streams; those that were made go on
    Suspend,
    /// Take new streams again
    Resume,
    /// Drain, then end
    Stop,
    /// Say what the relay is doing
    Status,
    /// List the streams it holds
    List {
        /// Only those that have not ended
        #[arg(long)]
        active: bool,
    },
    /// End a stream; whoever is there is told
    Cancel {
        /// The stream's identifier
        id: Uuid,
    },
}

impl Ctl {
    /// Asks the relay at this address; what to print.
    ///
    /// # Errors
    /// One line: why it was not done.
    pub fn run(&self, address: &AdminAddress) -> Result<String, String> {
        let (method, path) = match &self.command {
            Command::Suspend => ("POST", "/control/suspend".to_owned()),
            Command::Resume => ("POST", "/control/resume".to_owned()),
            Command::Stop => ("POST", "/control/stop".to_owned()),
            Command::Status => ("GET", "/control".to_owned()),
            Command::List { active: true } => ("GET", "/stream?active=true".to_owned()),
            Command::List { active: false } => ("GET", "/stream".to_owned()),
            Command::Cancel { id } => ("DELETE", format!("/stream/{id}")),
        };
        let Answer { status, body } = exchange(address, method, &path)?;
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !(200..300).contains(&status) {
            let message = said["message"].as_str().unwrap_or("no reason was given");
            return Err(format!("the relay answered {status}: {message}"));
        }
        if self.json {
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        Ok(match &self.command {
            Command::Suspend | Command::Resume | Command::Stop | Command::Status => state(&said),
            Command::List { .. } => list(&said),
            Command::Cancel { id } => format!("{id} is cancelled\n"),
        })
    }
}

fn state(said: &Value) -> String {
    let streams = &said["streams"];
    format!(
        "{}: {} connections, {} streams active, {} of them streaming (version {}, process {})\n",
        said["state"].as_str().unwrap_or("?"),
        said["connections"],
        streams["active"],
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
