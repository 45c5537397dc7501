//! What programs are told with `--json`: every line on standard error is one object.
//!
//! `event` says which. The last one is always `complete` or `failed`; what a program does not know
//! it should skip.
//!
//! | `event` | further members |
//! |---|---|
//! | `created` | `stream`: its identifier; `url`; `receive` and `curl`: commands for the other side; `ttl_seconds`: how long it waits, or `null` |
//! | `waiting` | `for`: whom or what, for people |
//! | `started` | `total_bytes`: how many will move, or `null` |
//! | `progress` | once a second at most: `bytes` so far, `total_bytes`, `bytes_per_second` since the last one |
//! | `bottleneck` | `side`: `source`, `destination`, `network_in`, `network_out` or `rate` |
//! | `left_out` | `path` in a directory that is no file; or `more`: how many further ones |
//! | `complete` | `bytes`; of a sender `repr_digest`, or `null`; of a receiver `output`: the path, or `null` |
//! | `failed` | `exit_status`, `message` |

use super::put;
use crate::client::clock;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Progress is told as often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Tells programs; clones tell the same ones.
#[derive(Clone, Debug)]
pub(super) struct JsonReporter(Arc<Mutex<Reported>>);

/// What they were told.
#[derive(Debug)]
struct Reported {
    bytes: u64,
    total_bytes: Option<u64>,
    /// Of the last line about progress: when it was, and the bytes until then.
    last: Instant,
    last_bytes: u64,
    /// Whether the last line of all was told.
    over: bool,
}

impl JsonReporter {
    pub(super) fn new() -> Self {
        let told = Reported {
            bytes: 0,
            total_bytes: None,
            last: clock::now(),
            last_bytes: 0,
            over: false,
        };
        Self(Arc::new(Mutex::new(told)))
    }

    /// Tells an event, unless it comes behind the last one.
    pub(super) fn emit(&self, event: &Value) {
        self.lock_reported().tell(event);
    }

    /// Tells how it ended, and nothing after that.
    pub(super) fn emit_last(&self, event: &Value) {
        let mut told = self.lock_reported();
        told.tell(event);
        told.over = true;
    }

    /// Bytes begin to move.
    pub(super) fn begins(&self, total_bytes: Option<u64>) {
        let mut told = self.lock_reported();
        told.total_bytes = total_bytes;
        told.tell(&json!({ "event": "started", "total_bytes": total_bytes }));
    }

    /// So many more bytes have moved.
    pub(super) fn moved(&self, bytes: u64) {
        let mut told = self.lock_reported();
        told.bytes += bytes;
        let since = clock::now().duration_since(told.last);
        if since >= PROGRESS_EVERY {
            let progress = told.progress(since);
            told.tell(&progress);
        }
    }

    fn lock_reported(&self) -> MutexGuard<'_, Reported> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reported {
    fn tell(&self, event: &Value) {
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
