//! Figures of this process from the kernel. Read at a scrape with four calls, none of which blocks.

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike as _;
use std::fs;

/// The figures of one scrape; 0 if the kernel does not provide one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub open_descriptors: u64,
    pub max_descriptors: u64,
}

impl Process {
    /// Reads the figures from the kernel.
    pub fn read() -> Self {
        Self {
            cpu_seconds: cpu_seconds().unwrap_or_default(),
            resident_bytes: resident_bytes().unwrap_or_default(),
            open_descriptors: open_descriptors().unwrap_or_default(),
            max_descriptors: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
        }
    }
}

/// Returns user and system time in seconds, to the microsecond (getrusage(2)); `/proc/self/stat`
/// counts ticks.
fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let time = usage.user_time() + usage.system_time();
    #[allow(clippy::cast_precision_loss, reason = "exact for 285 years")]
    Some(time.num_microseconds() as f64 / 1e6)
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// Counts open descriptors. From Linux 6.2 on the directory's size is the number of its entries
/// (`proc_fd_getattr` in fs/proc/fd.c); before, it is 0, and they are counted: half a microsecond
/// each.
fn open_descriptors() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_figure_is_read_from_the_kernel() {
        let process = Process::read();
        assert!(process.cpu_seconds > 0.0, "{process:?}");
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        assert!(process.open_descriptors >= 3, "{process:?}");
        assert!(process.max_descriptors >= process.open_descriptors, "{process:?}");
    }
}
