//! The handshake at either end.

use super::{Endpoint, Event, Session, SessionState};
use crate::mux::handshake::{self, Dialect, NotExpected, Welcome};
use std::time::Duration;

/// Handshake timeout at the dialling end: the peer may be busy.
pub const HANDSHAKE_TIME: Duration = Duration::from_mins(1);

/// Handshake timeout at the accepting end: two short messages over a link that needs a second each
/// way and loses some packets. The peer is not authenticated yet.
pub const INTRODUCTION_TIME: Duration = Duration::from_secs(10);

/// Longest message of the handshake, in bytes. The peer is not authenticated yet, and metadata of
/// small numbers take 16 times as much memory as their text.
const HANDSHAKE_MAX_BYTES: usize = 64 << 10;

impl Session {
    /// Sends the welcome to a peer that introduced itself.
    pub fn welcome(&mut self, welcome: &Welcome) {
        if self.state == SessionState::Introduced {
            self.codec.text(&handshake::write_welcome(welcome));
            self.state = SessionState::AwaitsAck;
        }
    }

    /// Returns the handshake timeout of this end.
    pub(super) fn handshake_time(&self) -> Duration {
        match self.end {
            Endpoint::Dialled => HANDSHAKE_TIME,
            Endpoint::Accepted => INTRODUCTION_TIME,
        }
    }

    pub(super) fn take_handshake(&mut self, text: &str) {
        if text.len() > HANDSHAKE_MAX_BYTES {
            return self.fail_protocol("a message of the handshake is longer than 64 KiB");
        }
        if let Err(not_expected) = self.shake_hands(text) {
            self.fail_protocol(not_expected.message());
        }
    }

    fn open(&mut self) {
        self.state = SessionState::Open;
        if self.dialect == Dialect::Text {
            self.codec.stream_messages();
        }
    }

    fn shake_hands(&mut self, text: &str) -> Result<(), NotExpected> {
        match self.state {
            SessionState::AwaitsMetadata => {
                let metadata = handshake::read_metadata(text)?;
                self.state = SessionState::Introduced;
                self.events.push_back(Event::Introduced(metadata));
            }
            SessionState::AwaitsWelcome => {
                let welcome = handshake::read_welcome(text)?;
                self.codec.text(&handshake::write_ack());
                self.open();
                self.events.push_back(Event::Open(Some(welcome)));
            }
            SessionState::AwaitsAck => {
                handshake::read_ack(text)?;
                self.open();
                self.events.push_back(Event::Open(None));
            }
            SessionState::Introduced => self.fail_protocol("the handshake was not answered yet"),
            SessionState::Open | SessionState::Closed => {}
        }
        Ok(())
    }
}
