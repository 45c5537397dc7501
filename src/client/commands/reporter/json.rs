//! The output of `--json`: every line on standard error is one object.
//!
//! `event` is its type. The last one is always `complete` or `failed`; programs should ignore
//! events they do not know.
//!
//! | `event` | further members |
//! |---|---|
//! | `created` | `stream`: its ID; `url`; `receive` and `curl`: commands for the other side; `ttl_seconds`: its waiting time, or `null` |
//! | `waiting` | `for`: the awaited peer or event, for people |
//! | `started` | `total_bytes`: the expected size, or `null` |
//! | `progress` | at most once a second: `bytes` so far, `total_bytes`, `bytes_per_second` since the last one |
//! | `bottleneck` | `side`: `source`, `destination`, `network_in`, `network_out` or `rate` |
//! | `left_out` | `path` of a skipped entry and `reason`; or `more`: the number of further ones |
//! | `complete` | `bytes`; of a sender `repr_digest`, or `null`, and `receipt`: `confirmed` or `none`; of a receiver `output`: the path, or `null` |
//! | `failed` | `exit_status`, `message` |

use super::put;
use crate::client::clock;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Minimum interval between progress events.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Prints events for programs; clones share one state.
#[derive(Clone, Debug)]
pub(super) struct JsonReporter(Arc<Mutex<Reported>>);

/// The state reported so far.
#[derive(Debug)]
struct Reported {
    bytes: u64,
    total_bytes: Option<u64>,
    /// Time of the last progress event, and the byte count then.
    last: Instant,
    last_bytes: u64,
    /// Whether the final event was printed.
    over: bool,
}

impl JsonReporter {
    pub(super) fn new() -> Self {
        let state = Reported {
            bytes: 0,
            total_bytes: None,
            last: clock::now(),
            last_bytes: 0,
            over: false,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Prints an event, unless the final one was printed.
    pub(super) fn emit(&self, event: &Value) {
        self.lock_reported().put_event(event);
    }

    /// Prints the final event; later ones are dropped.
    pub(super) fn emit_last(&self, event: &Value) {
        let mut state = self.lock_reported();
        state.put_event(event);
        state.over = true;
    }

    /// Prints the start of the transfer.
    pub(super) fn begins(&self, total_bytes: Option<u64>) {
        let mut state = self.lock_reported();
        state.total_bytes = total_bytes;
        state.put_event(&json!({ "event": "started", "total_bytes": total_bytes }));
    }

    /// Adds to the number of bytes transferred.
    pub(super) fn moved(&self, bytes: u64) {
        let mut state = self.lock_reported();
        state.bytes += bytes;
        let since = clock::now().duration_since(state.last);
        if since >= PROGRESS_EVERY {
            let progress = state.progress(since);
            state.put_event(&progress);
        }
    }

    fn lock_reported(&self) -> MutexGuard<'_, Reported> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reported {
    fn put_event(&self, event: &Value) {
        if !self.over {
            put(event);
        }
    }

    fn progress(&mut self, since: Duration) -> Value {
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = (self.bytes - self.last_bytes).saturating_mul(1000) / millis;
        self.last += since;
        self.last_bytes = self.bytes;
        json!({
            "event": "progress",
            "bytes": self.bytes,
            "total_bytes": self.total_bytes,
            "bytes_per_second": rate,
        })
    }
}
