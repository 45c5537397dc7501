//! `rdv status` and `rdv cancel`: show the status of a stream, and end it.

use super::common::{AtRelay, Connecting, settled};
use super::reporter::{in_words, put};
use super::settings::Preferences;
use super::{Exit, Failure};
use crate::client::file_name::printable;
use crate::client::relay::Stream;
use crate::ops::human;
use crate::ops::stdio;
use clap::Args;
use serde_json::Value;
use std::io::{self, Write as _};

/// The arguments of `rdv status`.
#[derive(Args, Clone, Debug)]
pub struct Status {
    /// Print each change until the stream ends
    #[arg(long, short)]
    pub follow: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,

    // After them: its headings apply to what follows.
    #[command(flatten)]
    at: StreamTarget,
}

/// The arguments of `rdv cancel`.
#[derive(Args, Clone, Debug)]
pub struct Cancel {
    #[command(flatten)]
    at: StreamTarget,
}

/// The stream, and how to connect to its relay.
#[derive(Args, Clone, Debug)]
struct StreamTarget {
    /// URL of the stream or of its page, or its ID at the relay
    #[arg(value_name = "URL|ID")]
    place: String,
    #[command(flatten)]
    relay: AtRelay,
    #[command(flatten)]
    connecting: Connecting,
}

impl StreamTarget {
    fn stream(&self) -> Result<Stream, Failure> {
        let preferences = Preferences::read()?;
        let options = self.relay.options(&self.connecting, &preferences)?;
        self.relay.stream(&self.place, options, &preferences)
    }
}

impl Status {
    /// Prints the status of the stream.
    pub fn run(&self) -> Exit {
        ended(self.show())
    }

    fn show(&self) -> Result<(), Failure> {
        let stream = self.at.stream()?;
        if !self.follow {
            return self.print(&settled(stream.status())?).map_err(unprinted);
        }
        let mut printed = Ok(());
        settled(stream.follow(&mut |status| {
            printed = self.print(status);
            printed.is_ok()
        }))?;
        printed.map_err(unprinted)
    }

    fn print(&self, status: &Value) -> io::Result<()> {
        let mut out = stdio::output();
        if self.json {
            writeln!(out, "{status}")?;
        } else {
            writeln!(out, "{}", line(status))?;
        }
        out.flush()
    }
}

impl Cancel {
    /// Ends the stream.
    pub fn run(&self) -> Exit {
        ended(self.at.stream().and_then(|stream| settled(stream.cancel())))
    }
}

fn ended(result: Result<(), Failure>) -> Exit {
    match result {
        Ok(()) => Exit::Complete,
        Err(failure) => {
            put(format_args!("rdv: {}", failure.why));
            failure.exit
        }
    }
}

fn unprinted(error: io::Error) -> Failure {
    Failure::local("cannot write to standard output", error)
}

/// Formats a status object for people.
fn line(status: &Value) -> String {
    let text = |value: &Value| value.as_str().map(printable).unwrap_or_default();
    let bytes = human::size(status["bytes_transferred"].as_u64().unwrap_or_default());
    let mut line = format!("{}, {bytes}", text(&status["state"]));
    if let Some(side) = status["bottleneck"]["side"].as_str() {
        line = format!("{line}; {}", in_words(side));
    }
    if status["error"].is_object() {
        let (name, message) = (text(&status["error"]["name"]), text(&status["error"]["message"]));
        line = format!("{line}; {message} ({name})");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_has_state_bytes_and_bottleneck_or_error() {
        let status = json!({ "state": "STREAMING", "bytes_transferred": 7,
            "bottleneck": { "side": "source" } });
        assert_eq!(line(&status), "STREAMING, 7 B; limited by the sender");
        let status = json!({ "state": "CLIENT_ERROR", "bytes_transferred": 0,
            "error": { "name": "X", "message": "\u{1b}[2J" } });
        assert_eq!(line(&status), "CLIENT_ERROR, 0 B; \\u{1b}[2J (X)");
    }
}
