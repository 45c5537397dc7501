//! The events of a stream (`text/event-stream`, HTML Standard 9.2): its status at once, when it
//! changes, and at its end. A subscriber that does not keep up misses events and gets the newest
//! one later; at most one is kept for it. Subscribers are limited for each stream and in total, and
//! change nothing.

use super::subscriber::{LOOK_PERIOD, Shown, Subscriber};
use crate::relay::http1::answer;
use crate::relay::io::{CloseMode, ConnId, Flushed, Io, OnFlushed, Slot};
use crate::rendezvous::Registry;
use slab::Slab;
use std::collections::HashMap;
use std::time::Instant;
use uuid::Uuid;

/// Maximum subscribers of one stream: a person with a few windows, not an audience.
const PER_STREAM: usize = 16;

/// Maximum unsent events in the kernel (`TCP_NOTSENT_LOWAT`, tcp(7)): more would only become
/// outdated.
const UNSENT_MAX: u32 = 16 << 10;

/// All subscribers.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    all: Slab<Subscriber>,
    by_stream: HashMap<Uuid, Vec<Slot>>,
}

/// A subscriber whose response is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubscriberDone {
    pub id: ConnId,
    pub after: OnFlushed,
}

impl Subscribers {
    /// Whether one more may subscribe to this stream, with at most `max` in total.
    pub fn have_room(&self, stream: Uuid, max: usize) -> bool {
        let of_stream = self.by_stream.get(&stream).map_or(0, Vec::len);
        self.all.len() < max && of_stream < PER_STREAM
    }

    /// Returns the number of all.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Begins the response; `None`: only its head was requested.
    pub fn begin(&mut self, io: &mut Io, id: ConnId, stream: Uuid, read: bool) -> Option<Slot> {
        let fields = [
            ("Content-Type", "text/event-stream"),
            ("Cache-Control", "no-store"),
            ("X-Accel-Buffering", "no"),
        ];
        let streamed = answer::begin(io, id, &fields, |after| after, read)?;
        io.conns[id].limit_unsent(UNSENT_MAX);
        let subscriber = Subscriber::new(id, stream, streamed, io.now.monotonic);
        let slot = Slot::new(self.all.insert(subscriber));
        self.by_stream.entry(stream).or_default().push(slot);
        if io.conns[id].peer_ended() {
            // A FIN received with its request raises no further event.
            io.conns.enqueue(id);
        }
        Some(slot)
    }

    /// Removes a subscriber; returns its stream if that has none left.
    pub fn remove(&mut self, slot: Slot) -> Option<Uuid> {
        let stream = self.all.remove(slot.key()).stream;
        let all = self.by_stream.get_mut(&stream)?;
        all.retain(|other| *other != slot);
        if !all.is_empty() {
            return None;
        }
        self.by_stream.remove(&stream);
        Some(stream)
    }

    /// Returns the current subscribers of a stream.
    pub fn of(&self, stream: Uuid) -> Vec<Slot> {
        self.by_stream.get(&stream).cloned().unwrap_or_default()
    }

    /// Returns their connections.
    pub fn connections_of(&self, stream: Uuid) -> Vec<ConnId> {
        self.of(stream).into_iter().map(|slot| self.all[slot.key()].id).collect()
    }

    /// Returns, once a second, the stream whose bottleneck is to be judged again for this
    /// subscriber.
    pub fn wants_verdict(&mut self, slot: Slot, now: Instant) -> Option<Uuid> {
        let subscriber = &mut self.all[slot.key()];
        let due = subscriber.shown.is_none() || subscriber.looked_at + LOOK_PERIOD <= now;
        if due {
            subscriber.looked_at = now;
        }
        due.then_some(subscriber.stream)
    }

    /// Handles an event on a subscriber's socket: it is writable, or disconnected. Whether it is to
    /// be sent more.
    pub fn ready(&mut self, io: &mut Io, id: ConnId, slot: Slot) -> bool {
        let before = io.conns[id].output.rest().len();
        if io.conns[id].peer_ended() || io.conns.flush(id) == Flushed::Failed {
            io.conns.close(id, CloseMode::Orderly);
            return false;
        }
        if io.conns[id].output.rest().len() < before {
            self.all[slot.key()].taken_at = io.now.monotonic;
        }
        true
    }

    /// Handles a subscriber's timeout: it stalled, or is to be sent more, which is returned.
    pub fn timeout(&mut self, io: &mut Io, id: ConnId, slot: Slot) -> bool {
        let taken_at = self.all[slot.key()].taken_at;
        let idle = io.now.monotonic.saturating_duration_since(taken_at);
        let stalled = !io.conns[id].output.is_empty() && idle >= io.settings.keep_alive_timeout;
        if stalled {
            io.conns.close(id, CloseMode::Orderly);
        }
        !stalled
    }

    /// Shows a subscriber what is new; returns the end of its response.
    pub fn show(&mut self, io: &mut Io, registry: &Registry, slot: Slot) -> Option<SubscriberDone> {
        let now = io.now.monotonic;
        let subscriber = &mut self.all[slot.key()];
        let id = subscriber.id;
        if io.conns[id].is_closing() {
            return None;
        }
        let keep_alive = io.settings.events.event_keep_alive;
        let stream = registry.watched(subscriber.stream);
        match subscriber.show(stream, now, keep_alive, &mut io.conns[id].output) {
            Shown::Behind => {
                let until = subscriber.taken_at.checked_add(io.settings.keep_alive_timeout);
                io.conns.set_deadline(id, until);
            }
            Shown::Wrote => {
                io.conns.flush_or_close(id);
                self.wait(io, slot);
            }
            Shown::Nothing(until) => io.conns.set_deadline(id, Some(until)),
            Shown::Over(after) => {
                io.conns[id].limit_unsent(0);
                return Some(SubscriberDone { id, after });
            }
            Shown::Dropped => io.conns.close(id, CloseMode::Orderly),
        }
        None
    }

    /// Sets the next deadline after a write.
    fn wait(&self, io: &mut Io, slot: Slot) {
        let subscriber = &self.all[slot.key()];
        let id = subscriber.id;
        let until = if io.conns[id].output.is_empty() {
            let comment_at = subscriber.written_at.checked_add(io.settings.events.event_keep_alive);
            comment_at.into_iter().chain(subscriber.looked_at.checked_add(LOOK_PERIOD)).min()
        } else {
            subscriber.taken_at.checked_add(io.settings.keep_alive_timeout)
        };
        io.conns.set_deadline(id, until);
    }
}
