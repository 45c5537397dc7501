//! Where a stream or an agent is, as its identifier shows. With several workers or nodes it is a
//! UUID of version 8 (RFC 9562, section 5.8): the first 16 bits are the node, the next 8 the worker,
//! and 98 bits are random. A balancer needs the first four hexadecimal digits only.

use uuid::{Builder, Uuid};

/// The node and the worker that made an identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The number of the node; 0 if nodes have none.
    pub node: u16,
    /// The number of the worker on this node.
    pub worker: u8,
}

impl Place {
    /// Returns the identifier that these random bytes make at this place.
    pub fn mark(self, mut random: [u8; 16]) -> Uuid {
        [random[0], random[1]] = self.node.to_be_bytes();
        random[2] = self.worker;
        Builder::from_custom_bytes(random).into_uuid()
    }

    /// Returns the place that an identifier names; `None` for those of other versions, such as ones
    /// that clients chose.
    pub fn of(id: Uuid) -> Option<Self> {
        let [high, low, worker, ..] = *id.as_bytes();
        let is_custom = id.get_version_num() == 8 && id.get_variant() == uuid::Variant::RFC4122;
        is_custom.then(|| Self { node: u16::from_be_bytes([high, low]), worker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_begins_with_its_node_and_its_worker() {
        let place = Place { node: 0x00ab, worker: 3 };
        let id = place.mark([0xff; 16]);
        assert_eq!(id.to_string(), "00ab03ff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(Place::of(id), Some(place));
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn identifiers_of_other_versions_name_no_place() {
        for (name, id) in [
            ("random", "00ab03ff-ffff-4fff-bfff-ffffffffffff"),
            ("of time", "00ab03ff-ffff-7fff-bfff-ffffffffffff"),
            ("nil", "00000000-0000-0000-0000-000000000000"),
            ("all ones", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
            ("another variant", "00ab03ff-ffff-8fff-cfff-ffffffffffff"),
        ] {
            assert_eq!(Place::of(id.parse().unwrap()), None, "{name}");
        }
    }
}
