//! Memory, descriptors and pipes of the relay after the load, compared with those of one that has
//! just started: after a hand-over the process that ends the run is not the one that began it.

use std::thread;
use std::time::Duration;

use nix::unistd::Pid;

use crate::support::{Descriptors, is_alive, now, resident_bytes_of};

/// Time for the relay to release everything: its retention and timeouts take at most 20 s.
const SETTLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Pause between two readings.
const PAUSE: Duration = Duration::from_millis(200);
/// Memory that an idle relay may keep: pooled buffers, tables at their largest size, and what the
/// allocator does not return; 3 to 4 MiB were measured. A leak of 64 bytes a stream exceeds it within
/// 260,000 streams.
const KEPT_BYTES_MAX: u64 = 16 << 20;
/// Ends of pipes that may stay open for reuse: two for each of 64 large and 64 small pipes.
const PIPE_ENDS_MAX: usize = 2 * (64 + 64);

/// What one process uses.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    resident_bytes: u64,
    descriptors: Descriptors,
}

impl Usage {
    pub(crate) fn of(process: Pid) -> Usage {
        let id = process.as_raw().unsigned_abs();
        Usage { resident_bytes: resident_bytes_of(id), descriptors: Descriptors::of(id) }
    }

    /// Whether an idle relay may use as much.
    fn is_idle(self, fresh: Usage) -> bool {
        self.resident_bytes <= fresh.resident_bytes + KEPT_BYTES_MAX
            && self.descriptors.others <= fresh.descriptors.others
            && self.descriptors.pipe_ends <= fresh.descriptors.pipe_ends + PIPE_ENDS_MAX
    }
}

/// Waits until the last process is idle and the earlier ones have ended, prints what the last one
/// uses, and returns the number of problems.
pub(crate) fn compare(fresh: Usage, last: Pid, earlier: &[Pid]) -> u64 {
    let deadline = now() + SETTLE_TIMEOUT;
    let settled = loop {
        let ended = earlier.iter().all(|process| !is_alive(*process));
        let idle = ended && Usage::of(last).is_idle(fresh);
        if idle || now() > deadline {
            break idle;
        }
        thread::sleep(PAUSE);
    };
    let usage = Usage::of(last);
    let kib = |bytes: u64| bytes >> 10;
    println!(
        "memory: {} KiB, of a fresh relay {} KiB (limit: {} KiB more)",
        kib(usage.resident_bytes),
        kib(fresh.resident_bytes),
        kib(KEPT_BYTES_MAX)
    );
    println!(
        "descriptors: {}, of a fresh relay {}",
        usage.descriptors.others, fresh.descriptors.others
    );
    println!(
        "ends of pipes: {}, of a fresh relay {} (limit: {PIPE_ENDS_MAX} more)",
        usage.descriptors.pipe_ends, fresh.descriptors.pipe_ends
    );
    let alive: Vec<_> = earlier.iter().filter(|process| is_alive(**process)).collect();
    println!("earlier processes that have not ended: {alive:?}");
    u64::from(!settled)
}
