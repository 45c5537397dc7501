//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::wire::{Body, Framing};
use crate::{BoxError, Result, failure};

/// Measures the relay as a process, compared with a plain splice loop and a copying loop.
#[derive(Clone, Parser)]
pub(crate) struct Options {
    /// Run every case with tiny sizes and check each byte; ignore the targets
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Run only this case (repeatable)
    #[arg(long = "case", value_name = "NAME")]
    pub(crate) cases: Vec<Case>,
    /// Number of interleaved runs per measurement; the median is reported
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) runs: usize,
    /// TCP congestion control of every process of the bench, in a network namespace of its own
    /// [default: that of this machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) congestion: Option<String>,
    /// Measure another build of the relay in the same runs
    #[arg(long, value_name = "PATH")]
    pub(crate) relay: Option<PathBuf>,
    /// Pass an argument to `rdv serve` of both builds (repeatable), as in --with=--no-splice
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub(crate) with: Vec<String>,
    /// Measure a running relay that joins `PUT /stream/X` and `GET /stream/X` (repeatable)
    #[arg(long = "peer", value_name = "NAME=ADDRESS=PID")]
    pub(crate) peers: Vec<Running>,
    /// Also write the result to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Also draw the CPU of the relays, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) picture: Option<PathBuf>,
    /// Draw the result in this file of --json, and measure nothing
    #[arg(long, value_name = "FILE", requires = "picture")]
    pub(crate) from: Option<PathBuf>,
    /// Set by `cargo bench`; without it only the smoke run is done
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
    /// 1,000 streams of 8 MiB at once
    ThousandStreams,
    /// The relay's reno on loopback, compared with the machine's congestion control
    LoopbackReno,
    /// One stream and eight streams between network namespaces, in segments of 1,500 bytes
    Veth,
    /// Uploads in chunks of 64 KiB and 2 KiB
    Chunked,
    /// Complete small exchanges
    Small,
    /// GET /ping, compared with nginx
    Ping,
    /// Latency of GET /ping while bulk transfers run
    PingUnderBulk,
    /// Latency of single bytes
    Trickle,
    /// Memory of waiting streams
    Parked,
    /// 100 streams among 900 whose readers read nothing
    Stalled,
    /// One stream and small exchanges, with all optional features on and off
    EverythingOn,
    /// 1,000 streams through an unprivileged relay
    Unprivileged,
    /// One stream, 100 streams and connections with TLS, compared with proxies
    Tls,
    /// `rdv send` to `rdv receive`, compared with curl
    Clients,
    /// Memory of the library's upload of 10 GiB
    UploadMemory,
    /// A large response of an exposed API, compared with a stream
    Calls,
    /// `rdv source`, compared with GET /ping
    Records,
    /// Memory of `rdv source` after many records
    RecordsMemory,
}

impl Case {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// A relay that is already running.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) pid: i32,
}

impl FromStr for Running {
    type Err = BoxError;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('=').collect();
        let &[name, address, pid] = parts.as_slice() else {
            return Err(failure("expected NAME=ADDRESS=PID"));
        };
        Ok(Self { name: name.to_owned(), address: address.parse()?, pid: pid.parse()? })
    }
}

/// A process of a measurement, started by the bench.
#[derive(Clone, Subcommand)]
pub(crate) enum Role {
    /// A relay that only splices
    #[command(hide = true)]
    PlainSplice(RelayArgs),
    /// The same, with a low-water mark at the source
    #[command(hide = true)]
    BestSplice(RelayArgs),
    /// A relay that only copies
    #[command(hide = true)]
    Copy(RelayArgs),
    /// A server that sends the responses of small exchanges and does nothing else
    #[command(hide = true)]
    Responder(RelayArgs),
    /// Uploads to the streams listed on standard input
    #[command(hide = true)]
    Source(TransferArgs),
    /// Uploads a form in little memory
    #[command(hide = true)]
    Upload(UploadArgs),
    /// Writes a file of this size
    #[command(hide = true)]
    Fill(FillArgs),
    /// Receives one form and discards it
    #[command(hide = true)]
    Discard,
    /// Downloads from the streams listed on standard input
    #[command(hide = true)]
    Sink(TransferArgs),
    /// Sends requests over kept-alive connections, the next one after each response
    #[command(hide = true)]
    Push(PushArgs),
    /// Opens connections and sends one request over each
    #[command(hide = true)]
    Connect(ConnectArgs),
    /// Counts the records on standard input
    #[command(hide = true)]
    Count(CountArgs),
}

