//! One measured transfer: a sink process, a source process, and a relay between them.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::children::Worker;
use crate::measure::{Deadline, GIB};
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

/// What is transferred.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) streams: usize,
    /// Payload bytes per stream.
    pub(crate) length: u64,
    pub(crate) framing: Framing,
    pub(crate) mode: SinkMode,
}

/// The result of a transfer.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    bytes: u64,
    cpu: Duration,
    /// From the first request to the first and to the last end of a stream.
    first_end: Duration,
    last_end: Duration,
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

    /// The time of the first stream to end, divided by the last one's.
    pub(crate) fn evenness(&self) -> f64 {
        self.first_end.as_secs_f64() / self.last_end.as_secs_f64()
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
        let ids = relay.streams(load.streams)?.join("\n");
        let before = relay.cpu()?;
        let sink = self.worker("sink", relay, load, &ids)?;
        sink.expect("ready", deadline)?;
        let source = self.worker("source", relay, load, &ids)?;
        let started = source.expect("start ", deadline)?.parse::<u64>()?;
        source.finish(deadline)?;
        let ends = ends(&sink.finish(deadline)?)?;
        let cpu = relay.cpu()?.saturating_sub(before);
        let (Some(&first), Some(&last)) = (ends.first(), ends.last()) else {
            return Err(failure("no stream ended"));
        };
        if ends.len() != load.streams {
            return Err(failure(format!("{} of {} streams ended", ends.len(), load.streams)));
        }
        Ok(Sample {
            bytes: load.length * load.streams as u64,
            cpu,
            first_end: Duration::from_nanos(first.saturating_sub(started)),
            last_end: Duration::from_nanos(last.saturating_sub(started)),
        })
    }

    /// Starts this program as one side of the transfer.
    fn worker(&self, role: &str, relay: &Relay, load: &Load, ids: &str) -> Result<Worker> {
        let mode = if self.options.smoke { SinkMode::Verify } else { load.mode };
        let mut command = Command::new(env::current_exe()?);
        command.args([role, "--relay", &relay.address.to_string()]);
        command.args(["--framing", &load.framing.to_string()]);
        command.args(["--length", &load.length.to_string(), "--mode", mode.name()]);
        if self.options.smoke {
            command.arg("--distinct");
        }
        if let (Some(address), "sink") = (relay.sink_address(), role) {
            command.args(["--listen", &address.to_string()]);
        }
        Worker::start(role, &mut command, ids)
    }

    /// The relay's system calls per GiB, counted by strace in a short transfer of the same kind;
    /// none if that is not possible. The tracer slows the relay down, which makes pieces larger.
    pub(crate) fn calls_per_gib(&self, relay: &mut Relay, load: &Load) -> Option<f64> {
        if self.options.smoke {
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
        let script = format!("exec {strace} -c -f -p {} -o {} 2>&1", relay.pid, output.display());
        let tracer = Worker::start("strace", Command::new("sh").args(["-c", &script]), "")?;
        tracer.expect("attached", deadline)?;
        let sample = self.transfer(relay, load);
        tracer.interrupt(deadline)?;
        sample?;
        total_calls(&fs::read_to_string(output)?)
    }
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
