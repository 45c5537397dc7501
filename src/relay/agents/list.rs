//! The readers of the list of agents.

use super::departures::{AgentCargo, AgentDeparture};
use super::listing::AgentListing;
use super::role::{AgentRole, release};
use super::sessions::Sessions;
use crate::relay::http1::{JsonArray, answer};
use crate::relay::io::{CloseMode, ConnId, Flushed, Io, Slot};
use slab::Slab;

/// All readers of the list.
#[derive(Debug, Default)]
pub(super) struct Lists {
    all: Slab<AgentListing>,
    pub departures: Vec<AgentDeparture>,
}

impl Lists {
    /// Handles `GET /socket`: begins the list.
    pub fn begin(&mut self, io: &mut Io, sessions: &Sessions, id: ConnId, read: bool) {
        let json = [("Content-Type", "application/json")];
        let Some(streamed) = answer::begin(io, id, &json, |after| after, read) else { return };
        let array = JsonArray::new(streamed, io.other_workers());
        let listing = AgentListing::new(sessions.next_sequence(), array);
        let slot = Slot::new(self.all.insert(listing));
        AgentRole::Listing(slot).give(io, id);
        self.ready(io, sessions, id, slot);
    }

    /// Continues a list of another worker.
    pub fn resume(&mut self, io: &mut Io, id: ConnId, listing: AgentListing) {
        AgentRole::Listing(Slot::new(self.all.insert(listing))).give(io, id);
        io.set_timeout(id, io.settings.keep_alive_timeout);
        io.conns.enqueue(id);
    }

    /// Writes one more piece once the last one has been sent.
    pub fn ready(&mut self, io: &mut Io, sessions: &Sessions, id: ConnId, slot: Slot) {
        match io.conns.flush(id) {
            Flushed::Out => {}
            Flushed::Blocked => return,
            Flushed::Failed => return io.conns.close(id, CloseMode::Orderly),
        }
        let listing = &mut self.all[slot.key()];
        let share = io.conns.queue.share();
        let conn = &mut io.conns[id];
        let framing = listing.write_piece(sessions, io.now, share, conn.output.buffer());
        if let Some(note) = &mut conn.note {
            note.framed(framing);
        }
        if let Some(after) = listing.over() {
            self.all.remove(slot.key());
            release(io, id);
            return answer::end_of_output(io, id, after);
        }
        let next = io.workers.as_ref().and_then(|workers| workers.others().next());
        if let Some(to) = next.filter(|_| listing.departs()) {
            let cargo = AgentCargo::Listing(self.all.remove(slot.key()));
            release(io, id);
            io.conns.depart(id);
            return self.departures.push(AgentDeparture { id, to, cargo });
        }
        io.set_timeout(id, io.settings.keep_alive_timeout);
        io.conns.flush_or_close(id);
        if io.conns[id].writable {
            io.conns.requeue(id);
        }
    }

    /// Handles a reader's closed connection.
    pub fn closed(&mut self, slot: Slot) {
        self.all.remove(slot.key());
    }
}
