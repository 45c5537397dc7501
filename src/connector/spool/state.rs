//! The state of a spool in memory: its segments, the position of delivery, and the undelivered
//! bytes. PURE; the threads of a spool share it in a mutex.

use super::SpoolLimits;
use super::cursor::Cursor;
use std::collections::VecDeque;
use uuid::Uuid;

/// Maximum parts for counting the undelivered bytes, about 150 KiB in total. A part counts as
/// delivered once all of it was.
const PARTS_MAX: u64 = 4096;

/// A file of complete records, all of them durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// The position of its first record, which is also its name.
    pub(super) first: Uuid,
    /// The position of its last record.
    pub(super) last: Uuid,
    /// Its size.
    pub(super) bytes: u64,
}

/// Consecutive undelivered records.
#[derive(Debug)]
struct RecordRange {
    last: Uuid,
    bytes: u64,
}

/// The state of a spool.
#[derive(Debug)]
pub(super) struct SpoolState {
    limits: SpoolLimits,
    /// In the order of their positions; only the last one grows.
    pub(super) segments: VecDeque<Segment>,
    /// The positions of delivery and removal.
    pub(super) cursor: Cursor,
    /// Whether the newest segment may still be appended to.
    newest_is_open: bool,
    parts: VecDeque<RecordRange>,
    pub(super) undelivered_bytes: u64,
    /// Whether the spool was closed.
    pub(super) closed: bool,
}

impl SpoolState {
    pub(super) fn new(limits: SpoolLimits, cursor: Cursor) -> Self {
        let (segments, parts) = (VecDeque::new(), VecDeque::new());
        let (newest_is_open, undelivered_bytes, closed) = (true, 0, false);
        Self { limits, segments, cursor, newest_is_open, parts, undelivered_bytes, closed }
    }

    /// Returns the highest known position.
    pub(super) fn last(&self) -> Option<Uuid> {
        let last = self.segments.back().map(|segment| segment.last);
        last.max(self.cursor.delivered).max(self.cursor.removed)
    }

    /// Adds an existing segment, whose first bytes were delivered.
    pub(super) fn found(&mut self, segment: Segment, delivered_bytes: u64) {
        self.segments.push_back(segment);
        self.waits(segment.last, segment.bytes - delivered_bytes);
    }

    /// Notes an append of `bytes` to this segment, of records up to `last`.
    pub(super) fn appended(&mut self, first_of_segment: Uuid, last: Uuid, bytes: u64) {
        match self.segments.back_mut() {
            Some(segment) if segment.first == first_of_segment => {
                segment.last = last;
                segment.bytes += bytes;
            }
            _ => self.segments.push_back(Segment { first: first_of_segment, last, bytes }),
        }
        self.newest_is_open = true;
        self.waits(last, bytes);
    }

    fn waits(&mut self, last: Uuid, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.undelivered_bytes += bytes;
        match self.parts.back_mut() {
            Some(part) if part.bytes < self.limits.max_bytes / PARTS_MAX => {
                part.last = last;
                part.bytes += bytes;
            }
            _ => self.parts.push_back(RecordRange { last, bytes }),
        }
    }

