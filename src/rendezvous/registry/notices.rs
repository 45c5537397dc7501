//! Ended streams that a URL is to be notified of.

use super::Registry;
use crate::rendezvous::stream::{Stream, Watch};

impl Registry {
    /// Reads the oldest stream that ended and has a URL to notify, even if it was removed since;
    /// `None`: no other one has ended. Must be called after each act that may end one.
    pub fn take_notice<R>(&mut self, read: impl FnOnce(&Stream) -> R) -> Option<R> {
        let id = self.notices.pop_front()?;
        let read = self.watched(id).map(read);
        debug_assert!(read.is_some(), "a removed stream is kept until its notice is read");
        // Its subscribers may have to read it, too.
        self.departed.retain(|stream| stream.id != id || stream.watch == Watch::Changed);
        read
    }
}
