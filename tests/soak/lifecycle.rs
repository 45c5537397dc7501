//! Hand-overs and reloads during the load.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::exchange::{Random, Target};
use crate::support::{Lineage, now};

/// Pauses between two of them, in milliseconds.
const PAUSE_MILLIS: (u64, u64) = (2000, 8000);

/// Their numbers.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) hand_overs: u64,
    pub(crate) reloads: u64,
}

/// Hands over until `last`, so that the process that is examined at the end had much to do, and
/// reloads until the other end of `stop` is dropped.
pub(crate) fn disturb(
    lineage: &mut Lineage,
    target: &Target,
    last: Instant,
    (seed, stop): (u64, &Receiver<()>),
) -> Changes {
    let mut random = Random::new(seed);
    let mut changes = Changes::default();
    loop {
        let millis = PAUSE_MILLIS.0 + random.below(PAUSE_MILLIS.1 - PAUSE_MILLIS.0);
        match stop.recv_timeout(Duration::from_millis(millis)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return changes,
        }
        if now() > last || random.one_in(3) {
            lineage.order(Signal::SIGHUP);
            changes.reloads += 1;
        } else {
            target.moves.fetch_add(1, Ordering::SeqCst);
            lineage.hand_over();
            target.moves.fetch_add(1, Ordering::SeqCst);
            changes.hand_overs += 1;
        }
    }
}
