//! Agents connecting and disconnecting, as events (`text/event-stream`, HTML Standard 9.2). A
//! subscriber that does not keep up is disconnected: events are buffered only up to a bound.

use super::event_batches::EventBatches;
use super::role::AgentRole;
use crate::api::{Busy, Failure};
use crate::http::chunked::write_framed;
use crate::relay::http1::{answer, too_busy};
use crate::relay::io::{CloseMode, ConnId, Flushed, Io, OnFlushed, Quantity, Slot};
use slab::Slab;

/// Maximum unsent events of a subscriber, in bytes.
const UNSENT_MAX_BYTES: usize = 64 << 10;

/// Sent when idle: keeps proxies and clients from timing out.
const COMMENT: &[u8] = b": keep-alive\n\n";

/// A connection that receives the events.
#[derive(Clone, Copy, Debug)]
struct Subscriber {
    id: ConnId,
    chunked: bool,
    /// The first batch that it gets.
    first: u64,
}

/// All subscribers to the events of agents.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    all: Slab<Subscriber>,
    batches: EventBatches,
    /// Events for the subscribers at the first worker, while there are some.
    collected: Option<EventBatches>,
}

impl Subscribers {
    /// Handles `GET /socket/events`: sends events from now on.
    pub fn begin(&mut self, io: &mut Io, id: ConnId, read: bool) {
        if let Some(failure) = too_busy(io) {
            return answer::failure(io, id, &failure, read);
        }
        if self.all.len() >= io.settings.events.max_followers {
            return answer::failure(io, id, &Failure::TooBusy(Busy::Followers), read);
        }
        let fields = [
            ("Content-Type", "text/event-stream"),
            ("Cache-Control", "no-store"),
            ("X-Accel-Buffering", "no"),
        ];
        // It never completes, so no request follows it.
        let Some(streamed) = answer::begin(io, id, &fields, |_| OnFlushed::Close, read) else {
            return;
        };
        // Where the end of the connection delimits the events, any kind of close will do.
        io.conns[id].reset_on_close(false);
        let subscriber = Subscriber { id, chunked: streamed.chunked, first: self.batches.seal() };
        AgentRole::Subscriber(Slot::new(self.all.insert(subscriber))).give(io, id);
        io.publish(Quantity::AgentSubscribers, self.all.len());
        io.conns.flush_or_close(id);
        io.set_timeout(id, io.settings.events.event_keep_alive);
        io.conns.enqueue(id);
    }

    /// Handles an event on a subscriber's socket: it is writable, or disconnected.
    pub fn ready(io: &mut Io, id: ConnId) {
        if io.conns[id].peer_ended() || io.conns.flush(id) == Flushed::Failed {
            io.conns.close(id, CloseMode::Orderly);
        }
    }

    /// Sends a keep-alive after an idle period.
    pub fn timeout(&self, io: &mut Io, id: ConnId, slot: Slot) {
        if io.conns[id].output.is_empty() {
            show(io, self.all[slot.key()], COMMENT);
        } else {
            io.conns.close(id, CloseMode::Orderly);
        }
    }

    /// Keeps an event for all subscribers, until [`Subscribers::show_events`].
    pub fn broadcast(&mut self, event: &[u8]) {
        if !self.all.is_empty() {
            self.batches.push(event);
        }
        if let Some(collected) = &mut self.collected {
            collected.push(event);
        }
    }

    /// Returns the number of subscribers.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Keeps events for the subscribers at the first worker, or drops them.
    pub fn collect(&mut self, wanted: bool) {
        if wanted != self.collected.is_some() {
            self.collected = wanted.then(EventBatches::default);
        }
    }

    /// Returns what was kept.
    pub fn take_collected(&mut self) -> Vec<Vec<u8>> {
        let batches = self.collected.iter_mut();
        batches
            .flat_map(|batches| std::iter::from_fn(|| batches.take()))
            .map(|(_, it)| it)
            .collect()
    }

    /// Whether [`Subscribers::show_events`] has something to do.
    pub fn have_events(&self) -> bool {
        !self.batches.is_empty()
    }

    /// Sends a batch of events to all subscribers: at most `max-followers`, one write each. The
    /// others follow in the next turns, unless there are too many.
    pub fn show_events(&mut self, io: &mut Io) {
        while let Some((number, batch)) = self.batches.take() {
            for (_, subscriber) in &self.all {
                if subscriber.first <= number {
                    show(io, *subscriber, &batch);
                }
            }
            if !self.batches.are_too_many() {
                break;
            }
        }
    }

    /// Handles a subscriber's closed connection.
    pub fn closed(&mut self, slot: Slot) {
        self.all.remove(slot.key());
    }

    /// Closes all subscribers when the relay ends.
    pub fn close_all(&self, io: &mut Io) {
        for (_, subscriber) in &self.all {
            io.conns.close(subscriber.id, CloseMode::Orderly);
        }
    }
}

/// Writes to a subscriber, unless its backlog is too large.
fn show(io: &mut Io, Subscriber { id, chunked, .. }: Subscriber, bytes: &[u8]) {
    let conn = &mut io.conns[id];
    if conn.is_closing() {
        return;
    }
    if conn.output.rest().len() + bytes.len() > UNSENT_MAX_BYTES {
        return io.conns.close(id, CloseMode::Orderly);
    }
    let framing = write_framed(conn.output.buffer(), bytes, chunked);
    if let Some(note) = &mut conn.note {
        note.framed(framing);
    }
    io.conns.flush_or_close(id);
    io.set_timeout(id, io.settings.events.event_keep_alive);
}
