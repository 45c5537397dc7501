//! Whether the peer is alive: it is asked after half of the time that it may be silent, by a ping
//! (RFC 6455, section 5.5.2), and whatever comes from it is an answer.

use std::time::{Duration, Instant};

/// Watches over the silence of a peer.
#[derive(Debug)]
pub struct Heartbeat {
    silence_max: Duration,
    heard_at: Instant,
    asked: bool,
}

/// What to do about a peer's silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAction {
    /// Nothing yet.
    Well,
    /// Send a ping.
    Ask,
    /// It is gone.
    Dead,
}

impl Heartbeat {
    /// A peer that was heard just now, and may be silent for so long.
    pub fn new(silence_max: Duration, now: Instant) -> Self {
        Self { silence_max, heard_at: now, asked: false }
    }

    /// Something came from the peer.
    pub fn received(&mut self, now: Instant) {
        self.heard_at = now;
        self.asked = false;
    }

    /// When something came last.
    pub fn last_received_at(&self) -> Instant {
        self.heard_at
    }

    /// What to do now. A ping is asked for once.
    pub fn judge(&mut self, now: Instant) -> HeartbeatAction {
        if now >= self.heard_at + self.silence_max {
            return HeartbeatAction::Dead;
        }
        if now < self.next() || self.asked {
            return HeartbeatAction::Well;
        }
        self.asked = true;
        HeartbeatAction::Ask
    }

    /// When to judge again.
    pub fn next(&self) -> Instant {
        self.heard_at + if self.asked { self.silence_max } else { self.silence_max / 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn a_silent_peer_is_asked_once_and_then_given_up() {
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
