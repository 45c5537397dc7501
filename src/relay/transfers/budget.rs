//! How much a transfer may take in one turn. Pure.

use crate::rendezvous::transfer::{COPY_MAX, COPY_SLOW, FILL_MAX};

/// How much cheaper a spliced byte is than a parsed one: a transfer may take this many times the
/// share of a task, up to [`FILL_MAX`].
const SPLICED_PER_READ: usize = 16;

/// Cost of a copied byte in spliced ones.
const COPIED_COST: usize = 4;

/// Cost of a chunk in spliced bytes.
const CHUNK_COST: usize = 256;

/// Cost of a copied read and the write that follows, or of a read of framing, in spliced bytes.
const CALLS_COST: usize = 8 << 10;

/// The smallest limit of a copied read, in bytes.
const COPY_MIN: usize = 1 << 10;

/// Maximum pieces of a copied read sent in place; more and smaller ones are moved together first.
const PIECES_MAX: usize = 512;

/// What is left of a transfer's share of a turn, in spliced bytes.
#[derive(Debug)]
pub struct TransferBudget {
    left: usize,
    /// All of the share.
    full: usize,
    copy_max: usize,
}

impl TransferBudget {
    /// Returns the budget of a turn in which a task may take `share` bytes. `roomy`: user memory
    /// may hold more.
    pub fn of(share: usize, roomy: bool) -> Self {
        let copy_max = if roomy { COPY_MAX } else { COPY_SLOW };
        let full = (share * SPLICED_PER_READ).min(FILL_MAX);
        Self { left: full, full, copy_max: copy_max.min(share) }
    }

    /// Whether others have their turn now.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Returns the maximum bytes of a copied read: what is left of the share, because a read may
    /// turn out to hold a chunk for each 6 bytes. Many small chunks take long to parse: they are
    /// read a little at a time.
    pub fn copy_max(&self, small_chunks: bool) -> usize {
        let most = if small_chunks { self.copy_max.min(COPY_SLOW) } else { self.copy_max };
        (most * self.left / self.full).max(COPY_MIN)
    }

    /// Charges bytes that were moved into a pipe.
    pub fn spliced(&mut self, bytes: usize) {
        self.charge(bytes);
    }

    /// Charges the head of a chunk that was read alone.
    pub fn framing(&mut self) {
        self.charge(CALLS_COST + CHUNK_COST);
    }

    /// Charges a copied read, and the pieces of chunks in it; whether these are small ones.
    pub fn copied(&mut self, bytes: usize, pieces: usize) -> bool {
        self.charge(CALLS_COST + bytes * COPIED_COST + pieces * CHUNK_COST);
        pieces > PIECES_MAX
    }

    fn charge(&mut self, cost: usize) {
        self.left = self.left.saturating_sub(cost);
    }
}
