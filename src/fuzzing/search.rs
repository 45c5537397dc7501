//! Every state of the registry that a few acts can reach, breadth first: two streams, three clients
//! for each side, deadlines, receipts, reports, reloads and hand-overs. The registry is the relay's
//! own, next to its naive twin ([`CheckedRegistry`]), and each state is a copy of both.
//!
//! After each act every client that was connected is still connected or was answered, once; and from
//! each state a jump in time leads to an empty registry.

mod acts;

use super::checked_registry::CheckedRegistry;
use crate::rendezvous::stream::Stream;
use crate::rendezvous::{Client, Ending, Limits, StreamState};
use acts::Act;
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// From a deadline to a time after it.
const STEP: Duration = Duration::from_millis(1);

/// Longer than any deadline.
const FOREVER: Duration = Duration::from_hours(1);

/// The limits, before and after each reload.
const LIMITS: [Limits; 2] = [
    Limits {
        streams: 2,
        streams_per_address: 0,
        unjoined_per_address: 0,
        ttl: Duration::from_secs(10),
        retention: Duration::from_secs(6),
    },
    Limits {
        streams: 1,
        streams_per_address: 1,
        unjoined_per_address: 1,
        ttl: Duration::from_secs(4),
        retention: Duration::from_secs(2),
    },
];

/// A reachable state, and the acts that lead to it.
#[derive(Clone, Debug)]
struct State {
    checked: CheckedRegistry,
    /// An index in `LIMITS`.
    limits: usize,
    acts: Vec<Act>,
}

/// Visits every state that at most this number of acts leads to. Returns how many states are
/// reached by each number of acts, and by none smaller.
pub fn search(acts_max: usize) -> Vec<usize> {
    let start = State { checked: CheckedRegistry::new(LIMITS[0]), limits: 0, acts: Vec::new() };
    let mut seen = HashSet::from([start.hash()]);
    let mut newest = vec![start];
    let mut counts = vec![newest.len()];
    for number in 1..=acts_max {
        let mut reached = Vec::new();
        let mut count = 0;
        for state in newest {
            for act in state.acts() {
                let next = state.after(act);
                if seen.insert(next.hash()) {
                    next.assert_ends();
                    count += 1;
                    // The last ones lead nowhere, and are most of all.
                    reached.extend((number < acts_max).then_some(next));
                }
            }
        }
        counts.push(count);
        newest = reached;
    }
    counts
}

impl State {
    /// Returns the state after one more act; if a check fails, prints the acts that led there.
    fn after(&self, act: Act) -> State {
        let mut next = self.clone();
        next.acts.push(act);
        next.checked_act(|state| state.run(act));
        next
    }

    /// Checks that a jump in time ends every wait, and the streams thereafter.
    fn assert_ends(&self) {
        let mut state = self.clone();
        state.checked_act(|state| {
            state.end_transfers();
            let _ = state.checked.advance(FOREVER);
            assert_eq!(state.connected(), BTreeSet::new(), "every client is answered");
            let _ = state.checked.advance(FOREVER);
            assert!(state.checked.registry.is_empty(), "a stream is left");
        });
    }

    fn checked_act(&mut self, act: impl FnOnce(&mut State)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| act(self))) {
            eprintln!("fails after: {:?}", self.acts);
            resume_unwind(panic);
        }
    }

    /// Returns the clients on streams.
    fn connected(&self) -> BTreeSet<Client> {
        self.checked.registry.from_sequence(0).flat_map(Stream::clients).flatten().collect()
    }

    /// Completes every transfer.
    fn end_transfers(&mut self) {
        for key in self.checked.keys_of(StreamState::Streaming) {
            self.checked.end(key, Ending::Finished(None));
        }
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.limits.hash(&mut hasher);
        let longest = LIMITS.iter().map(|limits| limits.ttl).max().unwrap_or_default();
        self.checked.hash_state(longest + STEP, &mut hasher);
        hasher.finish()
    }
}
