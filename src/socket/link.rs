//! The shared state with its lock, and the eventfd that wakes the thread that owns the wire.

use super::cancellation::Cancellation;
use super::error::Error;
use super::pump::FAREWELL;
use super::state::ConnectionState;
use crate::client::clock;
use crate::mux::frame::CancelReason;
use crate::mux::handshake::Dialect;
use crate::mux::session::{Cancelled, Closed};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tungstenite::Bytes;

/// Time for a peer of the text dialect to begin a response once it was sent the request.
const TEXT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that a request may wait for the responses to earlier ones, in the text dialect.
const TURN_TIMEOUT: Duration = Duration::from_mins(1);

/// State shared by the threads of one connection.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<ConnectionState>,
    waker: EventFd,
    pub remote: SocketAddr,
}

impl Link {
    pub(super) fn new(state: ConnectionState, remote: SocketAddr) -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let waker = EventFd::from_value_and_flags(0, flags)?;
        Ok(Self { state: Mutex::new(state), waker, remote })
    }

    /// Locks the state, ignoring poisoning: every change leaves it consistent.
    pub(super) fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then notifies waiters and wakes the pump.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut ConnectionState) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        self.follow(&mut state);
        result
    }

    /// Marks the wire as closed.
    pub(super) fn disconnect(&self) {
        let mut state = self.lock();
        state.parted = true;
        state.opened.notify_all();
    }

    /// Waits until the wire is closed, at most [`FAREWELL`], once the connection is over.
    pub(super) fn wait_parted(&self) {
        let end = clock::now() + FAREWELL;
        let mut state = self.lock();
        while !state.parted {
            let left = end.saturating_duration_since(clock::now());
            if left.is_zero() {
                return;
            }
            let opened = Arc::clone(&state.opened);
            state = wait_for(&opened, state, left);
        }
    }

    /// Notifies waiters of pending events, and wakes the pump.
    pub(super) fn follow(&self, state: &mut ConnectionState) {
        state.update();
        if std::mem::take(&mut state.asleep) {
            // Fails only if the counter is at its maximum, and then the eventfd is readable
            // already.
            let _ = self.waker.write(1);
        }
    }

    /// Cancels the requests that are no longer wanted. Their hooks run arbitrary code, so the lock
    /// is not held here.
    pub(super) fn notify_servers(&self) {
        let unwanted = std::mem::take(&mut self.lock().unwanted);
        unwanted.iter().for_each(Cancellation::cancel);
    }

    pub(super) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }

    pub(super) fn silence_bell(&self) {
        let _ = self.waker.read();
    }

    /// Waits for the head of the response; `limit` only counts while the other end, or the turn of
    /// the request, is waited for.
    pub(super) fn answer(
        &self,
        number: u32,
        limit: Option<Duration>,
    ) -> Result<(Bytes, bool), Error> {
        let mut state = self.lock();
        loop {
            let Some(exchange) = state.exchanges.get_mut(&number) else {
                return Err(Error::from(&Closed::Lost));
            };
            if let Some(answer) = exchange.answer.take() {
                return Ok(answer);
            }
            if let Some(why) = &exchange.cancelled {
                return Err(why.into());
            }
            let changed = Arc::clone(&exchange.changed);
            let since = exchange.waits_since;
            if let Some(error) = state.end() {
                return Err(error);
            }
            let queued = state.session.is_queued(number);
            let text = state.session.dialect() == Dialect::Text;
            let limit = limit.or(text.then_some(if queued { TURN_TIMEOUT } else { TEXT_TIMEOUT }));
            state = match since.zip(limit) {
                None => wait(&changed, state),
                Some((since, limit)) => {
                    match (since + limit).checked_duration_since(clock::now()) {
                        None | Some(Duration::ZERO) if queued => {
                            return Err(Error::TurnTimeout(limit));
                        }
                        None | Some(Duration::ZERO) => return Err(Error::Timeout(limit)),
                        Some(left) => wait_for(&changed, state, left),
                    }
                }
            };
        }
    }

    /// Waits for the next bytes of a body, after reporting `used` bytes as read. Empty at the end.
    pub(super) fn next_chunk(&self, number: u32, used: usize) -> Result<Bytes, Error> {
        let mut state = self.lock();
        if used > 0 {
            state.session.used(number, used);
            self.follow(&mut state);
        }
        loop {
            let Some(exchange) = state.exchanges.get_mut(&number) else {
                return Err(Error::from(&Closed::Lost));
            };
            if let Some(chunk) = exchange.chunks.pop_front() {
                return Ok(chunk);
            }
            if exchange.over {
                return Ok(Bytes::new());
            }
            if let Some(why) = &exchange.cancelled {
                return Err(why.into());
            }
            let changed = Arc::clone(&exchange.changed);
            if let Some(error) = state.end() {
                return Err(error);
            }
            state = wait(&changed, state);
        }
    }

    /// Marks the rest of a body as unwanted.
    pub(super) fn unwanted(&self, number: u32) {
        self.change(|state| {
            let text = state.session.dialect() == Dialect::Text;
            let Some(exchange) = state.exchanges.get_mut(&number) else { return };
            exchange.unwanted = true;
            let unread: usize = exchange.chunks.drain(..).map(|chunk| chunk.len()).sum();
            if exchange.ours && !exchange.over {
                state.session.cancel(number, CancelReason::Gone);
            } else if text {
                state.session.used(number, unread);
            }
        });
        self.release(number);
    }

    /// Drops one of the two holders of an exchange, and removes it with the last one.
    pub(super) fn release(&self, number: u32) {
        let mut state = self.lock();
        if let Some(exchange) = state.exchanges.get_mut(&number) {
            exchange.holders -= 1;
            if exchange.holders == 0 {
                state.exchanges.remove(&number);
            }
        }
    }

    /// Cancels an exchange.
    pub(super) fn cancel(&self, number: u32, why: CancelReason) {
        self.change(|state| {
            state.session.cancel(number, why.clone());
            // The session reports only what the other end does; waiters at this end need the reason
            // too.
            state.notify(number, |exchange| {
                exchange.cancelled.get_or_insert(Cancelled::There(why));
            });
        });
    }

    /// Ends an exchange after sending: anything else received for it is unwanted.
    pub(super) fn done(&self, number: u32) {
        self.change(|state| {
            // The text dialect has no message for this; what is received is discarded there.
            if state.session.dialect() == Dialect::V1 {
                state.session.cancel(number, CancelReason::Done);
            }
        });
    }
}

pub(super) fn wait<'s>(
    changed: &Condvar,
    state: MutexGuard<'s, ConnectionState>,
) -> MutexGuard<'s, ConnectionState> {
    changed.wait(state).unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn wait_for<'s>(
    changed: &Condvar,
    state: MutexGuard<'s, ConnectionState>,
    most: Duration,
) -> MutexGuard<'s, ConnectionState> {
    changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
}

/// Unwraps a lock, ignoring poisoning.
pub(super) fn poisoned<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