/// Where a comparison relay listens.
#[derive(Args, Clone, Debug)]
pub(crate) struct RelayArgs {
    /// Address to listen on
    #[arg(long)]
    pub(crate) listen: SocketAddr,
}

/// Requests to send, and their number.
#[derive(Args, Clone, Debug)]
pub(crate) struct PushArgs {
    /// Address of the server
    #[arg(long)]
    pub(crate) server: SocketAddr,
    /// Kept-alive connections, with one request in flight on each
    #[arg(long)]
    pub(crate) connections: usize,
    /// POST a body of this many bytes; without it: GET /ping
    #[arg(long)]
    pub(crate) body: Option<usize>,
    /// Stop after this number of requests
    #[arg(long, required_unless_present = "millis")]
    pub(crate) requests: Option<u64>,
    /// Stop after this time, in milliseconds
    #[arg(long)]
    pub(crate) millis: Option<u64>,
}

/// Connections to open.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConnectArgs {
    /// Address of the server
    #[arg(long)]
    pub(crate) server: SocketAddr,
    /// Use TLS, with this certificate of the server
    #[arg(long)]
    pub(crate) tls: Option<PathBuf>,
    /// Resume the session of an earlier connection
    #[arg(long)]
    pub(crate) resume: bool,
    /// Stop after this time, in milliseconds
    #[arg(long)]
    pub(crate) millis: u64,
}

/// How to count records.
#[derive(Args, Clone, Debug)]
pub(crate) struct CountArgs {
    /// Compare each record with the body of this size that was sent
    #[arg(long)]
    pub(crate) verify: Option<usize>,
}

/// Source and size of an upload.
#[derive(Args, Clone, Debug)]
pub(crate) struct UploadArgs {
    /// Source of the bytes
    #[arg(long)]
    pub(crate) from: Origin,
    /// Number of bytes
    #[arg(long)]
    pub(crate) length: u64,
}

/// A file to write.
#[derive(Args, Clone, Debug)]
pub(crate) struct FillArgs {
    /// Path of the file
    #[arg(long)]
    pub(crate) path: PathBuf,
    /// Size in bytes
    #[arg(long)]
    pub(crate) length: u64,
}

/// Source of the bytes of an upload.
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
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Pipe => "pipe",
            Self::Reader => "reader",
        }
    }
}

/// What a source or a sink transfers.
#[derive(Args, Clone, Debug)]
pub(crate) struct TransferArgs {
    /// Address of the relay
    #[arg(long)]
    pub(crate) relay: SocketAddr,
    /// Use TLS, with this certificate of the relay
    #[arg(long)]
    pub(crate) tls: Option<PathBuf>,
    /// Framing of the upload
    #[arg(long)]
    pub(crate) framing: Framing,
    /// Payload bytes per stream
    #[arg(long)]
    pub(crate) length: u64,
    /// How a sink handles the bytes
    #[arg(long, default_value = "discard")]
    pub(crate) mode: SinkMode,
    /// Use different contents for each stream
    #[arg(long)]
    pub(crate) distinct: bool,
    /// Use small buffers and segments; a sink reads nothing until its standard input is closed
    #[arg(long)]
    pub(crate) stalled: bool,
    /// Accept uploads at this address instead of downloading, for TCP relays
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
}

impl TransferArgs {
    /// The body of stream number `index`.
    pub(crate) fn body(&self, index: usize) -> Body {
        let seed = if self.distinct { index as u64 + 1 } else { 0 };
        Body { framing: self.framing, length: self.length, seed }
    }
}

/// How a sink handles the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SinkMode {
    /// Discard them in the kernel (`MSG_TRUNC`)
    Discard,
    /// Read them into a buffer of 256 KiB
    Read,
    /// Read them and compare each with the byte sent
    Verify,
}

impl SinkMode {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Discard => "discard",
            Self::Read => "read",
            Self::Verify => "verify",
        }
    }
}
