//! How much a transfer may take in one turn. Pure.

use crate::rendezvous::Transfer;
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
    /// Maximum bytes of a copied read of body bytes alone.
    body_max: usize,
    /// The same where chunks have to be parsed.
    chunks_max: usize,
}

impl TransferBudget {
    /// Returns the budget of a turn in which a task may take `share` bytes. `roomy`: user memory
    /// may hold more.
    pub fn of(share: usize, roomy: bool) -> Self {
        let body_max = if roomy { COPY_MAX } else { COPY_SLOW };
        let full = (share * SPLICED_PER_READ).min(FILL_MAX);
        Self { left: full, full, body_max, chunks_max: body_max.min(share) }
    }

    /// Whether others have their turn now.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Returns the maximum bytes of a copied read. Body bytes alone may be as many as the budget
    /// affords. With chunks it is what is left of the share, because a read may turn out to hold a
    /// chunk for each 6 bytes. Many small chunks take long to parse: they are read a little at a
    /// time.
    pub fn copy_max(&self, transfer: &Transfer, small_chunks: bool) -> usize {
        let most = match (transfer.in_chunks(), small_chunks) {
            (false, _) => (self.left / COPIED_COST).min(self.body_max),
            (true, false) => self.of_share(self.chunks_max),
            (true, true) => self.of_share(self.chunks_max.min(COPY_SLOW)),
        };
        most.max(COPY_MIN)
    }

    /// Returns the part of `bytes` that corresponds to what is left of the share.
    fn of_share(&self, bytes: usize) -> usize {
        bytes * self.left / self.full
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::framing::Framing;
    use crate::rendezvous::transfer::Delimiter;

    const LENGTH: Framing = Framing::Length(1 << 30);

    fn transfer(framing: Framing) -> Transfer {
        Transfer::new(framing, Delimiter::Close, Vec::new(), true)
    }

    #[test]
    fn a_copied_read_takes_what_the_budget_affords_unless_chunks_have_to_be_parsed() {
        for (name, share, roomy, framing, small_chunks, bytes) in [
            ("alone", 256 << 10, true, LENGTH, false, COPY_MAX),
            ("among 100", 40 << 10, true, LENGTH, false, 160 << 10),
            ("among 1000", 4 << 10, true, LENGTH, false, 16 << 10),
            ("much is held", 256 << 10, false, LENGTH, false, COPY_SLOW),
            ("chunks", 40 << 10, true, Framing::Chunked, false, 40 << 10),
            ("chunks, alone", 256 << 10, true, Framing::Chunked, false, COPY_MAX),
            ("small chunks", 40 << 10, true, Framing::Chunked, true, COPY_SLOW),
        ] {
            let budget = TransferBudget::of(share, roomy);
            assert_eq!(budget.copy_max(&transfer(framing), small_chunks), bytes, "{name}");
        }
    }

    #[test]
    fn copied_reads_spend_the_budget_completely() {
        let mut budget = TransferBudget::of(40 << 10, true);
        budget.copied(60 << 10, 1);
        let rest = budget.copy_max(&transfer(LENGTH), false);
        assert!((96 << 10..100 << 10).contains(&rest), "{rest} bytes after 60 KiB of 160");
        budget.copied(rest, 1);
        assert!(budget.is_spent());
        assert_eq!(budget.copy_max(&transfer(LENGTH), false), COPY_MIN);
    }
}
