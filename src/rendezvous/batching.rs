//! Decides when the kernel gathers bytes before it wakes the relay (`SO_RCVLOWAT`, socket(7)).
//!
//! Batches make a bulk flow cheaper; a slow flow must never wait for one. So the mark is raised
//! only after a flow has proved to be bulk, and further only while it reaches the mark in time. It
//! is never above the remaining bytes. A source below its mark is looked at every few
//! milliseconds ([`Batching::look_interval`]): the mark is reset when it has only a few bytes,
//! or when the mark was not reached in time (`batch_timeout`).

use std::time::Duration;

/// The low-water marks in bytes, from that of a flow that has proved nothing. A larger one costs
/// more than it saves: the bytes of 1 MiB no longer fit into a pipe of 1 MiB.
const MARKS: [u32; 3] = [1, 128 << 10, 512 << 10];

/// Maximum bytes that all marks together let the kernel gather, unless that is less than the
/// smallest mark for each.
const GATHERED_MAX: u32 = 64 << 20;

/// The time between two looks at a source below its mark. A few bytes, or those of a flow among
/// few, stay unread for at most this time.
const SLACK: Duration = Duration::from_millis(2);

/// The same among very many bulk flows.
const SLACK_MAX: Duration = Duration::from_millis(6);

/// The number of looks in the time that a flow has to reach the mark.
const LOOKS: u32 = 8;

/// The time that a flow has to reach the mark, for each flow that shares the machine with it: three
/// times what 512 KiB take at 3.5 GiB/s.
const TIMEOUT_PER_FLOW: Duration = Duration::from_micros(500);

/// Maximum of that time.
const TIMEOUT_MAX: Duration = Duration::from_millis(50);

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
    /// The number of bulk flows, this one included.
    flows: u32,
    /// The mark that is set.
    mark: u32,
}

impl Default for Batching {
    fn default() -> Self {
        Self { level: 0, batch: 0, proof: 0, needed: PROOF, flows: 1, mark: MARKS[0] }
    }
}

impl Batching {
    /// Notes how many bulk flows there are: the more, the less the kernel gathers for each, and the
    /// less often each gets bytes.
    pub fn share(&mut self, flows: usize) {
        self.flows = u32::try_from(flows.max(1)).unwrap_or(u32::MAX);
    }

    /// Returns when to look at a source that has a mark, after the last look or read.
    pub fn look_interval(&self) -> Duration {
        (self.batch_timeout() / LOOKS).clamp(SLACK, SLACK_MAX)
    }

    /// Returns the time a flow has to reach the mark.
    fn batch_timeout(&self) -> Duration {
        TIMEOUT_PER_FLOW.saturating_mul(self.flows).clamp(SLACK, TIMEOUT_MAX)
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
            if self.is_largest() {
                self.needed = (self.needed / 4).max(PROOF);
            } else {
                self.level += 1;
            }
        }
        self.set(at_most(self.mark_of(self.level), left))
    }

    /// Returns how many bytes make a batch now.
    pub fn wanted(&self, left: Option<u64>) -> u64 {
        at_most(self.mark, left).into()
    }

    /// Notes how many bytes a look found unread, `waited` after the last ones were read. A flow that
    /// is too slow for its mark must prove to be bulk again, and for longer if that was the largest
    /// mark. Returns the new mark, if it differs.
    pub fn looked(&mut self, unread: u64, waited: Duration) -> Option<u32> {
        let is_bulk = unread == 0 || unread >= BULK_BATCH as u64;
        if is_bulk && waited < self.batch_timeout() {
            return None;
        }
        if self.is_largest() && unread > 0 {
            self.needed = self.needed.saturating_mul(4).min(PROOF_MAX);
        }
        self.reset()
    }

    /// Demands every byte at once, until the flow has proved to be bulk again. Returns the new mark,
    /// if it differs.
    pub fn reset(&mut self) -> Option<u32> {
        (self.level, self.batch, self.proof) = (0, 0, 0);
        self.set(MARKS[0])
    }

    fn is_largest(&self) -> bool {
        self.level + 1 == MARKS.len()
    }

    fn mark_of(&self, level: usize) -> u32 {
        MARKS[level].min((GATHERED_MAX / self.flows).max(MARKS[1]))
    }

    fn set(&mut self, mark: u32) -> Option<u32> {
        let was = std::mem::replace(&mut self.mark, mark);
        (was != mark).then_some(mark)
    }

    /// Whether the flow is bulk as far as seen: a mark is set, or the source has been ahead of the
    /// relay for as many bytes as the smallest one.
    pub fn is_bulk(&self) -> bool {
        self.is_set() || self.batch >= MARKS[1] as usize
    }

    /// Whether a mark is set, so that the source has to be looked at.
    pub fn is_set(&self) -> bool {
        self.mark > MARKS[0]
    }
}

