//! One measured transfer: a sink process, a source process, and a relay between them.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::children::{Worker, retry};
use crate::measure::{self, Deadline, GIB};
use crate::options::SinkMode;
use crate::peers::{Bench, Relay, installed};
use crate::table::note;
use crate::wire::Framing;
use crate::{Result, failure};

/// Timeout of a transfer; its processes are then killed.
const TIMEOUT: Duration = Duration::from_mins(3);
/// The same in a smoke run.
const SMOKE_TIMEOUT: Duration = Duration::from_secs(20);
/// Payload of the short transfer traced with strace.
const TRACED_BYTES: u64 = 512 << 20;
/// Payload of a stalled stream: more than the sockets of the sink and towards it hold (0.5 MiB), but
/// not so much that 900 reach the limit of all sockets (`net.ipv4.tcp_mem`).
const STALLED_BYTES: u64 = 1 << 20;
/// A relay that used 5 % of this time or less is at rest.
const REST: Duration = Duration::from_millis(200);
/// A MiB, for sizes.
const MIB: f64 = 1024.0 * 1024.0;

/// What is transferred.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) streams: usize,
    /// Payload bytes per stream.
    pub(crate) length: u64,
    pub(crate) framing: Framing,
    pub(crate) mode: SinkMode,
    /// More streams through the same relay, whose sinks read nothing meanwhile.
    pub(crate) stalled: usize,
}

impl Load {
    /// Streams with `Content-Length`.
    pub(crate) fn new(streams: usize, length: u64, mode: SinkMode) -> Self {
        Self { streams, length, framing: Framing::Length, mode, stalled: 0 }
    }
}

/// The result of a transfer.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    bytes: u64,
    cpu: Duration,
    /// CPU time of the machine.
    machine_cpu: Duration,
    /// The time of the first request.
    begin: Duration,
    /// From the first request to the first and to the last end of a stream.
    first_end: Duration,
    last_end: Duration,
    /// Resident memory of the relay at the end, with the streams that are stalled.
    relay_bytes: u64,
    /// Growth of the memory of all sockets, which is that of the stalled streams.
    socket_bytes: u64,
}

/// Running streams whose sinks read nothing.
struct Stalled {
    sink: Worker,
    source: Worker,
    count: usize,
}

impl Sample {
    /// Payload rate in GiB per second.
    pub(crate) fn gib_per_second(&self) -> f64 {
        self.bytes as f64 / GIB / self.last_end.as_secs_f64()
    }

    /// The relay's CPU seconds per GiB of payload.
    pub(crate) fn cpu_per_gib(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.bytes as f64 / GIB)
    }

    /// CPU seconds of the machine per GiB of payload: of the relay, the sources, the sinks, and of
    /// kernel threads.
    pub(crate) fn machine_cpu_per_gib(&self) -> f64 {
        self.machine_cpu.as_secs_f64() / (self.bytes as f64 / GIB)
    }

    /// The time of the first stream to end, divided by the last one's.
    pub(crate) fn evenness(&self) -> f64 {
        self.first_end.as_secs_f64() / self.last_end.as_secs_f64()
    }

    /// Resident memory of the relay at the end, in MiB.
    pub(crate) fn relay_mib(&self) -> f64 {
        self.relay_bytes as f64 / MIB
    }

    /// Memory of the sockets of stalled streams, in MiB.
    pub(crate) fn sockets_mib(&self) -> f64 {
        self.socket_bytes as f64 / MIB
    }

    /// Whether every stream was running at this time.
    pub(crate) fn is_during(&self, time: Duration) -> bool {
        time >= self.begin && time <= self.begin + self.first_end
    }
}

impl Bench {
    /// Transfers `load` once through `relay`. A smoke run checks each byte.
    pub(crate) fn transfer(&self, relay: &mut Relay, load: &Load) -> Result<Sample> {
        let sample = self.attempt(relay, load);
        relay.check_alive()?;
        sample.map_err(|error| failure(format!("{}: {error}", relay.name)))
    }

    fn attempt(&self, relay: &Relay, load: &Load) -> Result<Sample> {
        let deadline = Deadline::after(self.size(TIMEOUT, SMOKE_TIMEOUT));
        let socket_bytes = measure::socket_bytes()?;
        let stalled = self.stall(relay, load, deadline)?;
        let ids = relay.streams(load.streams)?.join("\n");
        let (before, machine_before) = (relay.cpu()?, measure::machine_cpu()?);
        let sink = Worker::start("sink", &mut self.side("sink", relay, load)?, &ids)?;
        sink.expect("ready", deadline)?;
        let source = Worker::start("source", &mut self.side("source", relay, load)?, &ids)?;
        let started = source.expect("start ", deadline)?.parse::<u64>()?;
        source.finish(deadline)?;
        let ends = ends(&sink.finish(deadline)?)?;
        let cpu = relay.cpu()?.saturating_sub(before);
        let machine_cpu = measure::machine_cpu()?.saturating_sub(machine_before);
        let relay_bytes = measure::resident_bytes(relay.pid)?;
        let socket_bytes = measure::socket_bytes()?.saturating_sub(socket_bytes);
        stalled.map_or(Ok(()), |stalled| stalled.release(deadline))?;
        let (Some(&first), Some(&last)) = (ends.first(), ends.last()) else {
            return Err(failure("no stream ended"));
        };
        if ends.len() != load.streams {
            return Err(failure(format!("{} of {} streams ended", ends.len(), load.streams)));
        }
        Ok(Sample {
            bytes: load.length * load.streams as u64,
            cpu,
            machine_cpu,
            begin: Duration::from_nanos(started),
            first_end: Duration::from_nanos(first.saturating_sub(started)),
            last_end: Duration::from_nanos(last.saturating_sub(started)),
            relay_bytes,
            socket_bytes,
        })
    }

