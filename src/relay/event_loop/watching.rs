//! The state of the relay for its operators, once a second while one of them watches.

use super::EventLoop;
use crate::api::watch;
use serde_json::{Value, json};

impl EventLoop {
    /// Shows each subscriber the state of the relay, and its window of the streams.
    pub(super) fn show_watchers(&mut self) {
        for (slot, window) in self.admin.watchers_due(self.io.now.monotonic) {
            let rows = self.streams.rows(&self.io, &mut self.transfers, window);
            let agents = self.agents.shown(self.io.now, watch::ROWS_MAX);
            let figures = self.figures();
            let event = watch::event(figures, (agents.0, &agents.1), &rows);
            self.admin.show_watcher(&mut self.io, slot, &event);
        }
    }

    /// Returns the figures of the relay.
    fn figures(&self) -> Value {
        let Self { io, transfers, .. } = self;
        let (status, pipes) = (self.status(), transfers.pool.stock());
        let lent = pipes.large_lent + pipes.small_lent;
        let (turns, turn_time) = io.journal.metrics.turns();
        json!({
            "state": self.admin.mode(io).name(),
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_seconds": self.admin.uptime(io.now.monotonic).as_secs(),
            "connections": { "open": io.conns.served(), "max": io.max_connections },
            "streams": {
                "active": status.streams_active,
                "streaming": status.streams_streaming,
                "held": status.streams_held,
                "max": io.settings.max_streams,
            },
            "pipes": {
                "lent": lent,
                "idle": pipes.large_open + pipes.small_open - lent,
                "max": io.settings.max_pipes,
            },
            "refused": io.journal.metrics.refused_total(),
            "transferred_bytes": io.journal.metrics.relayed_total(),
            "turns": { "count": turns, "seconds": turn_time.as_secs_f64() },
        })
    }
}
