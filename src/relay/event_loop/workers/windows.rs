//! The windows of the operators' page: each shows the streams of all workers.

use crate::api::watch::Window;
use crate::relay::event_loop::watching::Shown;
use crate::relay::io::Slot;
use std::collections::HashMap;

/// The windows that wait for what other workers have.
#[derive(Debug, Default)]
pub(in crate::relay::event_loop) struct Windows {
    pending: HashMap<Slot, (Window, Vec<Shown>)>,
}

impl Windows {
    /// Begins to wait for what the others have for a window.
    pub fn begin(&mut self, slot: Slot, window: Window) {
        self.pending.insert(slot, (window, Vec::new()));
    }

    /// Adds what one of `others` has; returns the window with what all have.
    pub fn add(&mut self, slot: Slot, shown: Shown, others: usize) -> Option<(Window, Vec<Shown>)> {
        let (_, parts) = self.pending.get_mut(&slot)?;
        parts.push(shown);
        if parts.len() < others { None } else { self.pending.remove(&slot) }
    }
}
