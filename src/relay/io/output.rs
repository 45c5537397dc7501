//! Bytes waiting for a socket to take them.

/// Maximum sent bytes kept in an output's memory.
const SENT_MAX_BYTES: usize = 16 << 10;

/// Bytes waiting for the socket to take them.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    /// Whether the socket took everything.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns what the socket has not taken yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Returns the buffer to append to. Sent bytes are removed first, if there are enough of them:
    /// an output that is appended to indefinitely must not keep them indefinitely.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.sent > SENT_MAX_BYTES && self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.bytes
    }

    /// Removes bytes that the socket took.
    pub fn sent(&mut self, count: usize) {
        self.sent += count;
        debug_assert!(self.sent <= self.bytes.len(), "a socket takes only bytes in the buffer");
        if self.sent == self.bytes.len() {
            *self = Self::default();
        }
    }
}
