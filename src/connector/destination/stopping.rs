//! Signals as events: what is under way ends, and nothing else is begun. A second signal ends the
//! process at once, as it would any other.

use super::crew::{Event, Shared};
use crate::client::commands::Exit;
use crate::client::commands::interrupt::on_first;
use nix::sys::signal::Signal;
use std::sync::Arc;

/// What ends the command before its input does. To be asked to end is no failure of something that runs
/// for as long as nobody asks.
const SIGNALS: [(Signal, Exit); 3] = [
    (Signal::SIGTERM, Exit::Complete),
    (Signal::SIGINT, Exit::Interrupted),
    (Signal::SIGHUP, Exit::HungUp),
];

/// From now on the first of the signals is an event. To be called before any other thread is begun.
pub(super) fn watch(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    on_first(SIGNALS.map(|(signal, _)| signal), move |signal| {
        let exit = SIGNALS.iter().find(|(known, _)| *known == signal).map(|(_, exit)| *exit);
        shared.stop();
        let _ = shared.events.send(Event::Signal(exit.unwrap_or(Exit::Interrupted)));
    });
}