/// Limits a mark to the remaining bytes, if known.
fn at_most(mark: u32, left: Option<u64>) -> u32 {
    let left = left.map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX));
    mark.min(left.max(1))
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
    fn a_source_that_is_ahead_is_bulk_before_its_batch_ends() {
        let mut batching = Batching::default();
        batching.filled(FIRST - 1);
        assert!(!batching.is_bulk());
        batching.filled(1);
        assert!(batching.is_bulk() && !batching.is_set());
        batching.blocked(None);
        assert!(!batching.is_bulk(), "it has proved nothing yet");
        assert!(bulk().is_bulk());
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
            let mut batching = bulk();
            assert_eq!(batching.wanted(Some(left)), left.clamp(1, MARKS[2].into()), "{name}");
            assert_eq!(batching.blocked(Some(left)), mark, "{name}");
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
        for (name, unread, waited) in
            [("a few bytes", 1, SLACK), ("bulk", MARKS[1], SLACK), ("nothing", 0, SLACK)]
        {
            let mut batching = bulk();
            assert_eq!(batching.looked(unread.into(), waited), Some(1), "{name}");
            assert!(!batching.is_set());
            assert_eq!(marks(&mut batching, 4, FIRST), [MARKS[1]]);
        }
    }

    #[test]
    fn among_many_flows_each_has_longer_to_reach_its_mark() {
        let milliseconds = Duration::from_millis;
        for (flows, timeout, interval) in
            [(1, 2, 2), (4, 2, 2), (32, 16, 2), (64, 32, 4), (100, 50, 6), (9999, 50, 6)]
        {
            let mut batching = bulk();
            batching.share(flows);
            assert_eq!(batching.look_interval(), milliseconds(interval), "{flows} flows");
            let (almost, long) = (milliseconds(timeout - 1), milliseconds(timeout));
            for unread in [0, BULK_BATCH as u64] {
                assert_eq!(batching.looked(unread, almost), None, "{flows} flows");
            }
            assert_eq!(batching.looked(1, milliseconds(interval)), Some(1), "{flows} flows");
            assert_eq!(bulk().looked(0, long), Some(1), "{flows} flows");
        }
    }

    #[test]
    fn a_flow_that_is_too_slow_for_the_largest_mark_seldom_waits_for_it() {
        let mut batching = Batching::default();
        let mut too_slow = 0;
        for _ in 0..1000 {
            if marks(&mut batching, 1, FIRST) == [MARKS[2]] {
                too_slow += 1;
                batching.looked(FIRST as u64, SLACK);
            }
        }
        assert_eq!(too_slow, 16, "after 8, 20 and 68 batches, and once in 68 from then on");
    }

    #[test]
    fn a_flow_that_reaches_the_largest_mark_is_trusted_again() {
        let mut batching = bulk();
        batching.looked(FIRST as u64, SLACK);
        assert_eq!(batching.needed, 4 * PROOF);
        marks(&mut batching, 4 + 16 + 16, MARKS[2] as usize);
        assert_eq!(batching.needed, PROOF);
    }
}
