//! Deadlines in a heap whose entries may be early or stale: the owner's deadline is authoritative,
//! so that extending it is an assignment. A deadline set in a turn is not popped in that turn,
//! whatever its time: so no owner that sets a new one whenever one expires can keep a turn from
//! ending.

use super::id::ConnId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// The times at which to check connections.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, ConnId)>>,
    /// Entries added in this turn.
    fresh: Vec<(Instant, ConnId)>,
}

/// Below this size the heap is never worth tidying.
const TIDY_MIN: usize = 4096;

impl Timers {
    /// Schedules a check of `id` at `at`, but not before the next turn.
    pub fn push(&mut self, at: Instant, id: ConnId) {
        self.fresh.push((at, id));
    }

    /// Begins a turn: entries added before can be popped.
    pub fn begin_turn(&mut self) {
        self.heap.extend(self.fresh.drain(..).map(Reverse));
    }

    /// Returns the next connection to check, and its time, once that has passed.
    pub fn pop(&mut self, now: Instant) -> Option<(Instant, ConnId)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Returns when [`Timers::pop`] has something next.
    pub fn next(&self) -> Option<Instant> {
        let heap = self.heap.peek().map(|Reverse((at, _))| *at);
        heap.into_iter().chain(self.fresh.iter().map(|(at, _)| *at)).min()
    }

    /// Discards stale entries once they are the majority; at most `live` are not stale.
    pub fn tidy(&mut self, live: usize, is_live: impl Fn(Instant, ConnId) -> bool) {
        if self.heap.len() > TIDY_MIN.max(live * 4) {
            self.heap.retain(|Reverse((at, id))| is_live(*at, *id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn timers_fire_in_order_and_never_early() {
        let base = Instant::now();
        let id = |index| ConnId { index, generation: 1 };
        let mut timers = Timers::default();
        timers.push(base + Duration::from_secs(2), id(2));
        timers.push(base + Duration::from_secs(1), id(1));
        timers.begin_turn();
        assert_eq!(timers.pop(base), None);
        assert_eq!(timers.next(), Some(base + Duration::from_secs(1)));
        let late = base + Duration::from_secs(3);
        assert_eq!(timers.pop(late), Some((base + Duration::from_secs(1), id(1))));
        assert_eq!(timers.pop(late), Some((base + Duration::from_secs(2), id(2))));
        assert_eq!(timers.pop(late), None);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn an_expired_deadline_fires_in_the_next_turn() {
        let now = Instant::now();
        let id = ConnId { index: 0, generation: 1 };
        let mut timers = Timers::default();
        timers.push(now, id);
        assert_eq!((timers.pop(now), timers.next()), (None, Some(now)), "set in this turn");
        timers.begin_turn();
        assert_eq!(timers.pop(now), Some((now, id)));
        timers.push(now, id);
        assert_eq!(timers.pop(now), None, "its owner set it again");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn stale_entries_do_not_accumulate() {
        let base = Instant::now();
        let id = ConnId { index: 0, generation: 1 };
        let mut timers = Timers::default();
        for n in 0..100_000 {
            timers.push(base + Duration::from_secs(n), id);
            timers.begin_turn();
            timers.tidy(1, |at, _| at == base + Duration::from_secs(n));
        }
        assert!(timers.heap.len() <= TIDY_MIN + 1);
    }
}
