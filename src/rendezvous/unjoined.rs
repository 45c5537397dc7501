//! Streams that no side has joined: the share of each address, and the oldest one. Every operation
//! takes O(log n); a stream is included exactly while its state is `CREATED`.

use super::addresses::{AddressCount, AddressTable, Group};
use super::registry::WEIGHT_MAX;
use super::stream::Stream;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Maximum weight of the unjoined streams of one address, in bytes: a tenth of the total, so that a
/// few streams with large header fields cannot block all other clients.
const SHARE_WEIGHT_MAX: usize = WEIGHT_MAX / 10;

/// The unjoined streams of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::rendezvous) struct AddressShare {
    pub streams: usize,
    /// In bytes.
    pub weight: usize,
}

impl AddressShare {
    /// Whether one more stream of this weight fits. The first one always does: the limit on bodies
    /// covers a single one that is too heavy.
    pub fn has_room(self, most: usize, weight: usize) -> bool {
        self.streams < most && (self.streams == 0 || self.weight + weight <= SHARE_WEIGHT_MAX)
    }
}

/// The streams that no side has joined.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone))]
pub(super) struct Unjoined {
    shares: AddressTable<AddressShare>,
    /// By their number in the order of creation, which takes half the memory of a time.
    by_age: BTreeMap<u64, u32>,
}

impl Unjoined {
    /// Shares the counts by address.
    pub fn share_counts(&mut self, shares: AddressTable<AddressShare>) {
        self.shares = shares;
    }

    /// Adds a stream without connected sides.
    pub fn add(&mut self, key: u32, stream: &Stream) {
        let other = self.by_age.insert(stream.sequence(), key);
        debug_assert!(other.is_none(), "a stream is counted once");
        if let Some(creator) = &stream.creator {
            self.shares.change(|shares| {
                let share = shares.entry(creator.group()).or_default();
                share.streams += 1;
                share.weight += stream.weight();
            });
        }
    }

    /// Removes a stream that is joined, ends or is handed over, or before its weight changes. Has
    /// no effect if it was joined before.
    pub fn remove(&mut self, stream: &Stream) {
        if self.by_age.remove(&stream.sequence()).is_none() {
            return;
        }
        let Some(group) = stream.creator.as_ref().map(AddressCount::group) else { return };
        self.shares.change(|shares| {
            let Some(share) = shares.get_mut(&group) else {
                debug_assert!(false, "what is taken off was counted");
                return;
            };
            share.streams -= 1;
            share.weight -= stream.weight();
            if share.streams == 0 {
                debug_assert_eq!(share.weight, 0, "no stream weighs nothing");
                shares.remove(&group);
            }
        });
    }

    /// Returns the share of this address.
    pub fn share(&self, creator: IpAddr) -> AddressShare {
        self.shares.read(|shares| shares.get(&Group::of(creator)).copied().unwrap_or_default())
    }

    /// Whether a report may replace the one that `stream` keeps, with `by` bytes more.
    pub fn may_grow(&self, stream: &Stream, by: usize) -> bool {
        let Some(creator) = &stream.creator else { return true };
        let share = self.shares.read(|shares| shares.get(&creator.group()).copied());
        share.is_none_or(|share| share.streams <= 1 || share.weight + by <= SHARE_WEIGHT_MAX)
    }

    /// Returns the keys of those before this sequence number, the newest first.
    pub fn before(&self, end: u64) -> impl Iterator<Item = u32> {
        self.by_age.range(..end).rev().map(|(_, key)| *key)
    }

    /// Returns the oldest stream.
    pub fn oldest(&self) -> Option<u32> {
        self.by_age.first_key_value().map(|(_, key)| *key)
    }

    /// Returns the number of streams.
    pub fn len(&self) -> usize {
        self.by_age.len()
    }
}
