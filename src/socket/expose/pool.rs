//! Idle connections to the API.

use crate::client::clock;
use crate::client::connection::Connection;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Maximum idle connections; more are closed, which costs later requests a connect(2).
const IDLE_MAX: usize = 64;

/// Idle timeout of a connection. Many servers close one that was idle for 5 s, and a request that
/// crosses with the close is lost.
const IDLE_TIME: Duration = Duration::from_secs(4);

/// The idle connections, the most recently used last.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<(Connection, Instant)>>);

impl Pool {
    /// Takes a connection that is still usable, as far as can be known.
    pub(super) fn take(&self) -> Option<Connection> {
        let now = clock::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((connection, since)) = all.pop() {
            if now.saturating_duration_since(since) < IDLE_TIME && connection.is_idle() {
                return Some(connection);
            }
        }
        None
    }

    /// Returns a connection to the pool after a complete exchange.
    pub(super) fn put(&self, mut connection: Connection) {
        connection.read_on_behalf_of(None);
        let now = clock::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, since)| now.saturating_duration_since(*since) < IDLE_TIME);
        if all.len() < IDLE_MAX && connection.is_idle() {
            all.push((connection, now));
        }
    }
}
