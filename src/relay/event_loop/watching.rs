//! The state of the relay for its operators, once a second while one of them watches.

use super::figures::{Figures, Services};
use crate::api::watch::{self, Rows, Window};
use crate::relay::io::Slot;
use serde_json::{Value, json};

/// The streams and the agents of one worker, for a window.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub rows: Rows,
    /// How many agents there are.
    pub agents: usize,
    /// The objects of some.
    pub objects: Vec<String>,
}

/// Returns what one worker has for a window.
pub(super) fn shown(services: &mut Services<'_>, window: Window) -> Shown {
    let Services { io, transfers, streams, agents, .. } = services;
    let rows = streams.rows(io, transfers, window);
    let (agents, objects) = agents.shown(io.now, watch::ROWS_MAX);
    Shown { rows, agents, objects }
}

/// Shows a subscriber the state of the relay, and its window with what all workers have.
pub(super) fn show(
    services: &mut Services<'_>,
    (slot, window): (Slot, Window),
    parts: Vec<Shown>,
    figures: Figures,
) {
    if !services.admin.has_watcher(slot) {
        return;
    }
    let agents = parts.iter().map(|part| part.agents).sum();
    let objects: Vec<String> =
        parts.iter().flat_map(|part| &part.objects).take(watch::ROWS_MAX).cloned().collect();
    let rows = Rows::join(parts.into_iter().map(|part| part.rows), window.rows);
    let figures = described(services, figures);
    let event = watch::event(figures, (agents, &objects), &rows);
    services.admin.show_watcher(services.io, slot, &event);
}

/// Returns the figures as an object.
fn described(services: &Services<'_>, figures: Figures) -> Value {
    let Services { io, admin, .. } = services;
    let Figures { status, stats, served, refused, relayed_bytes, turns: (turns, turn_time) } =
        figures;
    let pipes = stats.pipes;
    let lent = pipes.large_lent + pipes.small_lent;
    json!({
        "state": admin.mode(io).name(),
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_seconds": admin.uptime(io.now.monotonic).as_secs(),
        "connections": { "open": served, "max": io.max_connections },
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
        "refused": refused,
        "transferred_bytes": relayed_bytes,
        "turns": { "count": turns, "seconds": turn_time.as_secs_f64() },
    })
}
