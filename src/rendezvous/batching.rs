//! When to let the kernel gather bytes before it wakes the relay (`SO_RCVLOWAT`, socket(7)).
//!
//! A bulk flow is cheaper in batches; a trickle must never wait for one. So a mark is set only
//! after the flow has proved to be bulk, never above what is still to come, and it is taken back as
//! soon as the flow slackens: [`SLACK`] after the last wake-up.

use std::time::Duration;

/// The mark, in bytes.
pub const MARK_BYTES: u32 = 128 << 10;

/// How long bytes below the mark may stay unseen.
pub const SLACK: Duration = Duration::from_millis(2);

/// A fill of at least this many bytes speaks for bulk.
const BULK_FILL: usize = 32 << 10;

/// So many such fills in a row prove it.
const PROOF: u8 = 4;

/// The mark of one source.
#[derive(Debug, Default)]
pub struct Batching {
    proof: u8,
    mark: u32,
}

impl Batching {
    /// One fill moved this many bytes.
    pub fn filled(&mut self, bytes: usize) {
        self.proof = if bytes >= BULK_FILL { PROOF.min(self.proof + 1) } else { 0 };
    }

    /// Nothing came for [`SLACK`]: the flow has to prove itself anew.
    pub fn slackened(&mut self) {
        self.proof = 0;
    }

    /// The mark the flow deserves now, if it is another than the one that is set. `left` is how
    /// many bytes are still to come, where that is known.
    pub fn change(&mut self, left: Option<u64>) -> Option<u32> {
        let bulk = self.proof == PROOF && left.is_none_or(|left| left >= u64::from(MARK_BYTES));
        let wanted = if bulk { MARK_BYTES } else { 1 };
        let was = std::mem::replace(&mut self.mark, wanted);
        (was.max(1) != wanted).then_some(wanted)
    }

    /// Whether a mark is set, so that somebody has to watch for slack.
    pub fn is_set(&self) -> bool {
        self.mark > 1
    }
}
