//! The tokens of one stream: a client that knows only its identifier cannot use it.

use std::fmt;
use uuid::Uuid;

/// The secrets of a stream, one for each part. They are random, and compared in constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// For the source.
    pub put: Uuid,
    /// For the destination.
    pub get: Uuid,
    /// For the client that created it.
    pub owner: Uuid,
}

/// The part that a client has in a stream with tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It uploads.
    Source,
    /// It downloads.
    Destination,
    /// It observes and ends the stream.
    Owner,
}

impl Guard {
    /// Returns the part that this secret is for.
    pub fn part(&self, secret: [u8; 16]) -> Option<Part> {
        let secret = u128::from_be_bytes(secret);
        let parts =
            [(self.put, Part::Source), (self.get, Part::Destination), (self.owner, Part::Owner)];
        // All of them are compared, bit by bit: the duration reveals nothing.
        let found = parts.map(|(own, part)| (own.as_u128() ^ secret == 0).then_some(part));
        found.into_iter().fold(None, Option::or)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_for_one_part_and_not_shown() {
        let [put, get, owner] = [1, 2, 3].map(Uuid::from_u128);
        let guard = Guard { put, get, owner };
        for (secret, part) in [
            (put, Some(Part::Source)),
            (get, Some(Part::Destination)),
            (owner, Some(Part::Owner)),
            (Uuid::nil(), None),
        ] {
            assert_eq!(guard.part(secret.into_bytes()), part);
        }
        assert_eq!(format!("{guard:?}"), "Guard");
    }
}
