//! Hand-overs and reloads during the load.

use std::sync::atomic::Ordering;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::exchange::Target;
use crate::pauses::Pauses;
use crate::support::{Lineage, now};

/// Pauses between two of them, in milliseconds.
const PAUSE_MILLIS: (u64, u64) = (1000, 5000);

/// Their numbers.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) hand_overs: u64,
    pub(crate) reloads: u64,
}

/// Hands over until `last`, so that the process that is examined at the end had much to do, and
/// reloads until the load ends.
pub(crate) fn disturb(
    lineage: &mut Lineage,
    target: &Target,
    last: Instant,
    mut pauses: Pauses,
) -> Changes {
    let mut changes = Changes::default();
    while pauses.wait(PAUSE_MILLIS) {
        if now() > last || pauses.random.one_in(3) {
            lineage.order(Signal::SIGHUP);
            changes.reloads += 1;
        } else {
            target.moves.fetch_add(1, Ordering::SeqCst);
            lineage.hand_over();
            target.moves.fetch_add(1, Ordering::SeqCst);
            changes.hand_overs += 1;
        }
    }
    changes
}
