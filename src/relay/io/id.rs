//! Ids of connections and transfers. A slot's index alone is not enough: slab reuses slots last in
//! first out, so a stale event of a closed connection would hit the next one. Each id carries the
//! generation of its object, which is compared wherever the id is used.

use crate::rendezvous::Client;
use mio::Token;
use std::num::NonZeroU32;

/// The id of one transfer, never reused for another in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferId {
    /// Its slot.
    pub index: u32,
    /// Its generation in that slot.
    pub generation: NonZeroU32,
}

/// The id of one connection, never reused for another in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Its slot.
    pub index: u32,
    /// Its generation in that slot; never 0.
    pub generation: u32,
}

impl ConnId {
    /// Returns the event source's token; above all tokens of listeners and signals, which have
    /// generation 0.
    pub fn token(self) -> Token {
        Token((self.generation as usize) << 32 | self.index as usize)
    }

    /// Decodes a token; `None` for those of listeners and signals.
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub fn from_token(Token(token): Token) -> Option<Self> {
        let generation = (token >> 32) as u32;
        (generation > 0).then_some(Self { index: token as u32, generation })
    }

    /// Returns its id in the registry.
    pub fn client(self) -> Client {
        Client(self.token().0 as u64)
    }

    /// Decodes its id in the registry.
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub fn from_client(Client(client): Client) -> Self {
        Self { index: client as u32, generation: (client >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_through_epoll_and_the_registry() {
        for id in
            [ConnId { index: 0, generation: 1 }, ConnId { index: u32::MAX, generation: u32::MAX }]
        {
            assert_eq!(ConnId::from_token(id.token()), Some(id));
            assert_eq!(ConnId::from_client(id.client()), id);
        }
        assert_eq!(ConnId::from_token(Token(7)), None);
    }
}
