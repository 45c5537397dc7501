//! Signals as events: attempts in progress finish, and no new ones start. A second signal ends the
//! process at once, as usual. Before the first record nothing is in progress, and the first signal
//! ends the process with the same exit status.

use super::input::Bound;
use super::workers::{Event, Shared};
use crate::client::commands::Exit;
use crate::client::commands::interrupt::on_first;
use nix::sys::signal::Signal;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

/// The signals that end the command before its input does. SIGTERM is a success, because the
/// command otherwise runs until it is stopped.
const SIGNALS: [(Signal, Exit); 3] = [
    (Signal::SIGTERM, Exit::Complete),
    (Signal::SIGINT, Exit::Interrupted),
    (Signal::SIGHUP, Exit::HungUp),
];

/// The startup, before the first record: a signal ends the process at once.
pub(super) struct Startup(Arc<Mutex<Phase>>);

/// The phase in which a signal arrives.
enum Phase {
    /// No record was read yet. The socket file is removed with the process.
    Starting(Option<Bound>),
    /// Workers may be sending a record.
    Running,
}

impl Startup {
    /// Ends the startup before records are read. Returns the socket file, which the command then
    /// removes itself.
    pub(super) fn end(self) -> Option<Bound> {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *phase, Phase::Running) {
            Phase::Starting(bound) => bound,
            Phase::Running => None,
        }
    }
}

/// Watches the signals: the first becomes an event, or ends the startup. Must be called before any
/// other thread is started; resolving the server's name starts one.
pub(super) fn watch(shared: &Arc<Shared>, bound: Option<Bound>) -> Startup {
    let shared = Arc::clone(shared);
    let startup = Arc::new(Mutex::new(Phase::Starting(bound)));
    let phase = Arc::clone(&startup);
    on_first(SIGNALS.map(|(signal, _)| signal), move |signal| {
        let known = SIGNALS.iter().find(|(known, _)| *known == signal);
        let exit = known.map_or(Exit::Interrupted, |(_, exit)| *exit);
        // Locked until the process ends, if it ends here: the startup must not continue meanwhile.
        let mut phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *phase {
            Phase::Starting(bound) => {
                drop(bound.take());
                process::exit(exit.status().into());
            }
            Phase::Running => {}
        }
        drop(phase);
        // Before anything stops: otherwise the input could end first, and the command with it, as
        // if all had been read.
        let _ = shared.events.send(Event::Signal(exit));
        shared.stop();
    });
    Startup(startup)
}
