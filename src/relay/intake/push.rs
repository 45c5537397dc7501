//! One request whose body is taken in: being read, or complete and waiting for its verdict.

use super::clock::BodyClock;
use super::consumer::{Demand, Incoming, RequestToken};
use crate::api::Failure;
use crate::http::body::{BodyDecoder, BodyError};
use std::time::Instant;

/// A request whose body is taken in.
#[derive(Debug)]
pub struct Push {
    /// The token that its verdict will name.
    pub ticket: RequestToken,
    /// Its progress.
    pub state: PushState,
}

/// The progress of a request.
#[derive(Debug)]
pub enum PushState {
    /// Its body is being read.
    Reading(Body),
    /// Its body was handed over; its outcome is returned with the verdicts.
    Deciding,
}

/// A body that is being read.
#[derive(Debug)]
pub struct Body {
    /// Decodes its framing.
    pub decoder: BodyDecoder,
    /// The consumer of its bytes.
    pub incoming: Box<dyn Incoming>,
    /// Whether more of it can be taken now.
    pub demand: Demand,
    /// Its time limit.
    pub clock: BodyClock,
    /// Its maximum size in bytes.
    max_bytes: usize,
}

impl Push {
    /// Returns the body being read; `None` once it is complete.
    pub fn body(&mut self) -> Option<&mut Body> {
        match &mut self.state {
            PushState::Reading(body) => Some(body),
            PushState::Deciding => None,
        }
    }

    /// Gives away the body, which is complete or will never be.
    pub fn end_body(&mut self) -> Option<Body> {
        match std::mem::replace(&mut self.state, PushState::Deciding) {
            PushState::Reading(body) => Some(body),
            PushState::Deciding => None,
        }
    }
}

impl Body {
    /// Creates a body of which nothing was received yet.
    pub fn new(
        decoder: BodyDecoder,
        max_bytes: usize,
        incoming: Box<dyn Incoming>,
        now: Instant,
    ) -> Self {
        let clock = BodyClock::start(now);
        let decoder = decoder.at_most(max_bytes as u64);
        Self { decoder, incoming, demand: Demand::More, clock, max_bytes }
    }

    /// Takes bytes; returns how many of them belong to this body.
    pub fn take(
        &mut self,
        ticket: RequestToken,
        bytes: &[u8],
        now: Instant,
    ) -> Result<usize, Failure> {
        let mut pieces = Vec::new();
        let used = self.decoder.received(bytes, &mut pieces).map_err(|error| match error {
            BodyError::Framing(error) => Failure::BadFraming(error.into()),
            BodyError::TooLarge => Failure::BodyTooLarge(self.max_bytes),
        })?;
        self.clock.received(pieces.iter().map(ExactSizeIterator::len).sum());
        match pieces.as_slice() {
            [] => {}
            [piece] => self.demand = self.incoming.take(ticket, &bytes[piece.clone()])?,
            // At once, because after `Later` nothing may be given.
            pieces => {
                let parts: Vec<_> = pieces.iter().map(|piece| &bytes[piece.clone()]).collect();
                self.demand = self.incoming.take(ticket, &parts.concat())?;
            }
        }
        match self.demand {
            // The time this takes does not count against its sender.
            Demand::Later => self.clock.stop(now),
            Demand::More => {}
        }
        Ok(used)
    }

    /// Whether all of it was received and taken.
    pub fn is_complete(&self) -> bool {
        self.decoder.is_over() && self.demand == Demand::More
    }
}
