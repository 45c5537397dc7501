//! How much of what an agent sends is processed in one turn: bytes, and frames, because a read of
//! 64 KiB may hold 10,922 empty ones. Pure.

use crate::mux::session::Session;
use std::time::Instant;

/// Maximum bytes per read.
const READ_MAX: usize = 64 << 10;

/// Minimum bytes a frame counts for in a turn's budget: about the cost of processing one.
const FRAME_BYTES: usize = 1 << 10;

/// What is left of an agent's share of a turn.
#[derive(Debug)]
pub struct FrameBudget {
    bytes: usize,
    /// Maximum frames of one read.
    frames: u32,
}

impl FrameBudget {
    /// Returns the budget of a turn in which a task may take `share` bytes.
    pub fn of(share: usize) -> Self {
        let frames = u32::try_from(share / FRAME_BYTES).unwrap_or(u32::MAX);
        Self { bytes: share, frames }
    }

    /// Returns how many bytes to read at once.
    pub fn read_bytes(&self) -> usize {
        self.bytes.clamp(1, READ_MAX)
    }

    /// Whether others have their turn now.
    pub fn is_spent(&self) -> bool {
        self.bytes == 0
    }

    /// Processes bytes that were read.
    pub fn receive(&mut self, session: &mut Session, bytes: &[u8], now: Instant) {
        session.in_turns_of(self.frames);
        session.received(bytes, now);
        let cost = bytes.len().max(session.frames() as usize * FRAME_BYTES);
        // The rest are many small frames, left for the next turns.
        self.bytes = if session.has_more() { 0 } else { self.bytes.saturating_sub(cost) };
    }

    /// Continues with what was received before: many small frames, which use up the budget.
    pub fn resume(&mut self, session: &mut Session) {
        session.in_turns_of(self.frames);
        session.resume();
        self.bytes = 0;
    }
}
