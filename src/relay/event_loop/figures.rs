//! The figures of the relay, for operators: those of one loop, or of all workers.

use crate::ops::metrics::{ConnPhase, RelayStats};
use crate::relay::admin::{Admin, RelayStatus};
use crate::relay::agents::Agents;
use crate::relay::http1;
use crate::relay::io::{ConnId, Io, ListenerKind, Role};
use crate::relay::streams::Streams;
use crate::relay::transfers::Transfers;
use std::time::Duration;

/// What the figures of a loop are taken from.
#[derive(Debug)]
pub(super) struct Services<'l> {
    pub io: &'l mut Io,
    pub transfers: &'l mut Transfers,
    pub streams: &'l mut Streams,
    pub agents: &'l mut Agents,
    pub admin: &'l mut Admin,
    /// Descriptors or memory are exhausted: new connections are refused or wait.
    pub accept_paused: bool,
}

/// The figures of one loop, or their sum.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub status: RelayStatus,
    pub stats: RelayStats,
    /// Connections served, excluding lingering ones.
    pub served: usize,
    /// Requests and connections refused due to load.
    pub refused: u64,
    pub relayed_bytes: u64,
    /// Loop iterations, and the time they took.
    pub turns: (u64, Duration),
}

impl Services<'_> {
    /// Returns the relay's status for operators.
    pub fn status(&self) -> RelayStatus {
        let streams = self.streams.counts();
        RelayStatus {
            streams_active: streams.active,
            streams_streaming: self.transfers.len(),
            streams_held: streams.held,
            connections: self.io.conns.served(),
            accept_paused: self.accept_paused,
            pipes_exhausted: !self.io.settings.no_splice && self.transfers.is_out_of_pipes(),
        }
    }

    /// Returns the figures of this loop. Their only growing cost is one look at each connection:
    /// 0.1 ms for 10,000.
    pub fn figures(&self) -> Figures {
        let Self { io, transfers, streams, admin, .. } = self;
        let mut connections = [0; ConnPhase::ALL.len()];
        for conn in io.conns.iter().filter(|conn| conn.listener != ListenerKind::Admin) {
            connections[self.phase(conn.id) as usize] += 1;
        }
        let stats = RelayStats {
            streams: *streams.counts().tally,
            connections,
            pipes: transfers.pool.stock(),
            run_queue: io.conns.queue.len(),
            held_bytes: transfers.held_bytes(),
            max_connections: io.max_connections,
            max_streams: io.settings.max_streams,
            dropped_lines: io.journal.dropped_lines(),
            notifications: streams.notifications.counts(),
            out_of_pipes: admin.is_out_of_pipes(),
            certificate_seconds: io.settings.tls.seconds_left(io.now.wall_ms / 1000),
        };
        let metrics = &io.journal.metrics;
        Figures {
            status: self.status(),
            stats,
            served: io.conns.served(),
            refused: metrics.refused_total(),
            relayed_bytes: metrics.relayed_total(),
            turns: metrics.turns(),
        }
    }

    /// Returns the phase of a connection.
    fn phase(&self, id: ConnId) -> ConnPhase {
        match self.io.conns[id].role {
            Role::Http(state) => http1::phase(state),
            Role::Streams(slot) => self.streams.phase(self.io, id, slot),
            Role::Agents(slot) => self.agents.phase(slot),
            Role::Intake(_) => ConnPhase::Pushing,
            Role::Admin(_) => ConnPhase::Following,
        }
    }
}

impl Figures {
    /// Adds those of other workers.
    pub fn and(mut self, others: &[Self]) -> Self {
        for other in others {
            self.status.add(&other.status);
            self.stats.add(&other.stats);
            self.served += other.served;
            self.refused += other.refused;
            self.relayed_bytes += other.relayed_bytes;
            self.turns = (self.turns.0 + other.turns.0, self.turns.1 + other.turns.1);
        }
        self
    }
}
