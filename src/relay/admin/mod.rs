//! The operators' requests: the relay's status and the commands it obeys. The event loop knows the
//! status and passes it in as a [`RelayStatus`].

mod degraded;
mod watchers;

use crate::api::watch::Window;
use crate::api::{Control, Failure};
use crate::relay::http1::answer;
use crate::relay::io::{ConnId, Io, ServingMode, Slot};
use degraded::Degraded;
use serde_json::json;
use std::time::{Duration, Instant};
use watchers::Watchers;

/// The relay's status, as only the event loop knows it.
#[derive(Clone, Copy, Debug)]
pub struct RelayStatus {
    /// Streams that have not ended.
    pub streams_active: usize,
    /// Active streams that move bytes.
    pub streams_streaming: usize,
    /// Streams held in memory, ended ones included.
    pub streams_held: usize,
    /// Connections served, excluding lingering ones.
    pub connections: usize,
    /// Descriptors or memory are exhausted: new connections are refused or wait.
    pub accept_paused: bool,
    /// No pipe is free, nor can be freed: further transfers are copied.
    pub pipes_exhausted: bool,
}

impl RelayStatus {
    /// Adds the status of another worker.
    pub fn add(&mut self, other: &Self) {
        self.streams_active += other.streams_active;
        self.streams_streaming += other.streams_streaming;
        self.streams_held += other.streams_held;
        self.connections += other.connections;
        self.accept_paused |= other.accept_paused;
        self.pipes_exhausted |= other.pipes_exhausted;
    }
}

/// Operators' commands and the states reported to them.
#[derive(Debug)]
pub struct Admin {
    /// An operator requested a shutdown.
    stop: bool,
    /// No pipe is free, nor can be freed: other transfers are copied.
    out_of_pipes: Degraded,
    watchers: Watchers,
    started: Instant,
}

impl Admin {
    /// Creates it at the start of the process.
    pub fn new(now: Instant) -> Self {
        let out_of_pipes = Degraded::not_yet("out of pipes");
        Self { stop: false, out_of_pipes, watchers: Watchers::default(), started: now }
    }

    /// Returns whether the relay takes work, an order in this turn included.
    pub fn mode(&self, io: &Io) -> ServingMode {
        if self.stop { ServingMode::Draining } else { io.mode }
    }

    /// Returns the time since the start of the process.
    pub fn uptime(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// Handles `GET /watch`: subscribes to the state of the relay.
    pub fn watch(&mut self, io: &mut Io, id: ConnId, query: Option<&str>, read: bool) {
        self.watchers.begin(io, id, query, read);
    }

    /// Whether there are subscribers to the state of the relay.
    pub fn is_watched(&self) -> bool {
        self.watchers.next_deadline().is_some()
    }

    /// Returns the subscribers to show the state to now, with their windows of the streams.
    pub fn watchers_due(&mut self, now: Instant) -> Vec<(Slot, Window)> {
        self.watchers.due(now)
    }

    /// Whether a subscriber has not left.
    pub fn has_watcher(&self, slot: Slot) -> bool {
        self.watchers.has(slot)
    }

    /// Shows a subscriber the state of the relay.
    pub fn show_watcher(&self, io: &mut Io, slot: Slot, event: &[u8]) {
        self.watchers.show(io, slot, event);
    }

    /// Handles an event on a subscriber's socket.
    pub fn ready(io: &mut Io, id: ConnId) {
        Watchers::ready(io, id);
    }

    /// Handles a subscriber's closed connection.
    pub fn closed(&mut self, slot: Slot) {
        self.watchers.closed(slot);
    }

    /// Reports whether new streams would be served.
    pub fn readiness(&mut self, io: &mut Io, id: ConnId, standing: &RelayStatus, read: bool) {
        let reasons = obstacles(io, standing);
        let status = if reasons.is_empty() { 200 } else { 503 };
        let mut object = json!({ "ready": reasons.is_empty(), "reasons": reasons });
        if self.is_out_of_pipes() {
            object["degraded"] = json!([self.out_of_pipes.name()]);
        }
        answer::json(io, id, status, &object, read);
    }

    /// Reports the relay's activity in numbers.
    pub fn state(&mut self, io: &mut Io, id: ConnId, standing: &RelayStatus, read: bool) {
        let mut object = json!({
            "state": self.mode(io).name(),
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "connections": standing.connections,
            "streams": {
                "active": standing.streams_active,
                "streaming": standing.streams_streaming,
                "held": standing.streams_held,
            },
        });
        if let Some(node) = io.settings.nodes.node_id {
            object["node"] = node.into();
        }
        answer::json(io, id, 200, &object, read);
    }

    /// Carries out an operator's command.
    ///
    /// # Errors
    /// Returns why it is refused.
    pub fn obey(&mut self, io: &mut Io, control: Control) -> Result<(), Failure> {
        match (control, io.mode) {
            (Control::Stop, _) => self.stop = true,
            (
                Control::Suspend | Control::Resume,
                ServingMode::Draining | ServingMode::HandedOver,
            ) => {
                return Err(Failure::Stopping);
            }
            (Control::Suspend, ServingMode::Serving) => {
                log::info!("suspended: no new streams");
                io.mode = ServingMode::Suspended;
            }
            (Control::Resume, ServingMode::Suspended) => {
                log::info!("resumed");
                io.mode = ServingMode::Serving;
            }
            (Control::Suspend, ServingMode::Suspended)
            | (Control::Resume, ServingMode::Serving) => {}
        }
        Ok(())
    }

    /// Whether an operator requested a shutdown; returns `true` once.
    pub fn take_stop(&mut self) -> bool {
        std::mem::take(&mut self.stop)
    }

    /// Updates the states at the end of a turn.
    pub fn update(&mut self, io: &Io, standing: &RelayStatus) {
        self.out_of_pipes.update(io.now.monotonic, standing.pipes_exhausted);
    }

    /// Returns when [`Admin::update`] may change a state without an event, or a subscriber is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.out_of_pipes.next_deadline(), self.watchers.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether no pipe is free, nor can be freed.
    pub fn is_out_of_pipes(&self) -> bool {
        self.out_of_pipes.is_on()
    }
}

/// Returns what keeps the relay from serving new streams.
fn obstacles(io: &Io, standing: &RelayStatus) -> Vec<&'static str> {
    [
        (io.mode == ServingMode::Suspended, "suspended"),
        (io.mode.is_ending(), "draining"),
        (standing.accept_paused, "out of descriptors"),
    ]
    .into_iter()
    .filter_map(|(there, what)| there.then_some(what))
    .collect()
}
