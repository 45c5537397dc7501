//! Ctrl-C while a command runs: the connection is cut, which the relay tells the other side, and
//! what came so far is named. Neither waits for somebody who reads nothing of it, and a second signal
//! ends the process at once, whatever the first one is still about.

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

/// What this process is receiving into. Whoever changes it on disk holds its lock.
pub(crate) static UNFINISHED: Unfinished = Unfinished::new();

/// How long standard error may take for the last line. A full pipe that nobody reads takes none, and
/// whoever writes into it then holds the lock for ever.
const TELLING_MAX: Duration = Duration::from_secs(1);

/// What ends a command before its time.
const SIGNALS: [(Signal, Exit); 3] = [
    (Signal::SIGHUP, Exit::HungUp),
    (Signal::SIGINT, Exit::Interrupted),
    (Signal::SIGTERM, Exit::Terminated),
];

/// From now on `SIGHUP`, `SIGINT` and `SIGTERM` end the process with a sentence and a status of
/// their own. To be called before any other thread is begun.
pub fn watch(teller: &Reporter) {
    let teller = teller.clone();
    on_first(SIGNALS.map(|(signal, _)| signal), move |signal| end(signal, &teller));
}

/// Does something when the first of these signals comes, on a thread of its own; the second one has
/// its usual effect. To be called before any other thread is begun, since they inherit the mask. A
/// signal that whoever started the process chose to ignore (nohup(1), shells for background jobs)
/// stays ignored.
pub(crate) fn on_first<const N: usize>(
    signals: [Signal; N],
    act: impl FnOnce(Signal) + Send + 'static,
) {
    // A blocked signal is never discarded, not even one that is ignored (sigwait would take it).
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
        // Without the thread nobody would take the signals.
        let _ = signals.thread_unblock();
    }
}

/// The signals that this process ignores, bit 0 being signal 1 (`SigIgn`, `proc_pid_status(5)`);
/// asking the kernel for one (sigaction(2)) is no safe call.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn end(signal: Signal, teller: &Reporter) -> ! {
    // Kept to the end: nothing may be created behind what is removed, no file renamed while it is
    // called partial, nor may the lost connection be reported as a failure.
    let unfinished = UNFINISHED.lock();
    let why = match unfinished.as_ref().and_then(Partial::clean_up) {
        Some(path) => format!("interrupted; partial data is in {}", shown(path)),
        None => "interrupted".into(),
    };
    let known = SIGNALS.iter().find(|(known, _)| *known == signal);
    let exit = known.map_or(Exit::Interrupted, |(_, exit)| *exit);
    report_interrupt(teller, Failure { exit, why });
    process::exit(exit.status().into())
}

/// Tells it in a thread of its own, which is left behind if nobody takes the line.
fn report_interrupt(teller: &Reporter, failure: Failure) {
    let teller = teller.clone();
    let (told, telling) = mpsc::channel();
    // If there is no such thread, its end of the channel is gone, and nothing is waited for.
    let _ = thread::Builder::new().name("last line".into()).spawn(move || {
        teller.interrupted(&failure);
        let _ = told.send(());
    });
    let _ = telling.recv_timeout(TELLING_MAX);
}
