//! Signals as events: what is under way ends, and nothing else is begun. A second signal ends the
//! process at once, as it would any other. Before the first record nothing is under way, and the first
//! signal ends the process with the same exit status.

use super::input::Bound;
use super::workers::{Event, Shared};
use crate::client::commands::Exit;
use crate::client::commands::interrupt::on_first;
use nix::sys::signal::Signal;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

/// What ends the command before its input does. To be asked to end is no failure of something that runs
/// for as long as nobody asks.
const SIGNALS: [(Signal, Exit); 3] = [
    (Signal::SIGTERM, Exit::Complete),
    (Signal::SIGINT, Exit::Interrupted),
    (Signal::SIGHUP, Exit::HungUp),
];

/// The time before the first record, in which a signal waits for nothing.
pub(super) struct Startup(Arc<Mutex<Phase>>);

/// What a signal finds.
enum Phase {
    /// No record was read yet. The file of a socket goes with the process.
    Starting(Option<Bound>),
    /// Workers may be at a record.
    Running,
}

impl Startup {
    /// Records are read from now on. Returns what the command then removes itself.
    pub(super) fn end(self) -> Option<Bound> {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *phase, Phase::Running) {
            Phase::Starting(bound) => bound,
            Phase::Running => None,
        }
    }
}

/// From now on the first of the signals is an event, or the end of the startup. To be called before any
/// other thread is begun; looking up the server's name begins one.
pub(super) fn watch(shared: &Arc<Shared>, bound: Option<Bound>) -> Startup {
    let shared = Arc::clone(shared);
    let startup = Arc::new(Mutex::new(Phase::Starting(bound)));
    let phase = Arc::clone(&startup);
    on_first(SIGNALS.map(|(signal, _)| signal), move |signal| {
        let known = SIGNALS.iter().find(|(known, _)| *known == signal);
        let exit = known.map_or(Exit::Interrupted, |(_, exit)| *exit);
        // Held to the end of the process, if it ends here: the startup must not go on meanwhile.
        let mut phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *phase {
            Phase::Starting(bound) => {
                drop(bound.take());
                process::exit(exit.status().into());
            }
            Phase::Running => {}
        }
        drop(phase);
        // Before anything stops: otherwise the input might end first, and with it the command as if
        // all had been read.
        let _ = shared.events.send(Event::Signal(exit));
        shared.stop();
    });
    Startup(startup)
}
