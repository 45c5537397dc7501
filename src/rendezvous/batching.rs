//! Decides when the kernel gathers bytes before it wakes the relay (`SO_RCVLOWAT`, socket(7)).
//!
//! Batches make a bulk flow cheaper; a slow flow must never wait for one. So the mark is raised
//! only after a flow has proved to be bulk, and further only while it reaches the mark in time. It
//! is never above the remaining bytes, and it is reset as soon as the flow slows down: [`SLACK`]
//! after the last wake-up.

use std::time::Duration;

/// The low-water marks in bytes, from that of a flow that has proved nothing. A larger one costs
/// more than it saves: the bytes of 1 MiB no longer fit into a pipe of 1 MiB.
const MARKS: [u32; 3] = [1, 128 << 10, 512 << 10];

/// Maximum bytes that all marks together let the kernel gather, unless that is less than the
/// smallest mark for each.
const GATHERED_MAX: u32 = 64 << 20;

/// Maximum time that bytes below the mark may stay unread.
pub const SLACK: Duration = Duration::from_millis(2);

/// Minimum size of a batch, the bytes read until none are left, that indicates a bulk flow.
const BULK_BATCH: usize = 32 << 10;

/// The number of such batches in sequence that raise the mark; later, of batches that reach it.
const PROOF: u8 = 4;

/// Maximum number of them for the largest mark, after the flow was too slow for it.
const PROOF_MAX: u8 = 64;

/// The low-water mark of one source.
#[derive(Debug)]
pub struct Batching {
    /// The index of the mark that the flow has proved to reach.
    level: usize,
    /// Bytes of the current batch.
    batch: usize,
    /// Consecutive batches that are a proof of the next mark.
    proof: u8,
    /// How many of them are needed above the first mark.
    needed: u8,
    /// Maximum mark.
    most: u32,
    /// The mark that is set.
    mark: u32,
}

impl Default for Batching {
    fn default() -> Self {
        Self { level: 0, batch: 0, proof: 0, needed: PROOF, most: MARKS[2], mark: MARKS[0] }
    }
}

impl Batching {
    /// Limits the mark to the share of one of this many bulk flows.
    pub fn share(&mut self, flows: usize) {
        let share = GATHERED_MAX / u32::try_from(flows.max(1)).unwrap_or(u32::MAX);
        self.most = share.max(MARKS[1]);
    }

    /// Notes bytes read from the source.
    pub fn filled(&mut self, bytes: usize) {
        self.batch += bytes;
    }

    /// Notes that the source has no bytes now, which ends a batch. Returns the new mark, if it
    /// differs from the current one. `left` is the number of remaining bytes, if known.
    pub fn blocked(&mut self, left: Option<u64>) -> Option<u32> {
        let batch = std::mem::take(&mut self.batch);
        let (enough, needed) = match self.level {
            0 => (BULK_BATCH, PROOF),
            level => (self.mark_of(level) as usize, self.needed),
        };
        self.proof = if batch >= enough { self.proof + 1 } else { 0 };
        if self.proof >= needed {
            self.proof = 0;
            self.level = (self.level + 1).min(MARKS.len() - 1);
        }
        let left = left.map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX));
        self.set(self.mark_of(self.level).min(left.max(1)))
    }

    /// Notes that nothing was received for [`SLACK`]: the flow must prove to be bulk again, and for
    /// longer if it was too slow for the largest mark. Returns the new mark, if it differs.
    pub fn slackened(&mut self) -> Option<u32> {
        if self.level + 1 == MARKS.len() {
            self.needed = self.needed.saturating_mul(4).min(PROOF_MAX);
        }
        (self.level, self.batch, self.proof) = (0, 0, 0);
        self.set(MARKS[0])
    }

    fn mark_of(&self, level: usize) -> u32 {
        MARKS[level].min(self.most)
    }

    fn set(&mut self, mark: u32) -> Option<u32> {
        let was = std::mem::replace(&mut self.mark, mark);
        (was != mark).then_some(mark)
    }

    /// Whether a mark is set, so that the [`SLACK`] timer is needed.
    pub fn is_set(&self) -> bool {
        self.mark > MARKS[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: usize = MARKS[1] as usize;

    /// The marks that this many batches of a size result in.
    fn marks(batching: &mut Batching, count: usize, bytes: usize) -> Vec<u32> {
        let batch = |_| {
            batching.filled(bytes);
            batching.blocked(None)
        };
        (0..count).filter_map(batch).collect()
    }

    /// A flow that reached the largest mark.
    fn bulk() -> Batching {
        let mut batching = Batching::default();
        assert_eq!(marks(&mut batching, 9, FIRST), MARKS[1..]);
        batching
    }

    #[test]
    fn the_mark_rises_while_the_flow_reaches_it() {
        for (name, bytes, expected) in [
            ("a bulk flow", FIRST, &MARKS[1..]),
            ("one that does not reach the first mark", BULK_BATCH, &MARKS[1..2]),
            ("small messages", BULK_BATCH - 1, &[]),
        ] {
            assert_eq!(marks(&mut Batching::default(), 99, bytes), expected, "{name}");
        }
    }

    #[test]
    fn a_batch_may_be_read_in_many_pieces() {
        let mut batching = Batching::default();
        let mut marks = Vec::new();
        for _ in 0..PROOF {
            (0..32).for_each(|_| batching.filled(BULK_BATCH / 32));
            marks.extend(batching.blocked(None));
        }
        assert_eq!(marks, [MARKS[1]]);
    }

    #[test]
    fn one_small_batch_undoes_the_proof() {
        let mut batching = Batching::default();
        for _ in 0..9 {
            let raised =
                [(3, FIRST), (1, 1)].map(|(count, bytes)| marks(&mut batching, count, bytes));
            assert!(raised.concat().is_empty(), "{raised:?}");
        }
    }

    #[test]
    fn the_mark_is_at_most_what_is_left() {
        for (name, left, mark) in [
            ("a large rest", 1 << 40, None),
            ("less than the mark", 1000, Some(1000)),
            ("one byte", 1, Some(1)),
            ("nothing", 0, Some(1)),
        ] {
            assert_eq!(bulk().blocked(Some(left)), mark, "{name}");
        }
    }

    #[test]
    fn many_flows_have_smaller_marks() {
        for (flows, mark) in [(0, 512), (1, 512), (128, 512), (256, 256), (512, 128), (9999, 128)] {
            let mut batching = Batching::default();
            batching.share(flows);
            marks(&mut batching, 9, FIRST);
            assert_eq!(batching.mark, mark << 10, "{flows} flows");
        }
    }

    #[test]
    fn a_flow_that_slackens_has_no_mark_until_it_proves_to_be_bulk_again() {
        let mut batching = bulk();
        assert_eq!(batching.slackened(), Some(1));
        assert!(!batching.is_set());
        assert_eq!(marks(&mut batching, 4, FIRST), [MARKS[1]]);
    }

    #[test]
    fn a_flow_that_is_too_slow_for_the_largest_mark_seldom_waits_for_it() {
        let mut batching = Batching::default();
        let mut too_slow = 0;
        for _ in 0..1000 {
            if marks(&mut batching, 1, FIRST) == [MARKS[2]] {
                too_slow += 1;
                batching.slackened();
            }
        }
        assert_eq!(too_slow, 16, "after 8, 20 and 68 batches, and once in 68 from then on");
    }
}
