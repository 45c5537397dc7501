//! Ctrl-C while a command runs: cuts the connection, which the relay reports to the other side, and
//! prints where partial data is kept. Neither blocks on an output that is not read, and a second
//! signal ends the process at once, whatever the first one is still doing.

use super::exit::{Exit, Failure};
use super::reporter::Reporter;
use crate::client::output::shown;
use crate::client::unfinished::{Partial, Unfinished};
use nix::sys::signal::{SigSet, Signal};
use std::fs;
use std::process;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// What this process is receiving into. Any thread that changes it on disk holds its lock.
pub(crate) static UNFINISHED: Unfinished = Unfinished::new();

/// Maximum time to write the last line to standard error. A pipe that is full and not read accepts
/// nothing, and its writer then holds the lock indefinitely.
const TELLING_MAX: Duration = Duration::from_secs(1);

/// The signals that end a command early.
const SIGNALS: [(Signal, Exit); 3] = [
    (Signal::SIGHUP, Exit::HungUp),
    (Signal::SIGINT, Exit::Interrupted),
    (Signal::SIGTERM, Exit::Terminated),
];

/// From now on, ends the process on `SIGHUP`, `SIGINT` and `SIGTERM` with a message and a specific
/// status. Call it before starting any other thread.
pub fn watch(reporter: &Reporter) {
    let reporter = reporter.clone();
    on_first(SIGNALS.map(|(signal, _)| signal), move |signal| end(signal, &reporter));
}

/// Runs an action on the first of these signals, in a separate thread; the second one has its
/// default effect. Call it before starting any other thread, since threads inherit the mask. A
/// signal that the parent process set to ignored (nohup(1), shells for background jobs) stays
/// ignored.
pub(crate) fn on_first<const N: usize>(
    signals: [Signal; N],
    act: impl FnOnce(Signal) + Send + 'static,
) {
    // A blocked signal is never discarded, even if it is ignored (sigwait would take it).
    let ignored = ignored();
    let heeded = signals.into_iter().filter(|signal| ignored >> (*signal as u32 - 1) & 1 == 0);
    let signals: SigSet = heeded.collect();
    if signals.iter().next().is_none() || signals.thread_block().is_err() {
        return;
    }
    let waiting = thread::Builder::new().name("signals".into()).spawn(move || {
        if let Ok(signal) = signals.wait() {
            let _ = signals.thread_unblock();
            act(signal);
        }
    });
    if waiting.is_err() {
        // Without the thread, the signals would never be handled.
        let _ = signals.thread_unblock();
    }
}

/// Returns the signals that this process ignores, bit 0 being signal 1 (`SigIgn`,
/// `proc_pid_status(5)`); querying the kernel for one (sigaction(2)) is not a safe call.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn end(signal: Signal, reporter: &Reporter) -> ! {
    // Held to the end: no file must be created after the cleanup, none renamed while it is reported
    // as partial, and the lost connection must not be reported as a failure.
    let unfinished = UNFINISHED.lock();
    let why = match unfinished.as_ref().and_then(Partial::clean_up) {
        Some(path) => format!("interrupted; partial data is in {}", shown(path)),
        None => "interrupted".into(),
    };
    let known = SIGNALS.iter().find(|(known, _)| *known == signal);
    let exit = known.map_or(Exit::Interrupted, |(_, exit)| *exit);
    report_interrupt(reporter, Failure { exit, why });
    process::exit(exit.status().into())
}

/// Reports the interrupt in a separate thread, which is abandoned if the line is not read.
fn report_interrupt(reporter: &Reporter, failure: Failure) {
    let reporter = reporter.clone();
    let (sender, done) = mpsc::channel();
    // If the thread cannot be started, its end of the channel is dropped, and the wait returns at
    // once.
    let _ = thread::Builder::new().name("last line".into()).spawn(move || {
        reporter.interrupted(&failure);
        let _ = sender.send(());
    });
    let _ = done.recv_timeout(TELLING_MAX);
}
