//! Detection of dead peers: a ping (RFC 6455, section 5.5.2) is sent after half of the permitted
//! silence, and any data from the peer counts as an answer.

use std::time::{Duration, Instant};

/// Tracks the silence of a peer.
#[derive(Debug)]
pub struct Heartbeat {
    silence_max: Duration,
    received_at: Instant,
    pinged: bool,
}

/// The action that a peer's silence requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAction {
    /// None yet.
    Well,
    /// Send a ping.
    Ask,
    /// Treat the peer as dead.
    Dead,
}

impl Heartbeat {
    /// Starts with a peer that was active just now and may be silent for up to `silence_max`.
    pub fn new(silence_max: Duration, now: Instant) -> Self {
        Self { silence_max, received_at: now, pinged: false }
    }

    /// Records that data was received from the peer.
    pub fn received(&mut self, now: Instant) {
        self.received_at = now;
        self.pinged = false;
    }

    /// Returns when data was last received.
    pub fn last_received_at(&self) -> Instant {
        self.received_at
    }

    /// Returns the action to take now. [`HeartbeatAction::Ask`] is returned once per silence.
    pub fn judge(&mut self, now: Instant) -> HeartbeatAction {
        if now >= self.received_at + self.silence_max {
            return HeartbeatAction::Dead;
        }
        if now < self.next() || self.pinged {
            return HeartbeatAction::Well;
        }
        self.pinged = true;
        HeartbeatAction::Ask
    }

    /// Returns when to judge again.
    pub fn next(&self) -> Instant {
        self.received_at + if self.pinged { self.silence_max } else { self.silence_max / 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn a_silent_peer_is_pinged_once_and_then_dead() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut heartbeat = Heartbeat::new(Duration::from_secs(20), start);
        assert_eq!((heartbeat.judge(at(9)), heartbeat.next()), (HeartbeatAction::Well, at(10)));
        assert_eq!((heartbeat.judge(at(10)), heartbeat.next()), (HeartbeatAction::Ask, at(20)));
        assert_eq!(heartbeat.judge(at(11)), HeartbeatAction::Well, "asked already");
        heartbeat.received(at(19));
        assert_eq!((heartbeat.judge(at(20)), heartbeat.next()), (HeartbeatAction::Well, at(29)));
        assert_eq!(heartbeat.judge(at(30)), HeartbeatAction::Ask);
        assert_eq!(heartbeat.judge(at(39)), HeartbeatAction::Dead);
    }
}