    /// Starts the stalled streams of `load`, and waits until no more bytes fit into their sockets.
    fn stall(&self, relay: &Relay, load: &Load, deadline: Deadline) -> Result<Option<Stalled>> {
        if load.stalled == 0 {
            return Ok(None);
        }
        let load = Load { streams: load.stalled, length: STALLED_BYTES, stalled: 0, ..*load };
        let ids = relay.streams(load.streams)?.join("\n");
        let [mut sink, mut source] =
            [self.side("sink", relay, &load)?, self.side("source", relay, &load)?];
        // An empty line ends the ids, and the end of the input the stall.
        let input = format!("{ids}\n\n");
        let sink = Worker::start_held("sink", sink.arg("--stalled"), &input)?;
        sink.expect("ready", deadline)?;
        let mut source = Worker::start("source", source.arg("--stalled"), &ids)?;
        source.expect("start ", deadline)?;
        retry(deadline, || is_at_rest(relay))?;
        source.check_alive()?;
        Ok(Some(Stalled { sink, source, count: load.streams }))
    }

    /// A command that starts this program as one side of the transfer.
    fn side(&self, role: &str, relay: &Relay, load: &Load) -> Result<Command> {
        let mode = if self.options.smoke { SinkMode::Verify } else { load.mode };
        let program = env::current_exe()?;
        let mut command = match &self.link {
            Some(link) => link.far_command(&program),
            None => Command::new(program),
        };
        command.args([role, "--relay", &relay.client_address().to_string()]);
        if let Some(certificate) = relay.certificate() {
            command.arg("--tls").arg(certificate);
        }
        command.args(["--framing", &load.framing.to_string()]);
        command.args(["--length", &load.length.to_string(), "--mode", mode.name()]);
        if self.options.smoke {
            command.arg("--distinct");
        }
        if let (Some(address), "sink") = (relay.sink_address(), role) {
            command.args(["--listen", &address.to_string()]);
        }
        Ok(command)
    }

    /// The relay's system calls per GiB, counted by strace in a short transfer of the same kind;
    /// none if that is not possible. The tracer slows the relay down, which makes pieces larger.
    pub(crate) fn calls_per_gib(&self, relay: &mut Relay, load: &Load) -> Option<f64> {
        // With stalled streams, the calls that stall them would be counted too.
        if self.options.smoke || load.stalled > 0 {
            return None;
        }
        let program = installed("strace")?;
        let length = (TRACED_BYTES / load.streams as u64).min(load.length);
        let short = Load { length, ..*load };
        let calls = self.traced_calls(&program.display().to_string(), relay, &short);
        match calls {
            Ok(calls) => Some(calls / ((length * load.streams as u64) as f64 / GIB)),
            Err(error) => {
                note(&format!("no system calls counted for {}: {error}", relay.name));
                None
            }
        }
    }

    fn traced_calls(&self, strace: &str, relay: &mut Relay, load: &Load) -> Result<f64> {
        let deadline = Deadline::after(TIMEOUT);
        let output = self.scratch("strace.txt");
        let pids: Vec<String> = relay.pids().map(|pid| format!("-p {pid}")).collect();
        let pids = pids.join(" ");
        let script = format!("exec {strace} -c -f {pids} -o {} 2>&1", output.display());
        let tracer = Worker::start("strace", Command::new("sh").args(["-c", &script]), "")?;
        tracer.expect("attached", deadline)?;
        let sample = self.transfer(relay, load);
        tracer.interrupt(deadline)?;
        sample?;
        total_calls(&fs::read_to_string(output)?)
    }
}

impl Stalled {
    /// Makes the sinks read, and waits until every stream is complete.
    fn release(mut self, deadline: Deadline) -> Result<()> {
        self.sink.release();
        self.source.finish(deadline)?;
        match ends(&self.sink.finish(deadline)?)?.len() {
            ended if ended == self.count => Ok(()),
            ended => Err(failure(format!("{ended} of {} stalled streams ended", self.count))),
        }
    }
}

/// Returns an error if the relay is busy.
fn is_at_rest(relay: &Relay) -> Result<()> {
    let before = relay.cpu()?;
    thread::sleep(REST);
    if relay.cpu()?.saturating_sub(before) < REST / 20 {
        return Ok(());
    }
    Err(failure("the relay is busy, although no sink reads"))
}

/// The times in `end <index> <time>` lines, sorted.
fn ends(lines: &[String]) -> Result<Vec<u64>> {
    let times = lines.iter().filter_map(|line| line.strip_prefix("end ")?.split(' ').nth(1));
    let mut ends = times.map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    ends.sort_unstable();
    Ok(ends)
}

/// The number of calls in the last line of a `strace -c` summary: per cent, seconds, microseconds
/// per call, calls, errors if any, `total`.
fn total_calls(summary: &str) -> Result<f64> {
    let line = summary.lines().find(|line| line.trim_end().ends_with(" total"));
    let calls = line.and_then(|line| line.split_whitespace().nth(3));
    Ok(calls.ok_or_else(|| failure("strace printed no total"))?.parse()?)
}
