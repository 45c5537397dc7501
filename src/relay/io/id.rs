//! Ids of connections and transfers. A slot's index alone is not enough: slab reuses slots last in
//! first out, so a stale event of a closed connection would hit the next one. Each id carries the
//! generation of what it was made for, and it is compared wherever the id is used.

use crate::rendezvous::Client;
use mio::Token;
use std::num::NonZeroU32;

/// One transfer, never another one later in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferId {
    /// Where it is.
    pub index: u32,
    /// Which of those that were there.
    pub generation: NonZeroU32,
}

/// One connection, never another one later in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Where it is.
    pub index: u32,
    /// Which of those that were there; never 0.
    pub generation: u32,
}

impl ConnId {
    /// The event source's token; above all tokens of listeners and signals, which have generation 0.
    pub fn token(self) -> Token {
        Token((self.generation as usize) << 32 | self.index as usize)
    }

    /// Reads a token; `None` for those of listeners and signals.
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub fn from_token(Token(token): Token) -> Option<Self> {
        let generation = (token >> 32) as u32;
        (generation > 0).then_some(Self { index: token as u32, generation })
    }

    /// The name the registry knows it by.
    pub fn client(self) -> Client {
        Client(self.token().0 as u64)
    }

    /// Reads the registry's name.
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub fn from_client(Client(client): Client) -> Self {
        Self { index: client as u32, generation: (client >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_through_epoll_and_registry() {
        for id in
            [ConnId { index: 0, generation: 1 }, ConnId { index: u32::MAX, generation: u32::MAX }]
        {
            assert_eq!(ConnId::from_token(id.token()), Some(id));
            assert_eq!(ConnId::from_client(id.client()), id);
        }
        assert_eq!(ConnId::from_token(Token(7)), None);
    }
}
