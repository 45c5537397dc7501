//! Registries of several workers: they share the counts by address, and each knows how many active
//! streams the others hold. Everything else is of one registry.

use super::Registry;
use crate::rendezvous::addresses::{AddressTable, Addresses};
use crate::rendezvous::unjoined::AddressShare;

/// The counts by address that registries share.
#[derive(Debug)]
pub struct SharedCreators {
    creators: Addresses,
    unjoined: AddressTable<AddressShare>,
}

impl Default for SharedCreators {
    fn default() -> Self {
        Self { creators: Addresses::shared(), unjoined: AddressTable::shared() }
    }
}

impl Registry {
    /// Shares the counts by address, and the sequence numbers: this registry has each `count`th one,
    /// from `own` on. Before a stream is created.
    pub fn share(&mut self, shared: &SharedCreators, (own, count): (u64, u64)) {
        debug_assert!(self.streams.is_empty() && own < count, "before all else");
        (self.next_sequence, self.stride) = (own, count);
        self.creators = shared.creators.another();
        self.unjoined.share_counts(shared.unjoined.another());
    }

    /// Records how many active streams the others hold, and the least number of the next stream: all
    /// registries derive it from one clock, so that their streams have a common order.
    /// Ended streams of others count nothing: they cannot be removed here to make room.
    pub fn keep_up(&mut self, elsewhere: usize, number: u64) {
        self.elsewhere = elsewhere;
        let own = self.next_sequence % self.stride;
        self.next_sequence = self.next_sequence.max(number.saturating_mul(self.stride) + own);
    }
}
