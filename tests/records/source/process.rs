//! A source as a process: its address, its records, and its log.

use std::fmt::Write as _;
use std::fs;
use std::io::{PipeReader, PipeWriter};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use rdv::connector::record::{Data, Record};
use serde_json::Value;

use crate::support::{Ask, Finished, Process, Response, Scrape, Wire, ask, eventually};

/// Variables that would configure another source.
const LEADING: [&str; 3] = ["RDV_SOURCE_TOKEN", "RDV_SOURCE_SIGNATURE_SECRET", "RUST_LOG"];

/// A listening source.
pub(crate) struct SourceProcess {
    process: Process,
    address: SocketAddr,
}

/// `rdv source` on a port chosen by the kernel, with these flags.
pub(crate) fn source_command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    for name in LEADING {
        command.env_remove(name);
    }
    command.args(["source", "--port", "0"]).args(flags);
    command
}

impl SourceProcess {
    /// A source whose records are read at once, without acknowledgements.
    pub(crate) fn start(flags: &[&str]) -> SourceProcess {
        SourceProcess::of(Process::start(source_command(flags)))
    }

    /// A source whose records the test reads, or leaves unread.
    pub(crate) fn piped(flags: &[&str]) -> (SourceProcess, PipeReader) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        (
            SourceProcess::of(Process::between(
                source_command(flags),
                Stdio::null(),
                writer.into(),
            )),
            reader,
        )
    }

    /// A source that reads acknowledgements from its standard input.
    pub(crate) fn with_ack_input(flags: &[&str]) -> (SourceProcess, PipeWriter) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let command = source_command(&[&["--ack"], flags].concat());
        (SourceProcess::of(Process::reading(command, reader.into())), writer)
    }

    /// From a started process.
    pub(crate) fn of(mut process: Process) -> SourceProcess {
        let address = eventually("the source listens", || {
            let ended = process.ended();
            let printed = process.stderr();
            let address = printed.split_once("taking requests at http://");
            let address = address.and_then(|(_, rest)| rest.split_once("/\n")?.0.parse().ok());
            assert!(!ended || address.is_some(), "it ended: {printed}");
            address
        });
        SourceProcess { process, address }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// One request on a new connection, and its response.
    pub(crate) fn exchange(&self, ask: &Ask) -> Response {
        self.connect().exchange(ask)
    }

    /// Posts this body on a new connection.
    pub(crate) fn post(&self, body: impl AsRef<[u8]>) -> Response {
        self.exchange(&post(body))
    }

    /// Posts this body, without waiting for the response.
    pub(crate) fn start_post(&self, body: impl AsRef<[u8]>) -> Wire {
        let mut wire = self.connect();
        wire.ask(&post(body));
        wire
    }

    /// The lines on standard output, once there is this number of them.
    pub(crate) fn lines(&self, count: usize) -> Vec<String> {
        let lines = eventually(&format!("{count} records"), || {
            let text = self.process.stdout();
            let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
            let lines: Vec<_> = complete.lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        });
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    /// The records on standard output, once there is this number of them.
    pub(crate) fn records(&self, count: usize) -> Vec<Record> {
        self.lines(count).iter().map(|line| record(line)).collect()
    }

    /// Waits until this is on standard error.
    pub(crate) fn await_stderr(&self, words: &str) {
        eventually(words, || self.process.stderr().contains(words).then_some(()));
    }

    /// Waits until this number of requests were received, with bodies that arrive together with
    /// their heads, and wait for their responses; for a source with [`ADMIN`](crate::support::ADMIN).
    pub(crate) fn await_waiting(&self, count: u32) {
        let series = r#"rdv_connections{phase="pushing"}"#;
        eventually(&format!("{count} requests wait"), || {
            self.scrape().is(series, f64::from(count)).then_some(())
        });
    }

    /// An operator's request.
    pub(crate) fn operate(&self, ask: &Ask) -> Response {
        let place = eventually("operators are served", || {
            let printed = self.process.stderr();
            let (_, rest) = printed.split_once("operators are served on ")?;
            rest.split_once('\n')?.0.parse().ok()
        });
        Wire::connect(place).exchange(ask)
    }

    pub(crate) fn scrape(&self) -> Scrape {
        let answer = self.operate(&ask("GET", "/metrics"));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        Scrape(answer.text().to_owned())
    }

    /// The bytes on this line of `/proc/PID/status`.
    pub(crate) fn memory_bytes(&self, line: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let text = text.expect("its memory");
        let value = text.lines().find_map(|found| found.strip_prefix(line)).expect("the line");
        let kib = value.trim_start_matches(':').trim().trim_end_matches(" kB");
        kib.parse::<u64>().expect("a number") * 1024
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until it exits.
    pub(crate) fn finish(self) -> Finished {
        self.process.finish()
    }

    /// Terminates it, and checks that it exited with success, without a panic.
    pub(crate) fn end(self) -> Finished {
        self.signal(Signal::SIGTERM);
        let finished = self.finish();
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        finished
    }
}

/// A request with this body.
pub(crate) fn post(body: impl AsRef<[u8]>) -> Ask {
    ask("POST", "/").body(body)
}

/// The record in a line.
pub(crate) fn record(line: &str) -> Record {
    Record::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The body of a record.
pub(crate) fn body(record: &Record) -> Vec<u8> {
    match &record.payload.after {
        Some(Data::Raw(bytes)) => bytes.clone(),
        Some(Data::Structured(json)) => panic!("structured: {json:?}"),
        None => Vec::new(),
    }
}

/// The body of a record, as text.
pub(crate) fn text(line: &str) -> String {
    String::from_utf8(body(&record(line))).expect("text")
}

/// The position in a successful response.
pub(crate) fn position(answer: &Response) -> String {
    assert_eq!(answer.status(), 201, "{}", answer.text());
    let body: Value = answer.json();
    body["position"].as_str().expect("a position").to_owned()
}

/// Checks that a response is 503 with this message and a `Retry-After`.
pub(crate) fn assert_busy(what: &str, answer: &Response, words: &str) {
    crate::support::assert_error(what, answer, (503, "TooBusyError", None));
    assert!(answer.text().contains(words), "{what}: {}", answer.text());
}

/// In hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to memory does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
