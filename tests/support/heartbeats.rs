//! Heartbeats: `102 Processing` at an interval to clients that wait.

use super::relay::Relay;
use super::request::{Ask, ask};
use super::wire::Wire;

impl Ask {
    /// From a client that accepts heartbeats.
    pub(crate) fn named(self) -> Ask {
        self.field("User-Agent", "curl/8.5.0")
    }
}

impl Wire {
    /// Reads this number of heartbeats.
    pub(crate) fn expect_heartbeats(&mut self, count: usize) {
        for _ in 0..count {
            assert_eq!(self.head().status, 102);
        }
    }

    /// Reads heartbeats and the head that follows; returns its status.
    pub(crate) fn status_after_heartbeats(&mut self) -> u16 {
        let mut statuses = std::iter::repeat_with(|| self.head().status);
        statuses.find(|status| *status != 102).expect("a response")
    }
}

impl Relay {
    /// Waits for this number of heartbeats of a new client.
    pub(crate) fn await_heartbeats(&self, count: usize) {
        let get = ask("GET", &format!("/stream/{}", self.create()));
        let mut client = self.connect();
        client.ask(&get.named());
        client.expect_heartbeats(count);
    }
}
