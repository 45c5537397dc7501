//! Unknown tokens by address: after many of them an address waits before the next token is looked
//! at. Each address has a budget that is refilled over time; the table is bounded.

use super::{ConnId, Io};
use crate::api::permission::Token;
use crate::api::{Failure, TokenFailure};
use crate::rendezvous::Group;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Unknown tokens in a row before an address waits: more than a person mistypes, or than clients
/// after one proxy send by mistake in a moment.
const ATTEMPTS: u32 = 20;

/// The time after which one more is allowed: 20 a minute.
const REFILL: Duration = Duration::from_secs(3);

/// Maximum addresses remembered, about 300 KiB. If it is full of waiting ones, others are not paced.
const ADDRESSES_MAX: usize = 4096;

/// The addresses that sent unknown tokens.
#[derive(Debug, Default)]
pub struct Attempts {
    /// When the budget of each will be full again.
    full_at: HashMap<Group, Instant>,
}

impl Attempts {
    /// Whether this address has to wait.
    pub fn are_used_up(&self, address: IpAddr, now: Instant) -> bool {
        let full_at = self.full_at.get(&Group::of(address));
        full_at.is_some_and(|full_at| *full_at > now + REFILL * (ATTEMPTS - 1))
    }

    /// Counts an unknown token.
    pub fn failed(&mut self, address: IpAddr, now: Instant) {
        if self.full_at.len() >= ADDRESSES_MAX {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        let group = Group::of(address);
        if self.full_at.len() < ADDRESSES_MAX || self.full_at.contains_key(&group) {
            let full_at = self.full_at.entry(group).or_insert(now);
            *full_at = (*full_at).max(now) + REFILL;
        }
    }
}

impl Io {
    /// Returns the token of the relay with this secret, sent on this connection, and notes it there.
    ///
    /// # Errors
    /// It is unknown, which is counted, or was not looked at.
    pub fn take_token(&mut self, id: ConnId, secret: &[u8]) -> Result<Arc<Token>, Failure> {
        self.check_attempts(id)?;
        self.note_token(id, secret).ok_or_else(|| self.unknown_token(id))
    }

    /// The same for a request whose response does not depend on it.
    pub fn note_token(&mut self, id: ConnId, secret: &[u8]) -> Option<Arc<Token>> {
        let token = Arc::clone(self.settings.tokens.tokens.as_ref()?.find(secret)?);
        self.journal.metrics.used_token(&token.name);
        self.conns[id].extras.set_token(Arc::clone(&token));
        Some(token)
    }

    /// Counts an unknown token that was sent on this connection; returns what to answer.
    pub fn unknown_token(&mut self, id: ConnId) -> Failure {
        self.attempts.failed(self.conns[id].client().ip(), self.now.monotonic);
        self.journal.metrics.unknown_token();
        Failure::Token(TokenFailure::Unknown)
    }

    /// Checks that its address sent few unknown tokens. Before a token is compared: the response
    /// would be of use to a client that guesses.
    ///
    /// # Errors
    /// [`TokenFailure::TooMany`].
    pub fn check_attempts(&self, id: ConnId) -> Result<(), Failure> {
        let used_up = self.attempts.are_used_up(self.conns[id].client().ip(), self.now.monotonic);
        if used_up { Err(Failure::Token(TokenFailure::TooMany)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn an_address_waits_after_many_unknown_tokens_and_others_do_not() {
        let start = Instant::now();
        let [one, other]: [IpAddr; 2] =
            ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let mut attempts = Attempts::default();
        for number in 0..ATTEMPTS {
            assert!(!attempts.are_used_up(one, start), "{number}");
            attempts.failed(one, start);
        }
        assert!(attempts.are_used_up(one, start) && !attempts.are_used_up(other, start));
        assert!(!attempts.are_used_up(one, start + REFILL), "one more");
        attempts.failed(one, start + REFILL);
        assert!(attempts.are_used_up(one, start + REFILL));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn the_remembered_addresses_are_bounded() {
        let start = Instant::now();
        let mut attempts = Attempts::default();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..10_000 {
            attempts.failed(address(number), start);
        }
        assert_eq!(attempts.full_at.len(), ADDRESSES_MAX);
        attempts.failed(address(0), start + REFILL);
        assert_eq!(attempts.full_at.len(), 1, "those that need not wait are forgotten");
    }
}
