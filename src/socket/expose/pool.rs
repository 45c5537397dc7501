//! Idle connections to the API.

use super::wire::ApiReader;
use crate::client::clock;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Maximum idle connections; more are closed, which costs later requests a connect(2).
const IDLE_MAX: usize = 64;

/// Idle timeout of a connection. Many servers close one that was idle for 5 s, and a request that
/// crosses with the close is lost.
const IDLE_TIME: Duration = Duration::from_secs(4);

/// The idle connections, the most recently used last.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Idle>>);

#[derive(Debug)]
struct Idle {
    wire: ApiReader,
    since: Instant,
}

impl Pool {
    /// Takes a connection that is still usable, as far as can be known.
    pub(super) fn take(&self) -> Option<ApiReader> {
        let now = clock::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(idle) = all.pop() {
            if now.saturating_duration_since(idle.since) < IDLE_TIME && idle.wire.is_quiet() {
                return Some(idle.wire);
            }
        }
        None
    }

    /// Returns a connection to the pool after a complete exchange.
    pub(super) fn put(&self, mut wire: ApiReader) {
        wire.read_on_behalf_of(None);
        let since = clock::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|idle| since.saturating_duration_since(idle.since) < IDLE_TIME);
        if all.len() < IDLE_MAX && wire.is_quiet() {
            all.push(Idle { wire, since });
        }
    }
}
