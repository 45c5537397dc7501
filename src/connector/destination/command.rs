//! `rdv destination`: sends records from a pipe, a file or a socket to a server.

use super::acks::standard_output;
use super::dead_letters::DeadLetters;
use super::delivery::Transport;
use super::http_sender::HttpSender;
use super::input::{self, Input, InputReader};
use super::via_relay::ViaRelay;
use super::workers::{Dispatch, Event, Shared};
use super::{Backoff, BodyKind, DestinationOptions, not_there, stopping};
use crate::client::commands::{Exit, Failure};
use crate::client::{Options, Url, clock};
use crate::connector::spill::SpillSpace;
use crate::ops::{places, stdio, units};
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How much longer than one attempt shutting down may take.
const GRACE: Duration = Duration::from_secs(1);

/// The arguments of `rdv destination`.
#[derive(Args, Clone, Debug)]
#[group(id = "way", args = ["url", "relay"], required = true, multiple = false)]
pub struct DestinationCommand {
    /// URL that accepts each record as a POST
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// Relay to send each record through, in a stream of its own; or the URL of one stream
    /// (/stream/ID), for one record
    #[arg(long, value_name = "URL")]
    pub relay: Option<String>,

    /// Input of records: a file, a FIFO (reopened after its writer ends), or unix:PATH, a socket to
    /// listen on [default: standard input]
    #[arg(long, value_name = "PATH|unix:PATH", value_parser = places::no_stream_word)]
    pub input: Option<String>,

    /// Part of a record to send
    #[arg(long, value_enum, default_value_t = BodyKind::Payload)]
    pub body: BodyKind,

    /// Statuses of success [default: any 2xx]; another 2xx is an error that is not retried
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(200..=599))]
    pub success: Vec<u16>,

    /// File to append undeliverable records to; without it the first one ends the program
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(regular))]
    pub dead_letter: Option<PathBuf>,

    /// Concurrent requests; records with the same key stay in order
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: u16,

    /// Directory for content that is too large for memory [default: TMPDIR, else /tmp]
    #[arg(long, value_name = "DIRECTORY")]
    pub temporary: Option<PathBuf>,

    #[command(flatten)]
    trying: RetryArgs,
    #[command(flatten)]
    connecting: Connecting,
}

/// Retries and their pauses.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Retries")]
struct RetryArgs {
    /// Maximum retries of a record
    #[arg(long, value_name = "N", default_value_t = Backoff::default().retries)]
    retries: u32,

    /// Maximum pause before the first retry; doubles with each retry, with random jitter
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = units::time(Duration::from_millis(1)))]
    backoff: Duration,

    /// Maximum pause between retries, also with Retry-After
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::time(Duration::from_millis(1)))]
    backoff_max: Duration,

    /// Timeout for an attempt; for content too large for memory, timeout without progress
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::time(units::INSTANT))]
    timeout: Duration,
}

/// Connection settings.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
struct Connecting {
    /// Header field for each request, such as 'Authorization: Bearer x'; repeatable
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// PEM file of the only trusted certificate authorities [default: those of the system]
    #[arg(long, value_name = "FILE", env = "RDV_CACERT", hide_env_values = true)]
    cacert: Option<PathBuf>,

    /// Timeout for connecting
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::time(units::INSTANT))]
    connect_timeout: Duration,

    /// Skip the HEAD request before the first record
    #[arg(long)]
    no_ping: bool,
}

impl DestinationCommand {
    /// Sends records until the input ends or a record cannot be delivered, and reports a failure.
    pub fn run(&self) -> Exit {
        match self.deliver() {
            Ok(exit) => exit,
            Err(failure) => {
                stdio::error_line(format_args!("rdv: {failure}"));
                failure.exit
            }
        }
    }

    fn deliver(&self) -> Result<Exit, Failure> {
        let options = self.options()?;
        let dead_letters = self.dead_letter.as_deref().map(DeadLetters::open).transpose()?;
        let (input, bound) = input::open(self.input.as_deref())?;
        let (sender, events) = mpsc::channel();
        let timeout = options.timeout;
        let shared = Shared::new(options, dead_letters, sender);
        // Before the server's name is resolved, which may start a thread: a thread that does not
        // block the signals would be killed by them, and the process with it.
        let startup = stopping::watch(&shared, bound);
        let ways = self.ways(&shared.options);
        // Also if the server cannot be reached: otherwise the watching thread keeps the socket
        // file.
        let _bound = startup.end();
        let ways = ways?;
        let workers = ways.len();
        let intake = InputReader {
            dispatch: Dispatch::start(ways, &shared)?,
            acks: standard_output().map_err(|error| Failure::local("standard output", error))?,
            space: SpillSpace::new(self.temporary.clone(), "--temporary", u64::MAX),
            ack_timeout: timeout.max(Duration::from_millis(1)),
        };
        take_in(intake, input, &shared)?;
        acknowledge_input(&events, workers, timeout)
    }

