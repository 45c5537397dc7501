//! Streams with a path: at most one active stream has it, and it is free once that stream ends.

use super::Registry;
use crate::rendezvous::stream::Stream;
use std::sync::Arc;

impl Registry {
    /// Returns the active stream with this path.
    pub fn at_path(&self, path: &str) -> Option<&Stream> {
        self.by_path.get(path).map(|&key| &self.streams[key as usize])
    }

    /// Makes a new stream reachable by its path, if it has one.
    pub(super) fn take_path(&mut self, key: u32) {
        if let Some(path) = self.streams[key as usize].path() {
            let before = self.by_path.insert(Arc::clone(path), key);
            debug_assert!(before.is_none(), "a path has one active stream");
        }
    }
}
