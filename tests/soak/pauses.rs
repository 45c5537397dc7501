//! Random pauses until the load ends.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::exchange::Random;

/// What acts at random times waits with it.
pub(crate) struct Pauses {
    pub(crate) random: Random,
    /// Disconnected at the end of the load.
    load: Receiver<()>,
}

impl Pauses {
    pub(crate) fn new(seed: u64, load: Receiver<()>) -> Pauses {
        Pauses { random: Random::new(seed), load }
    }

    /// Waits between `least` and `most` milliseconds; returns false if the load has ended.
    pub(crate) fn wait(&mut self, (least, most): (u64, u64)) -> bool {
        let millis = least + self.random.below(most - least);
        let ended = self.load.recv_timeout(Duration::from_millis(millis));
        ended == Err(RecvTimeoutError::Timeout)
    }
}
