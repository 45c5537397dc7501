//! Clocks, kernel counters, and medians.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::{Result, failure};

/// Size of a page of memory, on every machine on which the bench is run.
const PAGE_BYTES: u64 = 4096;

/// A GiB, for rates.
pub(crate) const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// The monotonic clock, the same in every process.
pub(crate) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

/// The time elapsed since `begin`.
pub(crate) fn since(begin: Duration) -> Duration {
    now().saturating_sub(begin)
}

/// The end of a timeout.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Duration);

impl Deadline {
    /// `time` from now.
    pub(crate) fn after(time: Duration) -> Self {
        Self(now() + time)
    }

    /// The time left until then.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_sub(now())
    }

    /// Whether it has passed.
    pub(crate) fn over(self) -> bool {
        self.left().is_zero()
    }
}

/// User and system time of all threads of a process so far, from its CPU clock, in nanoseconds.
pub(crate) fn cpu(pid: Pid) -> Result<Duration> {
    Ok(Duration::from(clock_getcpuclockid(pid)?.now()?))
}

/// Fields of `/proc/stat` that are CPU time spent: user, nice, system, then without idle and waiting
/// for I/O, hardware and software interrupts.
const BUSY_FIELDS: [usize; 5] = [0, 1, 2, 5, 6];

/// CPU time of everything on this machine so far, in ticks of 10 ms (`proc_stat(5)`).
pub(crate) fn machine_cpu() -> Result<Duration> {
    let text = read("/proc/stat");
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let busy: Option<u64> = BUSY_FIELDS.iter().map(|&field| ticks.get(field)).sum();
    Ok(Duration::from_millis(10 * busy.ok_or_else(|| failure("no CPU time of the machine"))?))
}

/// The resident set of a process, in bytes (`VmRSS`).
pub(crate) fn resident_bytes(pid: Pid) -> Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The peak resident set of a process, in bytes (`VmHWM`).
pub(crate) fn peak_bytes(pid: Pid) -> Result<u64> {
    status_bytes(pid, "VmHWM:")
}

/// The memory of all TCP sockets of this machine, in bytes: the bytes queued in them, with the
/// kernel's overhead.
pub(crate) fn socket_bytes() -> Result<u64> {
    let text = read("/proc/net/sockstat");
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"));
    let mut words = line.unwrap_or_default().split_whitespace().skip_while(|word| *word != "mem");
    let pages = words.nth(1).ok_or_else(|| failure("no memory of TCP sockets"))?;
    Ok(pages.parse::<u64>()? * PAGE_BYTES)
}

/// One of the sizes in `/proc/PID/status`, which are in KiB (`proc_pid_status(5)`).
fn status_bytes(pid: Pid, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or_else(|| failure(format!("no {name}")))?.parse::<u64>()? * 1024)
}

/// The median; the mean of the two middle values for an even number of them; 0 for none.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (count, middle) if count % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The least value that at least this part of all, in per cent, does not exceed; 0 for none.
pub(crate) fn percentile(values: &[f64], part: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let exceeding = sorted.len() * (100 - part) / 100;
    sorted.iter().rev().nth(exceeding).copied().unwrap_or(0.0)
}

/// Raises the descriptor limit to the hard limit, and returns it.
pub(crate) fn raise_descriptor_limit() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// The congestion control of this network namespace, which all sockets of the bench have.
pub(crate) fn congestion_control() -> String {
    read("/proc/sys/net/ipv4/tcp_congestion_control")
}

/// The contents of a file of the kernel.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
