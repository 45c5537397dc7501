//! What all scenes share: the relay's files and timeouts, and what became of it.

use std::fs;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::table::MayEnd;
use crate::support::{Process, Relay, Wire, ask};

/// How long faults last at most, in looks, and the time between two looks; the relay's own timeouts
/// are shorter.
pub(super) const FAULTS_LAST: u32 = 150;
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// An injected `EAGAIN` from a ready socket is not followed by an event: then the relay's timeouts
/// have to end everything, so they are short.
const TIMEOUTS: [(&str, &str); 8] = [
    ("--ttl", "4s"),
    ("--idle-timeout", "800ms"),
    ("--keep-alive-timeout", "800ms"),
    ("--header-timeout", "800ms"),
    ("--linger-timeout", "300ms"),
    ("--drain-timeout", "500ms"),
    ("--handover-timeout", "2s"),
    ("--handover-drain-timeout", "500ms"),
];

/// What became of the relay and its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The same as without a fault.
    Unharmed,
    /// It does not start, and reports why.
    NoStart,
    /// Transfers fail, and both sides see it.
    TransferFails,
    /// The old process continues, and reports why.
    NoHandOver,
    /// The hand-over is not logged.
    NotLogged,
    /// It ends, and reports why.
    Ends,
    /// The allocator or the C library ends it.
    Aborts,
    /// A thread waits for a wake-up that strace suppressed.
    NotWoken,
    /// Unharmed until strace detached.
    Detached,
    /// A check of the standard library before each close(2) ends it; release builds have none.
    DebugAborts,
}

/// An outcome, and the log of strace.
pub(crate) struct Scene {
    pub(crate) outcome: Outcome,
    pub(crate) log: String,
}

/// The files of one relay.
pub(super) struct Place {
    pub(super) directory: TempDir,
}

impl Place {
    pub(super) fn new() -> Place {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("rdv.toml"), "max-rate = 0\n").expect("a file");
        Place { directory }
    }

    pub(super) fn flags(&self) -> Vec<String> {
        let path = |name| self.directory.path().join(name).to_string_lossy().into_owned();
        let timeouts = TIMEOUTS.iter().flat_map(|&(flag, time)| [flag.to_owned(), time.to_owned()]);
        let mut flags: Vec<String> = timeouts.collect();
        flags.extend(["--config".to_owned(), path("rdv.toml")]);
        flags.extend(["--access-log".to_owned(), path("access.log")]);
        flags.extend(["--socket-listen", "127.0.0.1:0"].map(str::to_owned));
        flags
    }

    pub(super) fn relay(&self) -> Relay {
        let flags = self.flags();
        Relay::start(&flags.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// Whether a relay answers at this address.
pub(super) fn serves(address: SocketAddr) -> bool {
    Wire::try_connect(address).is_some_and(|mut wire| {
        let _ = wire.try_send(ask("GET", "/ping").bytes());
        wire.try_response().is_ok_and(|answer| answer.status() == 200)
    })
}

/// Checks a relay that a fault may still end, whatever it answered before; `None`: it ended.
pub(super) fn unless_ended<T>(relay: &mut Relay, check: impl FnOnce(&Relay) -> T) -> Option<T> {
    let failed = match catch_unwind(AssertUnwindSafe(|| check(relay))) {
        Ok(result) => return Some(result),
        Err(failed) => failed,
    };
    // A process refuses connections some time before it has ended.
    for _ in 0..FAULTS_LAST {
        if relay.ended() {
            return None;
        }
        thread::sleep(LOOK);
    }
    resume_unwind(failed)
}

/// The outcome of a relay that ended by itself; panics unless it may.
pub(super) fn ended(process: Process, may_end: MayEnd) -> Outcome {
    let end = process.finish();
    let printed = format!("{}: {}", end.status, end.stderr);
    if is_debug_abort(&end.stderr) {
        return Outcome::DebugAborts;
    }
    if may_end == MayEnd::Aborted && end.status.code() != Some(1) {
        return Outcome::Aborts;
    }
    assert!(!end.stderr.contains("panicked"), "{printed}");
    assert_ne!(may_end, MayEnd::Never, "{printed}");
    // 2: a configuration that cannot be read.
    assert!(matches!(end.status.code(), Some(1 | 2)), "{printed}");
    let last = end.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("rdv: ") && !last.contains("os error"), "{printed}");
    // A strace that detaches within a suppressed call leaves this error, which is not in the table.
    let artefact = last.ends_with("cannot wait for events: function not implemented");
    if artefact { Outcome::Detached } else { Outcome::Ends }
}

pub(super) fn is_debug_abort(printed: &str) -> bool {
    printed.contains("IO Safety violation")
}