    /// Whether the limit allows `bytes` more undelivered bytes.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.undelivered_bytes.saturating_add(bytes) <= self.limits.max_bytes
    }

    /// Marks all records up to this one as delivered, up to the last one appended.
    pub(super) fn commit(&mut self, position: Uuid) {
        let position = Some(position).min(self.last());
        self.cursor.delivered = self.cursor.delivered.max(position);
        while let Some(part) = self.parts.front()
            && Some(part.last) <= self.cursor.delivered
        {
            self.undelivered_bytes -= part.bytes;
            self.parts.pop_front();
        }
    }

    /// Returns the cursor after removing all segments that need not be kept: the oldest delivered
    /// ones, until the rest is within the limit of kept bytes. The newest remains while it may be
    /// appended to.
    pub(super) fn settled(&self) -> Cursor {
        let older = self.segments.len().saturating_sub(usize::from(self.newest_is_open));
        let delivered = |segment: &&Segment| Some(segment.last) <= self.cursor.delivered;
        let removable: Vec<_> = self.segments.iter().take(older).take_while(delivered).collect();
        let mut kept_bytes: u64 = removable.iter().map(|segment| segment.bytes).sum();
        let mut cursor = self.cursor;
        for segment in removable {
            if kept_bytes <= self.limits.keep_bytes {
                break;
            }
            kept_bytes -= segment.bytes;
            cursor.removed = cursor.removed.max(Some(segment.last));
        }
        cursor
    }

    /// Releases the newest segment for removal if all of it was delivered; nothing is then appended
    /// to it. Returns whether it was released.
    pub(super) fn release_newest(&mut self) -> bool {
        let newest = self.segments.back();
        let delivered = newest.is_some_and(|it| Some(it.last) <= self.cursor.delivered);
        self.newest_is_open &= !delivered;
        delivered
    }

    /// Drops the segments up to this cursor, and returns their first positions.
    pub(super) fn forget(&mut self, saved: Cursor) -> Vec<Uuid> {
        self.cursor.removed = self.cursor.removed.max(saved.removed);
        let gone = self.segments.iter().take_while(|segment| Some(segment.last) <= saved.removed);
        let count = gone.count();
        self.segments.drain(..count).map(|segment| segment.first).collect()
    }

    /// Returns the segment of this name.
    pub(super) fn segment(&self, first: Uuid) -> Option<Segment> {
        let at = self.segments.binary_search_by_key(&first, |segment| segment.first).ok()?;
        self.segments.get(at).copied()
    }

    /// Returns the first segment after the one of this name, else the first of all.
    pub(super) fn next(&self, first: Option<Uuid>) -> Option<Segment> {
        let behind = self.segments.partition_point(|segment| Some(segment.first) <= first);
        self.segments.get(behind).copied()
    }

    /// Returns the last segment that begins at or before this position.
    pub(super) fn holding(&self, position: Uuid) -> Option<Segment> {
        let behind = self.segments.partition_point(|segment| segment.first <= position);
        self.segments.get(behind.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_records::at;
    use super::*;

    fn state(max_bytes: u64, keep_bytes: u64) -> SpoolState {
        let limits = SpoolLimits { segment_bytes: 100, max_bytes, keep_bytes };
        let mut state = SpoolState::new(limits, Cursor::default());
        // Three segments of two records each, 60 bytes per record.
        for number in 1..=6 {
            state.appended(at((number - 1) / 2 * 2 + 1), at(number), 60);
        }
        state
    }

    #[test]
    fn delivered_records_no_longer_count_as_undelivered() {
        let mut state = state(420, 0);
        assert_eq!((state.segments.len(), state.undelivered_bytes), (3, 360));
        assert!(state.has_room(60) && !state.has_room(61));
        state.commit(at(4));
        state.commit(at(1));
        assert_eq!((state.undelivered_bytes, state.cursor.delivered), (120, Some(at(4))));
        state.commit(at(99));
        assert_eq!((state.undelivered_bytes, state.cursor.delivered), (0, Some(at(6))));
    }

    #[test]
    fn parts_are_bounded_and_count_once_completely_delivered() {
        let limits = SpoolLimits { segment_bytes: 1 << 30, max_bytes: 1 << 20, keep_bytes: 0 };
        let mut state = SpoolState::new(limits, Cursor::default());
        for number in 1..=100_000 {
            state.appended(at(1), at(number), 10);
        }
        assert!(state.parts.len() as u64 <= PARTS_MAX, "{}", state.parts.len());
        state.commit(at(50_000));
        let exact = 500_000;
        assert!(
            (exact..exact + 512).contains(&state.undelivered_bytes),
            "{}",
            state.undelivered_bytes
        );
        state.commit(at(100_000));
        assert_eq!(state.undelivered_bytes, 0);
    }

    #[test]
    fn delivered_segments_are_removed_except_the_newest_and_kept_ones() {
        for (name, keep_bytes, delivered, removed) in [
            ("nothing delivered", 0, None, None),
            ("the first one half", 0, Some(1), None),
            ("the first one", 0, Some(2), Some(2)),
            ("all", 0, Some(6), Some(4)),
            ("all, one kept", 120, Some(6), Some(2)),
            ("all, almost one kept", 119, Some(6), Some(4)),
            ("all, two kept", 240, Some(6), None),
        ] {
            let mut state = state(1000, keep_bytes);
            if let Some(number) = delivered {
                state.commit(at(number));
            }
            let cursor = state.settled();
            assert_eq!(cursor.removed, removed.map(at), "{name}");
            let gone: Vec<_> = (1..=removed.unwrap_or(0)).step_by(2).map(at).collect();
            assert_eq!(state.forget(cursor), gone, "{name}");
            assert_eq!(state.last(), Some(at(6)), "{name}");
        }
    }

    #[test]
    fn a_delivered_newest_segment_is_removed_once_released() {
        let mut state = state(1000, 0);
        state.commit(at(5));
        assert!(!state.release_newest(), "the last record waits");
        state.commit(at(6));
        assert!(state.release_newest());
        let cursor = state.settled();
        assert_eq!(cursor.removed, Some(at(6)));
        assert_eq!(state.forget(cursor), [1, 3, 5].map(at));
        assert_eq!((state.segments.len(), state.last()), (0, Some(at(6))));
        state.appended(at(7), at(7), 60);
        state.commit(at(7));
        assert_eq!(state.settled().removed, Some(at(6)), "the next one is open again");
    }

    #[test]
    fn segments_are_found_by_position() {
        let state = state(1000, 0);
        let first = |found: Option<Segment>| found.map(|segment| segment.first);
        for (name, found, expected) in [
            ("by name", state.segment(at(3)), Some(3)),
            ("by no name", state.segment(at(4)), None),
            ("the first", state.next(None), Some(1)),
            ("behind a name", state.next(Some(at(3))), Some(5)),
            ("behind one that is gone", state.next(Some(at(0))), Some(1)),
            ("behind the last", state.next(Some(at(5))), None),
            ("the one that holds", state.holding(at(4)), Some(3)),
            ("before all", state.holding(at(0)), None),
            ("behind all", state.holding(at(9)), Some(5)),
        ] {
            assert_eq!(first(found), expected.map(at), "{name}");
        }
    }
}
