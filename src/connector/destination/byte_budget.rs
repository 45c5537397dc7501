//! The room for records in memory, which is the same however many workers there are.

use std::sync::{Condvar, Mutex, PoisonError};

/// How many bytes of records may be held. A larger one is held alone.
pub(super) const ROOM_BYTES: usize = 16 << 20;

/// How many bytes of records are held.
#[derive(Debug, Default)]
pub(super) struct ByteBudget {
    held_bytes: Mutex<usize>,
    freed: Condvar,
}

impl ByteBudget {
    /// Waits until there is room for so many bytes.
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

    /// Waits until nothing is held.
    pub(super) fn wait_until_empty(&self) {
        let held = self.held_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.freed.wait_while(held, |held| *held > 0));
    }
}
