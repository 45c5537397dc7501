//! The handshake, as either end sees it.

use super::{Endpoint, Event, Session, SessionState};
use crate::mux::handshake::{self, NotExpected, Welcome};
use std::time::Duration;

/// How long the handshake may take for the end that dialled: the other one may be busy.
pub const HANDSHAKE_TIME: Duration = Duration::from_mins(1);

/// How long it may take for the end that accepted: two short messages of whoever dialled, over a link
/// that needs a second for each way and loses some. Nobody knows yet who that is.
pub const INTRODUCTION_TIME: Duration = Duration::from_secs(10);

/// The longest message of the handshake, in bytes. Nobody knows yet who sends it, and metadata of
/// small numbers take 16 times as much memory as their text.
const HANDSHAKE_MAX_BYTES: usize = 64 << 10;

impl Session {
    /// Welcomes who introduced itself.
    pub fn welcome(&mut self, welcome: &Welcome) {
        if self.state == SessionState::Introduced {
            self.codec.text(&handshake::write_welcome(welcome));
            self.state = SessionState::AwaitsAck;
        }
    }

    /// How long the handshake may take at this end.
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
                self.state = SessionState::Open;
                self.events.push_back(Event::Open(Some(welcome)));
            }
            SessionState::AwaitsAck => {
                handshake::read_ack(text)?;
                self.state = SessionState::Open;
                self.events.push_back(Event::Open(None));
            }
            SessionState::Introduced => self.fail_protocol("the handshake was not answered yet"),
            SessionState::Open | SessionState::Closed => {}
        }
        Ok(())
    }
}