    fn options(&self) -> Result<DestinationOptions, Failure> {
        let Connecting { headers, cacert, connect_timeout, no_ping } = &self.connecting;
        let mut client = Options::default();
        client.set_connect_timeout(*connect_timeout);
        if let Some(cacert) = cacert {
            client.trust_only(cacert);
        }
        for header in headers {
            let Some((name, value)) = header.split_once(':') else {
                // The header is not shown: it may contain a password.
                let why = "a --header has no colon; write 'Name: value'";
                return Err(Failure::new(Exit::Usage, why));
            };
            client.add_field(name.trim(), value)?;
        }
        let RetryArgs { retries, backoff, backoff_max, timeout } = self.trying;
        Ok(DestinationOptions {
            client,
            body: self.body,
            success: self.success.clone(),
            backoff: Backoff { retries, first: backoff, max: backoff_max },
            timeout,
            ping: !no_ping,
        })
    }

    /// Returns a transport for each worker. The first has checked that the server is reachable.
    fn ways(&self, options: &DestinationOptions) -> Result<Vec<Transport>, Failure> {
        let workers = usize::from(self.parallel);
        let named = self.url.as_ref().or(self.relay.as_ref());
        let url: Url = named.map_or("", String::as_str).parse()?;
        let asked = if self.url.is_some() { url.clone() } else { asked_of(&url) };
        let shared = Arc::new(options.clone());
        let sender = || HttpSender::new(asked.clone(), Arc::clone(&shared));
        let mut first = sender()?;
        if options.ping {
            first.ping().map_err(|error| not_there(&error))?;
        }
        if self.relay.is_some() {
            let relay = Box::new(ViaRelay::new(&url, options)?);
            // One record needs one worker.
            let workers = if relay.is_for_one() { 1 } else { workers };
            return Ok((0..workers).map(|_| Transport::Relay(relay.clone())).collect());
        }
        let mut senders = vec![Transport::Server(Box::new(first))];
        for _ in 1..workers {
            senders.push(Transport::Server(Box::new(sender()?)));
        }
        Ok(senders)
    }
}

/// Returns the URL that shows whether a relay is reachable: its ping, or the stream itself.
fn asked_of(url: &Url) -> Url {
    let is_stream = crate::client::relay::Stream::of_url(url, Options::default()).is_some();
    if is_stream { url.clone() } else { url.below("ping") }
}

/// Reads the input in its own thread, which is abandoned if the input never ends.
fn take_in(intake: InputReader, input: Input, shared: &Arc<Shared>) -> Result<(), Failure> {
    let shared = Arc::clone(shared);
    let started = thread::Builder::new().name("input".into()).spawn(move || {
        // Without this event, the main thread would wait indefinitely for the end of the input.
        let read = panic::catch_unwind(AssertUnwindSafe(|| intake.run(input)));
        let ended = read.unwrap_or_else(|_| {
            Err(Failure::new(Exit::Local, "reading failed, which is a mistake of rdv"))
        });
        let _ = shared.events.send(Event::InputEnded(ended));
    });
    started.map(drop).map_err(|error| Failure::local("cannot start reading", error))
}

/// Waits until all workers have ended, and returns the result: the first failure or signal, or
/// success at the end of the input. The workers may notice that end before its event arrives.
fn acknowledge_input(
    events: &Receiver<Event>,
    mut workers: usize,
    timeout: Duration,
) -> Result<Exit, Failure> {
    let mut ending = None;
    let mut deadline = None;
    let until = || Some(clock::now() + timeout + GRACE);
    let mut is_read = false;
    while workers > 0 || !(is_read || ending.is_some()) {
        match next(events, deadline) {
            Some(Event::InputEnded(Ok(()))) => is_read = true,
            Some(Event::InputEnded(Err(failure))) => {
                ending.get_or_insert(Err(failure));
            }
            Some(Event::Failed(failure)) => {
                ending.get_or_insert(Err(failure));
                deadline = deadline.or_else(until);
            }
            Some(Event::Signal(exit)) => {
                ending.get_or_insert(Ok(exit));
                deadline = deadline.or_else(until);
            }
            Some(Event::WorkerEnded) => workers -= 1,
            None => break,
        }
    }
    ending.unwrap_or(Ok(Exit::Complete))
}

/// Returns the next event, or `None` after the deadline.
fn next(events: &Receiver<Event>, deadline: Option<Instant>) -> Option<Event> {
    let Some(deadline) = deadline else { return events.recv().ok() };
    events.recv_timeout(deadline.saturating_duration_since(clock::now())).ok()
}

/// Refuses what means a stream elsewhere: dead letters go to a file.
fn regular(path: PathBuf) -> Result<PathBuf, String> {
    let is_stream = |name: &str| name == "-" || places::no_stream_word(name).is_err();
    match path.to_str().filter(|name| is_stream(name)) {
        Some(name) => Err(format!("expected a file; ./{name} is one of that name")),
        None => Ok(path),
    }
}
