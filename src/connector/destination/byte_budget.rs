//! The memory budget for records, independent of the number of workers.

use std::sync::{Condvar, Mutex, PoisonError};

/// Maximum bytes of records in memory. A larger record is held alone.
pub(super) const ROOM_BYTES: usize = 16 << 20;

/// The number of bytes of records in memory.
#[derive(Debug, Default)]
pub(super) struct ByteBudget {
    held_bytes: Mutex<usize>,
    freed: Condvar,
}

impl ByteBudget {
    /// Waits until `bytes` fit into the budget, and reserves them.
    pub(super) fn take(&self, bytes: usize) {
        let held = self.held_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |held: &mut usize| *held > 0 && *held + bytes > ROOM_BYTES;
        let held = self.freed.wait_while(held, full);
        *held.unwrap_or_else(PoisonError::into_inner) += bytes;
    }

    pub(super) fn free(&self, bytes: usize) {
        *self.held_bytes.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.freed.notify_all();
    }

    /// Waits until no bytes are reserved.
    pub(super) fn wait_until_empty(&self) {
        let held = self.held_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.freed.wait_while(held, |held| *held > 0));
    }
}
