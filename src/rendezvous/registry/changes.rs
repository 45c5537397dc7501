//! Which streams have changed, for those who follow them.

use super::Registry;
use crate::rendezvous::stream::{Stream, Watch};
use uuid::Uuid;

impl Registry {
    /// Whether somebody wants to hear of a stream's changes from now on.
    pub fn watch(&mut self, id: Uuid, wanted: bool) {
        let Some(&key) = self.by_id.get(&id) else { return };
        let watch = &mut self.streams[key as usize].watch;
        *watch = match (wanted, *watch) {
            (true, Watch::Changed) => Watch::Changed,
            (true, Watch::Nobody | Watch::Quiet) => Watch::Quiet,
            (false, _) => Watch::Nobody,
        };
    }

    /// Whether there are changed streams among those that are watched.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Watched streams that changed since this was asked last. Until
    /// [`Registry::forget_departed`], [`Registry::watched`] finds all of them.
    pub fn take_changes(&mut self) -> Vec<Uuid> {
        let changed = std::mem::take(&mut self.changed);
        for id in &changed {
            if let Some(&key) = self.by_id.get(id)
                && self.streams[key as usize].watch == Watch::Changed
            {
                self.streams[key as usize].watch = Watch::Quiet;
            }
        }
        changed
    }

    /// A stream that is watched, even if it was forgotten right after its last change.
    pub fn watched(&self, id: Uuid) -> Option<&Stream> {
        self.get(id).or_else(|| self.departed.iter().find(|stream| stream.id == id))
    }

    /// Everybody has looked at what changed.
    pub fn forget_departed(&mut self) {
        self.departed.clear();
    }

    /// Something that the status shows has changed.
    pub(super) fn revised(&mut self, key: u32) {
        self.streams[key as usize].revise();
        self.changed(key);
    }

    pub(super) fn changed(&mut self, key: u32) {
        let stream = &mut self.streams[key as usize];
        if stream.watch == Watch::Quiet {
            stream.watch = Watch::Changed;
            self.changed.push(stream.id);
        }
    }
}
