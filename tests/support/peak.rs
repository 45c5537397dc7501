//! Peak memory of a process.

use std::fs;

use super::clock::eventually;
use super::process::{Finished, Process};

/// Waits until the process exits, and reads its peak meanwhile, in KiB (`VmHWM`,
/// `proc_pid_status(5)`): it never decreases, so the last reading is correct except for the last
/// moments.
pub(crate) fn peak_of(mut process: Process) -> (Finished, u64) {
    let path = format!("/proc/{}/status", process.id());
    let mut peak_kib = 0;
    eventually("the process ends", || {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak_kib = found.unwrap_or(peak_kib);
        process.ended().then_some(())
    });
    (process.finish(), peak_kib)
}
