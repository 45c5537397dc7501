//! Streams that no side has joined: what each address has of them, and which is the oldest. Every
//! act takes O(log n); a stream is in it exactly while its state is `CREATED`.

use super::addresses::{AddressCount, Group};
use super::registry::WEIGHT_MAX;
use super::stream::Stream;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// What the unjoined streams of one address may weigh together, in bytes: a tenth of all, so that
/// few streams with heavy header fields cannot refuse everybody else.
const SHARE_WEIGHT_MAX: usize = WEIGHT_MAX / 10;

/// What one address has of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AddressShare {
    pub streams: usize,
    /// In bytes.
    pub weight: usize,
}

impl AddressShare {
    /// Whether one more stream that weighs `weight` fits. The first one always does: what is too
    /// heavy by itself is for the limit on bodies.
    pub fn has_room(self, most: usize, weight: usize) -> bool {
        self.streams < most && (self.streams == 0 || self.weight + weight <= SHARE_WEIGHT_MAX)
    }
}

/// The streams that no side has joined.
#[derive(Debug, Default)]
pub(super) struct Unjoined {
    shares: HashMap<Group, AddressShare>,
    /// By their place in the order of creation, which takes half the room of the time.
    by_age: BTreeMap<u64, u32>,
}

impl Unjoined {
    /// No side of this stream is connected.
    pub fn add(&mut self, key: u32, stream: &Stream) {
        let other = self.by_age.insert(stream.sequence(), key);
        debug_assert!(other.is_none(), "a stream is counted once");
        if let Some(creator) = &stream.creator {
            let share = self.shares.entry(creator.group()).or_default();
            share.streams += 1;
            share.weight += stream.weight();
        }
    }

    /// A side joins this stream, it ends or is given away, or its weight is about to change. If it
    /// was joined before, nothing happens.
    pub fn remove(&mut self, stream: &Stream) {
        if self.by_age.remove(&stream.sequence()).is_none() {
            return;
        }
        let Some(group) = stream.creator.as_ref().map(AddressCount::group) else { return };
        let Some(share) = self.shares.get_mut(&group) else {
            debug_assert!(false, "what is taken off was counted");
            return;
        };
        share.streams -= 1;
        share.weight -= stream.weight();
        if share.streams == 0 {
            debug_assert_eq!(share.weight, 0, "no stream weighs nothing");
            self.shares.remove(&group);
        }
    }

    /// What this address has.
    pub fn share(&self, creator: IpAddr) -> AddressShare {
        self.shares.get(&Group::of(creator)).copied().unwrap_or_default()
    }

    /// Whether a report may replace the one that `stream` keeps, and weigh `by` bytes more.
    pub fn may_grow(&self, stream: &Stream, by: usize) -> bool {
        let share = stream.creator.as_ref().and_then(|it| self.shares.get(&it.group()));
        share.is_none_or(|share| share.streams <= 1 || share.weight + by <= SHARE_WEIGHT_MAX)
    }

    /// The oldest one.
    pub fn oldest(&self) -> Option<u32> {
        self.by_age.first_key_value().map(|(_, key)| *key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_age.len()
    }
}
