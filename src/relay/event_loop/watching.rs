//! The state of the relay for its operators, once a second while one of them watches.

use super::EventLoop;
use crate::api::watch;
use serde_json::{Value, json};

/// Shows each subscriber the state of the relay, and its window of the streams.
pub(super) fn show(event_loop: &mut EventLoop) {
    for (slot, window) in event_loop.admin.watchers_due(event_loop.io.now.monotonic) {
        let figures = figures(event_loop);
        let EventLoop { io, transfers, streams, agents, admin, .. } = event_loop;
        let rows = streams.rows(io, transfers, window);
        let (connected, shown) = agents.shown(io.now, watch::ROWS_MAX);
        let event = watch::event(figures, (connected, &shown), &rows);
        admin.show_watcher(io, slot, &event);
    }
}

/// Returns the figures of the relay.
fn figures(event_loop: &EventLoop) -> Value {
    let EventLoop { io, transfers, admin, .. } = event_loop;
    let (status, pipes) = (event_loop.status(), transfers.pool.stock());
    let lent = pipes.large_lent + pipes.small_lent;
    let (turns, turn_time) = io.journal.metrics.turns();
    json!({
        "state": admin.mode(io).name(),
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_seconds": admin.uptime(io.now.monotonic).as_secs(),
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
