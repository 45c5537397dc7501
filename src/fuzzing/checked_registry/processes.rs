//! A reload of the limits, and a hand-over to another process.

use super::{CheckedRegistry, Naive};
use crate::rendezvous::{
    AdoptedStream, Client, CreateError, Limits, Now, ReleasedStream, StreamState,
};

impl CheckedRegistry {
    /// Changes the limits.
    pub(in crate::fuzzing) fn set_limits(&mut self, limits: Limits) {
        self.registry.set_limits(limits, self.now());
        let latest = self.now + limits.retention;
        for stream in self.streams.iter_mut().filter(|stream| stream.ended.is_some()) {
            stream.deadline = stream.deadline.min(latest);
        }
        self.limits = limits;
        self.held_max = limits.streams.max(self.streams.len());
        self.check();
    }

    /// Hands the waiting streams over to another registry; returns it, and the clients that are
    /// answered.
    pub(in crate::fuzzing) fn hand_over(&mut self) -> (CheckedRegistry, Vec<Client>) {
        let given = self.registry.give_away_waiting();
        let (waiting, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.streams).into_iter().partition(Naive::waits);
        self.streams = rest;
        self.check();
        assert_eq!(given.len(), waiting.len());
        let mut successor = CheckedRegistry::new(self.limits);
        (successor.now, successor.made) = (self.now, self.made);
        let mut answered = Vec::new();
        for (given, stream) in given.iter().zip(waiting) {
            assert_eq!(given.stream.clients(), stream.clients);
            answered.extend(stream.clients.iter().flatten());
            successor.adopt(given, stream);
        }
        (successor, answered)
    }

    /// Takes over a stream, as the relay does.
    fn adopt(&mut self, given: &ReleasedStream, mut old: Naive) {
        let given_stream = &given.stream;
        assert_eq!(given_stream.id(), old.id);
        assert_eq!(given_stream.awaits_ack(), old.awaits_ack);
        assert_eq!(given_stream.pending_report(), old.report.as_ref());
        let created =
            Now { monotonic: given_stream.created(), wall_ms: given_stream.created_wall_ms() };
        let adopted = AdoptedStream {
            id: old.id,
            headers: None,
            creator: given.creator,
            created,
            deadline: given_stream.deadline(),
        };
        let adopted = self.registry.adopt(adopted, self.now());
        if !self.make_room() {
            assert_eq!(adopted, Err(CreateError::Registry));
            return self.check();
        }
        let key = adopted.expect("there is a place");
        if old.awaits_ack {
            self.registry.await_ack(key);
        }
        let (id, report) = (old.id, old.report.take());
        let deadline = old.deadline.max(self.now);
        let (state, clients, receipt) = (StreamState::Created, [None, None], None);
        self.streams.push(Naive { key, state, clients, receipt, deadline, ..old });
        self.check();
        if let Some(report) = report {
            assert_eq!(self.report(id, report), None, "no client has connected here");
        }
    }
}
