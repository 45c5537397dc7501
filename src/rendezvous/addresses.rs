//! Counters by address. Exact, in constant time, and no larger than what is counted: an address
//! whose count returns to zero occupies no memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The unit of counting: an IPv4 address, in any notation, or an IPv6 /64, because that much is
/// assigned to one household or host (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// All of an IPv4 address.
    V4(Ipv4Addr),
    /// The first half of an IPv6 address.
    V6([u16; 4]),
}

impl Group {
    /// Returns the group of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// A counted item. It cannot be copied, so it is subtracted at most once. (Fuzz targets copy it
/// with all else that a registry holds.)
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(Clone))]
#[must_use = "what is counted has to be taken off the count again"]
pub struct AddressCount(Group);

impl AddressCount {
    /// Returns the group that it is counted for.
    pub(super) fn group(&self) -> Group {
        self.0
    }

    /// Returns an address of the same group.
    pub fn address(&self) -> IpAddr {
        match self.0 {
            Group::V4(address) => address.into(),
            Group::V6([a, b, c, d]) => Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into(),
        }
    }
}

/// Values by address: of one owner, or shared by the workers of a relay, which hold them only for a
/// look-up each.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone))]
pub(super) enum AddressTable<T> {
    Own(HashMap<Group, T>),
    Shared(Arc<Mutex<HashMap<Group, T>>>),
}

impl<T> Default for AddressTable<T> {
    fn default() -> Self {
        Self::Own(HashMap::new())
    }
}

impl<T> AddressTable<T> {
    /// Creates one that can be shared.
    pub fn shared() -> Self {
        Self::Shared(Arc::default())
    }

    /// Returns the same table for another owner; an empty one unless it is shared.
    pub fn another(&self) -> Self {
        match self {
            Self::Own(_) => Self::default(),
            Self::Shared(values) => Self::Shared(Arc::clone(values)),
        }
    }

    /// Reads the values.
    pub fn read<R>(&self, read: impl FnOnce(&HashMap<Group, T>) -> R) -> R {
        match self {
            Self::Own(values) => read(values),
            Self::Shared(values) => read(&values.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Changes the values.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut HashMap<Group, T>) -> R) -> R {
        match self {
            Self::Own(values) => change(values),
            Self::Shared(values) => {
                change(&mut values.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

/// Counters by address.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone))]
pub struct Addresses {
    counts: AddressTable<usize>,
}

impl Addresses {
    /// Creates counters that can be shared.
    pub fn shared() -> Self {
        Self { counts: AddressTable::shared() }
    }

    /// Returns the same counters for another owner; empty ones unless they are shared.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { counts: self.counts.another() }
    }

    /// Returns the count of this address.
    pub fn count(&self, address: IpAddr) -> usize {
        self.counts.read(|counts| counts.get(&Group::of(address)).copied().unwrap_or(0))
    }

    /// Adds one to the count of this address.
    pub fn add(&mut self, address: IpAddr) -> AddressCount {
        let group = Group::of(address);
        self.counts.change(|counts| *counts.entry(group).or_insert(0) += 1);
        AddressCount(group)
    }

    /// Subtracts a counted item.
    pub fn remove(&mut self, AddressCount(group): AddressCount) {
        self.counts.change(|counts| match counts.get_mut(&group) {
            Some(1) => drop(counts.remove(&group)),
            Some(count) => *count -= 1,
            None => debug_assert!(false, "what is taken off was counted"),
        });
    }

    /// Returns the number of addresses with a count above zero.
    pub fn len(&self) -> usize {
        self.counts.read(HashMap::len)
    }

    /// Whether all counts are zero.
    pub fn is_empty(&self) -> bool {
        self.counts.read(HashMap::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_available_to_one_client_are_counted_together() {
        for (name, one, other, together) in [
            ("the same", "192.0.2.1", "192.0.2.1", true),
            ("its neighbour", "192.0.2.1", "192.0.2.2", false),
            ("mapped", "192.0.2.1", "::ffff:192.0.2.1", true),
            ("mapped neighbours", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("one /64", "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("the next /64", "2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("loopback is not IPv4", "::1", "127.0.0.1", false),
        ] {
            let mut addresses = Addresses::default();
            let _counted = addresses.add(address(one));
            assert_eq!(addresses.count(address(other)), usize::from(together), "{name}");
        }
    }

    /// Few addresses, so that they repeat.
    const SOME: [&str; 7] = [
        "192.0.2.1",
        "192.0.2.2",
        "::ffff:192.0.2.2",
        "2001:db8::1",
        "2001:db8:0:1::1",
        "2001:db8:0:1::2",
        "::1",
    ];

    proptest! {
        #[test]
        fn counts_match_a_naive_list_after_any_opens_and_closes(
            acts in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..300)
        ) {
            let mut addresses = Addresses::default();
            let mut open = Vec::new();
            for (opens, index) in acts {
                if opens {
                    let address = address(SOME[index.index(SOME.len())]);
                    open.push((address, addresses.add(address)));
                } else if !open.is_empty() {
                    let (_, counted) = open.swap_remove(index.index(open.len()));
                    addresses.remove(counted);
                }
                let mut naive = BTreeMap::new();
                for (address, _) in &open {
                    *naive.entry(format!("{:?}", Group::of(*address))).or_insert(0) += 1;
                }
                prop_assert_eq!(addresses.len(), naive.len());
                for text in SOME {
                    let address = address(text);
                    let group = format!("{:?}", Group::of(address));
                    prop_assert_eq!(addresses.count(address), naive.get(&group).copied().unwrap_or(0));
                }
            }
            for (_, counted) in open {
                addresses.remove(counted);
            }
            prop_assert!(addresses.is_empty());
        }
    }
}
