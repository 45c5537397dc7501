//! Callbacks for the heartbeat of the other end, as `PingHdlr` and `PongHdlr` of the original.

use std::fmt;
use std::sync::Arc;
use tungstenite::Bytes;

type PingHandler = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// A ping or pong that was received, with its payload.
#[derive(Debug)]
pub(super) enum Received {
    Ping(Bytes),
    Pong(Bytes),
}

/// What is called for pings and pongs. Pings are answered in any case.
#[derive(Clone, Default)]
pub(super) struct PingHandlers {
    pub on_ping: Option<PingHandler>,
    pub on_pong: Option<PingHandler>,
}

impl PingHandlers {
    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.on_ping.is_none() && self.on_pong.is_none()
    }

    pub(super) fn call(&self, received: &Received) {
        let (handler, payload) = match received {
            Received::Ping(payload) => (&self.on_ping, payload),
            Received::Pong(payload) => (&self.on_pong, payload),
        };
        if let Some(handler) = handler {
            handler(payload);
        }
    }
}

impl fmt::Debug for PingHandlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PingHandlers").finish_non_exhaustive()
    }
}
