//! Sending requests and body bytes, within the flow control window.

use super::error::Error;
use super::link::{Link, wait};
use super::state::{ConnectionState, Exchange};
use crate::client::clock;
use crate::mux::frame::CancelReason;
use crate::mux::handshake::Dialect;
use crate::mux::session::head_too_large;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

/// Maximum requests that wait for their turn or response in the text dialect.
const QUEUE_MAX: usize = 256;

/// Why sending stopped early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The response is complete: the rest of the request is unwanted.
    Answered,
    /// The exchange failed.
    Failed(Error),
}

impl Link {
    /// Starts a request, and returns the number of its exchange.
    pub(super) fn request(&self, head: &[u8], over: bool) -> Result<u32, Error> {
        self.change(|state| {
            if let Some(error) = state.end() {
                return Err(error);
            }
            if state.draining {
                return Err(Error::Draining);
            }
            if !state.session.takes_request(head, over) {
                return Err(Error::Input(head_too_large()));
            }
            if state.session.dialect() == Dialect::Text && state.session.exchanges() >= QUEUE_MAX {
                return Err(Error::TooManyWaiting);
            }
            let number = state.session.request(head, over).ok_or(Error::Draining)?;
            let waits_since = over.then(clock::now);
            let exchange = Exchange { ours: true, holders: 2, waits_since, ..Exchange::default() };
            state.exchanges.insert(number, exchange);
            Ok(number)
        })
    }

    /// Sends body bytes of an exchange as the window permits; `over` marks the last ones.
    pub(super) fn send(&self, number: u32, mut bytes: &[u8], over: bool) -> Result<(), Stop> {
        let mut state = self.lock();
        loop {
            stops(&state, number)?;
            let room = state.room(number).min(bytes.len());
            let ends = bytes.is_empty() && may_end(&mut state, number);
            if room == 0 && !ends {
                state = await_room(state, number);
                continue;
            }
            let last = room == bytes.len();
            state.session.send(number, &bytes[..room], over && last);
            self.follow(&mut state);
            if last {
                return stops(&state, number);
            }
            bytes = &bytes[room..];
        }
    }

    /// Sets since when the other end is waited for, if it is.
    pub(super) fn waits(&self, number: u32, since: Option<Instant>) {
        let mut state = self.lock();
        if let Some(exchange) = state.exchanges.get_mut(&number) {
            exchange.waits_since = since;
            exchange.changed.notify_all();
        }
    }
}

/// Waits until an exchange changes; meanwhile the other end is waited for.
fn await_room(
    mut state: MutexGuard<'_, ConnectionState>,
    number: u32,
) -> MutexGuard<'_, ConnectionState> {
    let Some(exchange) = state.exchanges.get_mut(&number) else { return state };
    exchange.waits_since.get_or_insert_with(clock::now);
    let changed = Arc::clone(&exchange.changed);
    // From now on the timeout of the response counts.
    changed.notify_all();
    wait(&changed, state)
}

/// An empty last message needs no credit, except in the text dialect, where it waits for its turn.
fn may_end(state: &mut ConnectionState, number: u32) -> bool {
    state.session.dialect() == Dialect::V1 || state.room(number) > 0
}

fn stops(state: &ConnectionState, number: u32) -> Result<(), Stop> {
    let Some(exchange) = state.exchanges.get(&number) else {
        return Err(Stop::Failed(state.end().unwrap_or(Error::Cancelled(CancelReason::Gone))));
    };
    if exchange.ours && exchange.over {
        return Err(Stop::Answered);
    }
    if let Some(why) = &exchange.cancelled {
        return Err(Stop::Failed(why.into()));
    }
    if exchange.ours && exchange.unwanted {
        return Err(Stop::Failed(Error::Cancelled(CancelReason::Gone)));
    }
    state.end().map_or(Ok(()), |error| Err(Stop::Failed(error)))
}
