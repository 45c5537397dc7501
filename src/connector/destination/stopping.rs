//! Signals as events: what is under way ends, and nothing else is begun. A second signal ends the
//! process at once, as it would any other.

use super::crew::{Event, Shared};
use crate::client::commands::Exit;
use crate::client::commands::interrupt::ignored;
use nix::sys::signal::{SigSet, Signal};
use std::sync::Arc;
use std::thread;

/// What ends the command before its input does. To be asked to end is no failure of something that runs
/// for as long as nobody asks.
const SIGNALS: [(Signal, Exit); 3] = [
    (Signal::SIGTERM, Exit::Complete),
    (Signal::SIGINT, Exit::Interrupted),
    (Signal::SIGHUP, Exit::HungUp),
];

/// From now on the first of the signals is an event. To be called before any other thread is begun,
/// since they inherit the mask. One that is ignored (nohup(1)) stays ignored.
pub(super) fn watch(shared: &Arc<Shared>) {
    let mut signals = SigSet::empty();
    let ignored = ignored();
    for (signal, _) in SIGNALS {
        if ignored >> (signal as u32 - 1) & 1 == 0 {
            signals.add(signal);
        }
    }
    if signals.iter().next().is_none() || signals.thread_block().is_err() {
        return;
    }
    let shared = Arc::clone(shared);
    let waiting = thread::Builder::new().name("signals".into()).spawn(move || {
        let Ok(signal) = signals.wait() else { return };
        // The next one is not waited for, so it has its usual effect.
        let _ = signals.thread_unblock();
        let exit = SIGNALS.iter().find(|(known, _)| *known == signal).map(|(_, exit)| *exit);
        shared.stop();
        let _ = shared.events.send(Event::Signal(exit.unwrap_or(Exit::Interrupted)));
    });
    if waiting.is_err() {
        // Without the thread nobody would take the signals.
        let _ = signals.thread_unblock();
    }
}
