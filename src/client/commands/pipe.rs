//! `rdv pipe`: one end of a stream as a filter in a shell pipeline.

use super::Exit;
use super::receive::Receive;
use super::send::{Send, Sending};
use crate::client::archive::ENTRIES_MAX;
use crate::ops::units;
use clap::{Args, Subcommand};

/// The arguments of `rdv pipe`.
#[derive(Args, Clone, Debug)]
pub struct Pipe {
    #[command(subcommand)]
    end: End,
}

#[derive(Subcommand, Clone, Debug)]
enum End {
    /// Send standard input: `tar c site | rdv pipe send`
    Send(Sending),
    /// Receive to standard output: `rdv pipe receive URL | tar x`
    Receive(FromStream),
}

#[derive(Args, Clone, Debug)]
struct FromStream {
    /// URL of the stream or of its page, or its ID at the relay
    #[arg(value_name = "URL|ID")]
    place: String,
    /// Maximum size of the data [default: unlimited]
    #[arg(long, value_name = "BYTES", value_parser = units::bytes(1..=units::PIB))]
    max_size: Option<usize>,
    #[command(flatten)]
    at: super::common::AtRelay,
    #[command(flatten)]
    connecting: super::common::Connecting,
    #[command(flatten)]
    reporting: super::reporter::OutputArgs,
}

impl Pipe {
    /// Runs this end and returns the exit status.
    pub fn run(&self) -> Exit {
        match &self.end {
            End::Send(sending) => Send { what: vec!["-".into()], sending: sending.clone() }.run(),
            End::Receive(from) => Receive {
                place: from.place.clone(),
                output: Some("-".into()),
                extract: false,
                force: false,
                max_size: from.max_size,
                max_entries: ENTRIES_MAX,
                at: from.at.clone(),
                connecting: from.connecting.clone(),
                reporting: from.reporting,
            }
            .run(),
        }
    }
}
