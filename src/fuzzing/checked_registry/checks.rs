//! Comparison of both registries, and the state that decides how they continue.

use super::{CheckedRegistry, START};
use crate::rendezvous::StreamState;
use std::hash::{Hash, Hasher};
use std::time::Duration;

impl CheckedRegistry {
    /// Checks that both registries show the same state.
    pub(super) fn check(&mut self) {
        let mut records = Vec::new();
        while let Some(record) = self.registry.take_record() {
            records.push((record.id, record.state, record.clients));
        }
        assert_eq!(records, std::mem::take(&mut self.records), "each end is recorded once");
        self.registry.assert_consistent();
        self.check_counts();
        self.check_streams();
        let timed = self.streams.iter().filter(|s| s.waits() || s.ended.is_some());
        let next = timed.map(|stream| *START + stream.deadline).min();
        assert_eq!(self.registry.next_deadline(), next);
    }

    fn check_counts(&self) {
        let registry = &self.registry;
        assert_eq!(registry.len(), self.streams.len());
        assert_eq!(registry.is_empty(), self.streams.is_empty());
        assert!(registry.len() <= self.held_max);
        let active = self.streams.iter().filter(|stream| stream.ended.is_none()).count();
        assert_eq!(registry.active(), active);
        let unjoined =
            self.streams.iter().filter(|stream| stream.state == StreamState::Created).count();
        assert_eq!(registry.unjoined(), unjoined);
        let mut creators: Vec<_> =
            self.streams.iter().filter(|s| s.ended.is_none()).map(|s| s.creator).collect();
        creators.sort_unstable();
        creators.dedup();
        assert_eq!(registry.creators(), creators.len());
    }

    fn check_streams(&self) {
        let registry = &self.registry;
        let listed: Vec<_> = registry.from_sequence(0).map(|s| (s.id(), s.state())).collect();
        let expected: Vec<_> = self.streams.iter().map(|s| (s.id, s.state)).collect();
        assert_eq!(listed, expected, "oldest first");
        for stream in &self.streams {
            let found = registry.get(stream.id).expect("it is held");
            assert_eq!(found.state(), stream.state);
            assert_eq!(found.clients(), stream.clients);
            assert_eq!(found.is_active(), stream.ended.is_none());
            assert_eq!(found.ended_wall_ms().is_some(), stream.ended.is_some());
            assert_eq!(found.pending_report(), stream.report.as_ref());
            assert_eq!(found.receipt(), stream.receipt.as_ref());
            assert_eq!(found.awaits_ack(), stream.awaits_ack);
        }
    }

    /// Hashes all that decides how it continues: times relative to now, ages only up to `oldest`;
    /// of clients that one is connected, as they are interchangeable; of an end whether receipts
    /// are confirmed after it.
    pub(in crate::fuzzing) fn hash_state(&self, oldest: Duration, hasher: &mut impl Hasher) {
        for stream in &self.streams {
            stream.receipt.as_ref().map(std::mem::discriminant).hash(hasher);
            stream.deadline.saturating_sub(self.now).hash(hasher);
            // The order of equal deadlines.
            self.streams.iter().filter(|it| it.key < stream.key).count().hash(hasher);
            stream.ended.is_some().hash(hasher);
            if stream.ended.is_some() {
                (stream.state == StreamState::Finished).hash(hasher);
                self.streams.iter().filter(|it| it.ended < stream.ended).count().hash(hasher);
                continue;
            }
            stream.state.hash(hasher);
            stream.creator.hash(hasher);
            stream.report.is_some().hash(hasher);
            stream.awaits_ack.hash(hasher);
            self.now.saturating_sub(stream.created).min(oldest).hash(hasher);
        }
    }
}
