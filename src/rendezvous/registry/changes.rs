//! Changes of streams, for their subscribers.

use super::Registry;
use crate::rendezvous::stream::{Stream, Watch};
use uuid::Uuid;

impl Registry {
    /// Sets whether changes of a stream are recorded from now on.
    pub fn watch(&mut self, id: Uuid, wanted: bool) {
        let Some(&key) = self.by_id.get(&id) else { return };
        let watch = &mut self.streams[key as usize].watch;
        *watch = match (wanted, *watch) {
            (true, Watch::Changed) => Watch::Changed,
            (true, Watch::Nobody | Watch::Quiet) => Watch::Quiet,
            (false, _) => Watch::Nobody,
        };
    }

    /// Whether any watched stream has changed.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Takes the watched streams that changed since the last call. Until
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

    /// Returns a watched stream, even if it was removed right after its last change.
    pub fn watched(&self, id: Uuid) -> Option<&Stream> {
        self.get(id).or_else(|| self.departed.iter().find(|stream| stream.id == id))
    }

    /// Drops removed streams after all subscribers have read the changes.
    pub fn forget_departed(&mut self) {
        self.departed.clear();
    }

    /// Notes a change of the stream's status.
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
