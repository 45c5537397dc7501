//! Subscribers to the state of the relay (`text/event-stream`, HTML Standard 9.2): one event a
//! second. Each shows a window of the streams, so that its cost does not grow with their number. A
//! subscriber that does not keep up misses events.

use crate::api::watch::Window;
use crate::api::{Busy, Failure};
use crate::http::chunked::write_framed;
use crate::relay::http1::answer;
use crate::relay::io::{CloseMode, ConnId, Flushed, Io, OnFlushed, Role, Slot};
use slab::Slab;
use std::time::{Duration, Instant};

/// Time between two events.
const PERIOD: Duration = Duration::from_secs(1);

/// Maximum subscribers: a few operators, with a few windows.
const MAX: usize = 16;

/// One subscriber.
#[derive(Clone, Copy, Debug)]
struct Watcher {
    id: ConnId,
    window: Window,
    chunked: bool,
}

/// All subscribers.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    all: Slab<Watcher>,
    /// When the next event is due; `None` without subscribers.
    next_at: Option<Instant>,
}

impl Watchers {
    /// Handles `GET /watch`; the first event follows in this turn.
    pub fn begin(&mut self, io: &mut Io, id: ConnId, query: Option<&str>, read: bool) {
        if self.all.len() >= MAX {
            return answer::failure(io, id, &Failure::TooBusy(Busy::Followers), read);
        }
        let fields = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")];
        // It never completes, so no request follows it.
        let Some(streamed) = answer::begin(io, id, &fields, |_| OnFlushed::Close, read) else {
            return;
        };
        // Where the end of the connection delimits the events, any kind of close will do.
        io.conns[id].reset_on_close(false);
        let window = Window::parse(query);
        let slot = self.all.insert(Watcher { id, window, chunked: streamed.chunked });
        io.conns[id].role = Role::Admin(Slot::new(slot));
        io.conns.set_deadline(id, None);
        io.conns.flush_or_close(id);
        if io.conns[id].peer_ended() {
            // A FIN received with its request raises no further event.
            io.conns.enqueue(id);
        }
        self.next_at = Some(io.now.monotonic);
    }

    /// Returns when the next event is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_at
    }

    /// Returns the windows to show now; empty before the next event is due.
    pub fn due(&mut self, now: Instant) -> Vec<(Slot, Window)> {
        if self.next_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.next_at = (!self.all.is_empty()).then_some(now + PERIOD);
        self.all.iter().map(|(key, watcher)| (Slot::new(key), watcher.window)).collect()
    }

    /// Whether this subscriber has not left.
    pub fn has(&self, slot: Slot) -> bool {
        self.all.contains(slot.key())
    }

    /// Sends a subscriber an event, unless it has not taken the last one.
    pub fn show(&self, io: &mut Io, slot: Slot, event: &[u8]) {
        let Watcher { id, chunked, .. } = self.all[slot.key()];
        let conn = &mut io.conns[id];
        if conn.is_closing() || !conn.output.is_empty() {
            return;
        }
        write_framed(conn.output.buffer(), event, chunked);
        io.conns.flush_or_close(id);
        if !io.conns[id].output.is_empty() {
            io.set_timeout(id, io.settings.keep_alive_timeout);
        }
    }

    /// Handles an event on a subscriber's socket: it is writable, or disconnected.
    pub fn ready(io: &mut Io, id: ConnId) {
        if io.conns[id].peer_ended() || io.conns.flush(id) == Flushed::Failed {
            io.conns.close(id, CloseMode::Orderly);
        } else if io.conns[id].output.is_empty() {
            io.conns.set_deadline(id, None);
        }
    }

    /// Handles a subscriber's closed connection.
    pub fn closed(&mut self, slot: Slot) {
        self.all.remove(slot.key());
        if self.all.is_empty() {
            self.next_at = None;
        }
    }
}
