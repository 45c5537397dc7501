//! Ctrl-C while a command runs: the connection is cut, which the relay tells the other side, and
//! what came so far is named. Neither waits for somebody who reads nothing of it, and a second signal
//! ends the process at once, whatever the first one is still about.

use super::exit::{Exit, Failure};
use super::telling::Teller;
use crate::client::output::shown;
use nix::sys::signal::{SigSet, Signal};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// What is being received.
static UNFINISHED: Mutex<Option<Unfinished>> = Mutex::new(None);

/// What there is of something that is being received.
#[derive(Debug)]
enum Unfinished {
    /// A file, which is kept if there is anything in it.
    File(PathBuf),
    /// A directory of what was extracted, which is of no use.
    Directory(PathBuf),
}

/// While it is removed, the extracting goes on: as often it is tried again.
const REMOVE_MAX: u32 = 100;

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
pub fn watch(teller: &Teller) {
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

/// Names the file that is being received.
pub fn receiving(partial: &Path) {
    note(Some(Unfinished::File(partial.to_owned())));
}

/// Names the directory that is being extracted into.
pub fn extracting(partial: &Path) {
    note(Some(Unfinished::Directory(partial.to_owned())));
}

/// Nothing is being received any more. An interruption that came before has its way first.
pub fn received() {
    note(None);
}

fn note(unfinished: Option<Unfinished>) {
    *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) = unfinished;
}

fn end(signal: Signal, teller: &Teller) -> ! {
    // Kept to the end: a file must not be named anew while it is called partial, nor may the lost
    // connection be told as a failure.
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let why = match unfinished.as_ref().and_then(left) {
        Some(path) => format!("interrupted; what came so far is in {}", shown(path)),
        None => "interrupted".into(),
    };
    let known = SIGNALS.iter().find(|(known, _)| *known == signal);
    let exit = known.map_or(Exit::Interrupted, |(_, exit)| *exit);
    tell(teller, Failure { exit, why });
    process::exit(exit.status().into())
}

/// Tells it in a thread of its own, which is left behind if nobody takes the line.
fn tell(teller: &Teller, failure: Failure) {
    let teller = teller.clone();
    let (told, telling) = mpsc::channel();
    // If there is no such thread, its end of the channel is gone, and nothing is waited for.
    let _ = thread::Builder::new().name("last line".into()).spawn(move || {
        teller.interrupted(&failure);
        let _ = told.send(());
    });
    let _ = telling.recv_timeout(TELLING_MAX);
}

/// Where something is left. What is of no use is removed.
fn left(unfinished: &Unfinished) -> Option<&Path> {
    let (path, useless) = match unfinished {
        Unfinished::File(path) => (path, is_empty(path) && fs::remove_file(path).is_ok()),
        Unfinished::Directory(path) => (path, (0..REMOVE_MAX).any(|_| is_removed(path))),
    };
    (!useless).then_some(path)
}

fn is_empty(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0)
}

fn is_removed(directory: &Path) -> bool {
    match fs::remove_dir_all(directory) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}
