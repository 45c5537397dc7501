//! Ctrl-C while a command runs: the connection is cut, which the relay tells the other side, and
//! what came so far is named.

use super::exit::Exit;
use nix::sys::signal::{SigSet, Signal};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The file that is being received.
static PARTIAL: Mutex<Option<PathBuf>> = Mutex::new(None);

/// From now on `SIGINT` and `SIGTERM` end the process with a sentence and status 130 or 143. To be
/// called before any other thread is begun, since they inherit the mask. A signal that whoever
/// started the process chose to ignore stays ignored.
pub fn watch() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    if signals.thread_block().is_err() {
        return;
    }
    let waiting = thread::Builder::new().name("interrupt".into()).spawn(move || {
        if let Ok(signal) = signals.wait() {
            end(signal);
        }
    });
    if waiting.is_err() {
        // Without the thread nobody would take the signals.
        let _ = signals.thread_unblock();
    }
}

/// Names the file that is being received.
pub fn receiving(partial: &Path) {
    *PARTIAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(partial.to_owned());
}

/// No file is being received any more. An interruption that came before has its way first.
pub fn received() {
    *PARTIAL.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

fn end(signal: Signal) -> ! {
    // Kept to the end: a file must not be named anew while it is called partial.
    let partial = PARTIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = partial.as_ref().filter(|path| keep(path));
    match kept {
        Some(path) => eprintln!("\nrdv: interrupted; what came so far is in {}", path.display()),
        None => eprintln!("\nrdv: interrupted"),
    }
    let beyond = Exit::Interrupted.status() - Signal::SIGINT as u8;
    process::exit(i32::from(beyond) + signal as i32)
}

/// Whether there is anything in it; if not it is removed.
fn keep(path: &Path) -> bool {
    let empty = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0);
    !(empty && std::fs::remove_file(path).is_ok())
}
