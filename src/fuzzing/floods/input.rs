//! What a client sends without end, as the relay's socket holds it.

use super::super::choices::Choices;
use std::rc::Rc;

/// Most bytes in the socket's buffer: more than one read takes.
const SOCKET_BYTES: usize = 128 << 10;

/// How fast a client sends.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// The socket's buffer is full in each turn.
    Full,
    /// A few hundred bytes arrive in each turn.
    Some,
    /// One byte arrives in each turn.
    Byte,
}

/// Bytes without end: some once, then others again and again.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    bytes: Rc<[u8]>,
    /// Where those begin that are repeated.
    again: usize,
}

impl Wire {
    pub(super) fn new(first: &[u8], again: &[u8]) -> Self {
        // Repeated here as well, so that few reads end where the pattern does.
        let bytes = [first, &again.repeat(1 + SOCKET_BYTES / again.len())].concat();
        Self { bytes: bytes.into(), again: first.len() }
    }

    /// Returns a connection on which it is sent.
    pub(super) fn open(&self, choices: &mut Choices<'_>) -> Input {
        let pace = choices.pick(&[Pace::Full, Pace::Full, Pace::Some, Pace::Byte]);
        Input { wire: self.clone(), at: 0, arrived: 0, pace }
    }
}

/// A connection of a client that floods.
#[derive(Debug)]
pub(super) struct Input {
    wire: Wire,
    at: usize,
    arrived: usize,
    pace: Pace,
}

impl Input {
    /// Adds the bytes that arrive between two turns.
    pub(super) fn arrive(&mut self, choices: &mut Choices<'_>) {
        let more = match self.pace {
            Pace::Full => SOCKET_BYTES,
            Pace::Some => 1 + choices.below(700),
            Pace::Byte => 1,
        };
        self.arrived = SOCKET_BYTES.min(self.arrived + more);
    }

    /// Reads up to `max` bytes; none if there are none now.
    pub(super) fn read(&mut self, max: usize) -> &[u8] {
        assert!(max > 0, "reading nothing reads as the end");
        let bytes = &self.wire.bytes;
        if self.at == bytes.len() {
            self.at = self.wire.again;
        }
        let begin = self.at;
        self.at += max.min(self.arrived).min(bytes.len() - begin);
        self.arrived -= self.at - begin;
        &bytes[begin..self.at]
    }

    /// Starts from the first byte, on another connection.
    pub(super) fn restart(&mut self) {
        (self.at, self.arrived) = (0, 0);
    }
}
