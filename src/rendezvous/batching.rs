//! Decides when the kernel gathers bytes before it wakes the relay (`SO_RCVLOWAT`, socket(7)).
//!
//! Batches make a bulk flow cheaper; a slow flow must never wait for one. So the mark is raised
//! only after a flow has proved to be bulk, never above the remaining bytes, and it is reset as
//! soon as the flow slows down: [`SLACK`] after the last wake-up.

use std::time::Duration;

/// The low-water mark, in bytes.
pub const MARK_BYTES: u32 = 128 << 10;

/// Maximum time that bytes below the mark may stay unread.
pub const SLACK: Duration = Duration::from_millis(2);

/// Minimum size of a fill that indicates a bulk flow.
const BULK_FILL: usize = 32 << 10;

/// The number of consecutive such fills that prove it.
const PROOF: u8 = 4;

/// The low-water mark of one source.
#[derive(Debug, Default)]
pub struct Batching {
    proof: u8,
    mark: u32,
}

impl Batching {
    /// Notes a fill of this many bytes.
    pub fn filled(&mut self, bytes: usize) {
        self.proof = if bytes >= BULK_FILL { PROOF.min(self.proof + 1) } else { 0 };
    }

    /// Notes that nothing was received for [`SLACK`]: the flow must prove to be bulk again.
    pub fn slackened(&mut self) {
        self.proof = 0;
    }

    /// Returns the new mark, if it differs from the current one. `left` is the number of remaining
    /// bytes, if known.
    pub fn change(&mut self, left: Option<u64>) -> Option<u32> {
        let bulk = self.proof == PROOF && left.is_none_or(|left| left >= u64::from(MARK_BYTES));
        let wanted = if bulk { MARK_BYTES } else { 1 };
        let was = std::mem::replace(&mut self.mark, wanted);
        (was.max(1) != wanted).then_some(wanted)
    }

    /// Whether a mark is set, so that the [`SLACK`] timer is needed.
    pub fn is_set(&self) -> bool {
        self.mark > 1
    }
}
