//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::wire::{Body, Framing};
use crate::{Fault, Outcome, fault};

/// Measures the relay as a process, beside a plain splice loop and a copying loop.
#[derive(Parser)]
pub(crate) struct Options {
    /// Run every case with tiny sizes and check each byte; judge no figure
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Run only this case (repeatable)
    #[arg(long = "case", value_name = "NAME")]
    pub(crate) cases: Vec<Case>,
    /// Interleaved runs of each measurement; the median counts
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) runs: usize,
    /// Measure another build of the relay in the same runs
    #[arg(long, value_name = "PATH")]
    pub(crate) relay: Option<PathBuf>,
    /// Pass this to `rdv serve`, both builds (repeatable), as in --with=--no-splice
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub(crate) with: Vec<String>,
    /// Measure a running relay that lets `PUT /stream/X` meet `GET /stream/X` (repeatable)
    #[arg(long = "peer", value_name = "NAME=ADDRESS=PID")]
    pub(crate) peers: Vec<Running>,
    /// Given by `cargo bench`; without it only the smoke run is done
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// One stream of 4 GiB
    OneStream,
    /// 100 streams of 64 MiB at once
    HundredStreams,
    /// Uploads in chunks of 64 KiB and 2 KiB
    Chunked,
    /// Complete small exchanges
    Small,
    /// GET /ping, beside nginx
    Ping,
    /// Latency of single bytes
    Trickle,
    /// Memory of waiting streams
    Parked,
    /// One stream and small exchanges with everything an operator can switch on, and without
    EverythingOn,
    /// 1,000 streams through a relay without privileges
    Unprivileged,
    /// `rdv send` to `rdv receive`, beside curl
    Clients,
    /// Memory of the library's upload of 10 GiB
    UploadMemory,
    /// A large response of an exposed API, beside a stream
    Calls,
    /// `rdv source`, beside GET /ping
    Records,
    /// Memory of `rdv source` after many records
    RecordsMemory,
}

/// A relay that somebody else started.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) pid: i32,
}

impl FromStr for Running {
    type Err = Fault;

    fn from_str(text: &str) -> Outcome<Self> {
        let parts: Vec<&str> = text.split('=').collect();
        let &[name, address, pid] = parts.as_slice() else {
            return Err(fault("expected NAME=ADDRESS=PID"));
        };
        Ok(Self { name: name.to_owned(), address: address.parse()?, pid: pid.parse()? })
    }
}

/// A process of a measurement, started by the bench itself.
#[derive(Subcommand)]
pub(crate) enum Role {
    /// A relay that splices and does nothing else
    #[command(hide = true)]
    PlainSplice,
    /// A relay that copies and does nothing else
    #[command(hide = true)]
    Copy,
    /// A server that gives the answers of small exchanges and does nothing else
    #[command(hide = true)]
    Answers,
    /// Uploads to the streams named on the standard input
    #[command(hide = true)]
    Source(Task),
    /// Uploads a form in little memory
    #[command(hide = true)]
    Upload(Amount),
    /// Writes a file of this size
    #[command(hide = true)]
    Fill(Filling),
    /// Takes one form and throws it away
    #[command(hide = true)]
    Discard,
    /// Downloads from them
    #[command(hide = true)]
    Sink(Task),
    /// Asks a server over and over, each connection again once it is answered
    #[command(hide = true)]
    Push(Pushing),
    /// Counts the records on the standard input
    #[command(hide = true)]
    Count(Counting),
}

/// What is asked, and how often.
#[derive(Args, Clone, Debug)]
pub(crate) struct Pushing {
    /// Address of the server
    #[arg(long)]
    pub(crate) server: SocketAddr,
    /// Connections, kept alive, with one request on its way each
    #[arg(long)]
    pub(crate) connections: usize,
    /// POST a body of this many bytes; without it: GET /ping
    #[arg(long)]
    pub(crate) body: Option<usize>,
    /// End after so many requests
    #[arg(long, required_unless_present = "millis")]
    pub(crate) requests: Option<u64>,
    /// End after this time, in milliseconds
    #[arg(long)]
    pub(crate) millis: Option<u64>,
}

/// What is looked at in records.
#[derive(Args, Clone, Debug)]
pub(crate) struct Counting {
    /// Compare each with the body of this many bytes that was sent
    #[arg(long)]
    pub(crate) verify: Option<usize>,
}

/// What an upload takes, and from where.
#[derive(Args, Clone, Debug)]
pub(crate) struct Amount {
    /// Where the bytes come from
    #[arg(long)]
    pub(crate) from: Origin,
    /// How many there are
    #[arg(long)]
    pub(crate) length: u64,
}

/// What file is written.
#[derive(Args, Clone, Debug)]
pub(crate) struct Filling {
    /// The file
    #[arg(long)]
    pub(crate) path: PathBuf,
    /// Its bytes
    #[arg(long)]
    pub(crate) length: u64,
}

/// Where the bytes of an upload come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Origin {
    /// A regular file
    File,
    /// A pipe
    Pipe,
    /// A reader in the process
    Reader,
}

impl Origin {
    /// As the command line spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Pipe => "pipe",
            Self::Reader => "reader",
        }
    }
}

/// What a source or a sink has to do.
#[derive(Args, Clone, Debug)]
pub(crate) struct Task {
    /// Address of the relay
    #[arg(long)]
    pub(crate) relay: SocketAddr,
    /// Framing of the upload
    #[arg(long)]
    pub(crate) framing: Framing,
    /// Payload bytes of each stream
    #[arg(long)]
    pub(crate) length: u64,
    /// What a sink does with the bytes
    #[arg(long, default_value = "discard")]
    pub(crate) taste: Taste,
    /// Give each stream contents of its own
    #[arg(long)]
    pub(crate) distinct: bool,
    /// A sink listens here and is uploaded to, for relays of plain TCP
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
}

impl Task {
    /// The body of stream number `index`.
    pub(crate) fn body(&self, index: usize) -> Body {
        let seed = if self.distinct { index as u64 + 1 } else { 0 };
        Body { framing: self.framing, length: self.length, seed }
    }
}

/// What a sink does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Taste {
    /// Lets the kernel drop them (`MSG_TRUNC`)
    Discard,
    /// Reads them into a buffer of 256 KiB
    Read,
    /// Reads them and compares each with what was sent
    Verify,
}

impl Taste {
    /// As the command line spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Discard => "discard",
            Self::Read => "read",
            Self::Verify => "verify",
        }
    }
}
