//! A server under load: `rdv serve`, or `rdv source` with a consumer of its records. Each is
//! started for one measurement and terminated after it; only then are its records counted and its
//! CPU time read, which includes the last record.

use std::env;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::Pid;

use crate::children::Worker;
use crate::measure::{Deadline, cpu};
use crate::peers::Build;
use crate::{Result, failure};

/// Connections of the client.
pub(crate) const CONNECTIONS: usize = 50;
/// Bytes of each body.
pub(crate) const BODY_BYTES: usize = 1024;

/// Timeout for a program to be ready, or to exit once it is idle.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Where the standard output of a source goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// To a pipe read by a sink.
    Pipe,
    /// To `/dev/null`.
    Null,
}

/// What a sink of records does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Counts the lines.
    Counts,
    /// Counts the lines and decodes each record.
    Verifies,
}

/// A running server.
pub(crate) struct Server {
    address: SocketAddr,
    process: Worker,
    sink: Option<Worker>,
    /// CPU time used until it was ready.
    cpu_begin: Duration,
}

/// `rdv destination`, with a counter of its acknowledgements.
pub(crate) struct Destination {
    process: Worker,
    acks: Worker,
}

/// When the client stops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After this number of responses.
    Requests(u64),
    /// After this time.
    Time(Duration),
}

/// The results of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushResult {
    /// Requests, all of them successful.
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// CPU seconds of the client itself.
    pub(crate) client_cpu: f64,
}

/// The results of a server after its exit.
pub(crate) struct Ended {
    /// CPU seconds since it was ready.
    pub(crate) cpu: f64,
    /// Records counted by its sink.
    pub(crate) lines: Option<u64>,
}

impl Server {
    /// Starts `rdv serve`.
    pub(crate) fn relay(build: &Build, flags: &[String]) -> Result<Self> {
        let mut command = build.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
        // Other output belongs above the table.
        command.env("RUST_LOG", "warn");
        let process = Worker::start("rdv serve", &mut command, "")?;
        Self::ready(process, "listening on http://", None)
    }

    /// Starts `rdv source`, and a sink if its output is a pipe.
    pub(crate) fn source(
        build: &Build,
        flags: &[String],
        (output, sink): (Output, Sink),
    ) -> Result<Self> {
        let mut command = build.command();
        command.args(["source", "--listen", "127.0.0.1:0"]).args(flags);
        // It logs its address.
        command.env("RUST_LOG", "info").stdin(Stdio::null()).stdout(match output {
            Output::Pipe => Stdio::piped(),
            Output::Null => Stdio::null(),
        });
        let (process, records) = Worker::start_writing("rdv source", &mut command)?;
        let sink = records.map(|records| sink.start(records)).transpose()?;
        Self::ready(process, "taking requests at http://", sink)
    }

    /// Starts `rdv source` connected to `rdv destination`, which sends its records to `server`.
    pub(crate) fn chain(build: &Build, server: &Self) -> Result<(Self, Destination)> {
        let mut command = build.command();
        command.args(["source", "--listen", "127.0.0.1:0"]).env("RUST_LOG", "info");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let (process, records) = Worker::start_writing("rdv source", &mut command)?;
        let records = records.ok_or_else(|| failure("rdv source: no records"))?;
        let mut command = build.command();
        let url = format!("http://{}/", server.address);
        command.args(["destination", "--parallel", "8", "--url", &url]);
        command.stdin(records).stdout(Stdio::piped());
        let (sender, acks) = Worker::start_writing("rdv destination", &mut command)?;
        let acks = acks.ok_or_else(|| failure("rdv destination: no acknowledgements"))?;
        let acks = Sink::Counts.start(acks)?;
        let source = Self::ready(process, "taking requests at http://", None)?;
        Ok((source, Destination { process: sender, acks }))
    }

    fn ready(process: Worker, mark: &str, sink: Option<Worker>) -> Result<Self> {
        let line = process.expect(mark, Deadline::after(TIMEOUT))?;
        let address = line.split_whitespace().next().unwrap_or_default();
        let address = address.trim_end_matches('/').parse()?;
        let cpu_begin = cpu(process.pid())?;
        Ok(Self { address, process, sink, cpu_begin })
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Runs a client that posts bodies, or requests `/ping`.
    pub(crate) fn push(&mut self, body: Option<usize>, until: Until) -> Result<PushResult> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["push", "--server", &self.address.to_string()]);
        command.args(["--connections", &CONNECTIONS.to_string()]);
        if let Some(bytes) = body {
            command.args(["--body", &bytes.to_string()]);
        }
        let time = match until {
            Until::Requests(count) => {
                command.args(["--requests", &count.to_string()]);
                // A rate below 1,000 per second is not worth measuring.
                Duration::from_millis(count)
            }
            Until::Time(time) => {
                command.args(["--millis", &time.as_millis().to_string()]);
                time
            }
        };
        let lines =
            Worker::start("push", &mut command, "")?.finish(Deadline::after(TIMEOUT + time));
        self.process.check_alive()?;
        parse_push_result(&lines?)
    }

    /// Terminates the server, which writes its remaining records, and then its sink.
    pub(crate) fn end(self) -> Result<Ended> {
        let deadline = Deadline::after(TIMEOUT);
        let cpu = self.process.terminate(deadline)?.saturating_sub(self.cpu_begin).as_secs_f64();
        let lines = self.sink.map(|sink| counted(sink, deadline)).transpose()?;
        Ok(Ended { cpu, lines })
    }
}

impl Destination {
    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Waits until all records of the terminated source are sent; returns the number of
    /// acknowledgements.
    pub(crate) fn end(self) -> Result<u64> {
        // At most about 10,000 records are still to be sent.
        let deadline = Deadline::after(TIMEOUT);
        self.process.finish(deadline)?;
        counted(self.acks, deadline)
    }
}

impl Sink {
    fn start(self, records: impl Into<Stdio>) -> Result<Worker> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("count");
        if self == Self::Verifies {
            command.args(["--verify", &BODY_BYTES.to_string()]);
        }
        Worker::start_reading("count", &mut command, records)
    }

    /// Counts the records in a file.
    pub(crate) fn count_file(self, path: &Path) -> Result<u64> {
        counted(self.start(File::open(path)?)?, Deadline::after(TIMEOUT))
    }
}

/// Returns an error unless there is one line for each 201 response.
pub(crate) fn check_lines(responses: u64, lines: u64) -> Result<()> {
    if responses == lines {
        return Ok(());
    }
    Err(failure(format!("{responses} responses with 201, but {lines} records")))
}

fn parse_push_result(lines: &[String]) -> Result<PushResult> {
    let line = lines.iter().find_map(|line| line.strip_prefix("pushed "));
    let words: Vec<&str> = line.unwrap_or_default().split(' ').collect();
    let &[requests, seconds, client_cpu] = words.as_slice() else {
        return Err(failure(format!("push printed {lines:?}")));
    };
    let (seconds, client_cpu) = (seconds.parse()?, client_cpu.parse()?);
    Ok(PushResult { requests: requests.parse()?, seconds, client_cpu })
}

fn counted(sink: Worker, deadline: Deadline) -> Result<u64> {
    let output = sink.finish(deadline)?;
    let line = output.iter().find_map(|line| line.strip_prefix("counted "));
    let lines = line.and_then(|line| line.split(' ').next());
    Ok(lines.ok_or_else(|| failure(format!("count printed {output:?}")))?.parse()?)
}
