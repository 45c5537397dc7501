//! The list of agents, written piece by piece as its reader takes it, so that a long one neither
//! blocks the loop nor fills memory. Each agent is shown in its state at that moment; one that has
//! disconnected by then is not shown.

use super::events;
use super::role::{AgentRole, release};
use super::sessions::Sessions;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::relay::http1::answer::{self, Streamed};
use crate::relay::io::{CloseMode, ConnId, Flushed, Io, Slot};
use slab::Slab;

/// Cost of generating a byte of the list, in bytes that are read.
const BYTE_COST: usize = 64;

/// Maximum agents visited for one piece, shown or not.
const VISITS: usize = 1024;

/// A reader's position in the list.
#[derive(Debug)]
struct AgentListing {
    /// The next agent, in the order in which they connected.
    next: u64,
    /// The first position not shown: agents that connect after the request, so that the list ends.
    end: u64,
    first: bool,
    streamed: Streamed,
}

/// All readers of the list.
#[derive(Debug, Default)]
pub(super) struct Lists {
    all: Slab<AgentListing>,
}

impl Lists {
    /// Handles `GET /socket`: begins the list.
    pub fn begin(&mut self, io: &mut Io, sessions: &Sessions, id: ConnId, read: bool) {
        let json = [("Content-Type", "application/json")];
        let Some(streamed) = answer::begin(io, id, &json, |after| after, read) else { return };
        let listing =
            AgentListing { next: 0, end: sessions.next_sequence(), first: true, streamed };
        let slot = Slot::new(self.all.insert(listing));
        AgentRole::Listing(slot).give(io, id);
        self.ready(io, sessions, id, slot);
    }

    /// Writes one more piece once the last one has been sent.
    pub fn ready(&mut self, io: &mut Io, sessions: &Sessions, id: ConnId, slot: Slot) {
        match io.conns.flush(id) {
            Flushed::Out => {}
            Flushed::Blocked => return,
            Flushed::Failed => return io.conns.close(id, CloseMode::Orderly),
        }
        let listing = &mut self.all[slot.key()];
        let Streamed { chunked, after } = listing.streamed;
        let most = io.conns.queue.share() / BYTE_COST;
        let mut piece = Vec::with_capacity(most + 1024);
        let more = listing.fill(sessions, io, most, &mut piece);
        let conn = &mut io.conns[id];
        let output = conn.output.buffer();
        let mut framing = write_framed(output, &piece, chunked);
        if !more && chunked {
            output.extend_from_slice(LAST_CHUNK);
            framing += LAST_CHUNK.len();
        }
        if let Some(note) = &mut conn.note {
            note.framed(framing);
        }
        if !more {
            self.all.remove(slot.key());
            release(io, id);
            return answer::end_of_output(io, id, after);
        }
        io.set_timeout(id, io.settings.keep_alive_timeout);
        io.conns.flush_or_close(id);
        if io.conns[id].writable {
            io.conns.enqueue(id);
        }
    }

    /// Handles a reader's closed connection.
    pub fn closed(&mut self, slot: Slot) {
        self.all.remove(slot.key());
    }
}

impl AgentListing {
    /// Writes the next agents, up to `most` bytes; whether there are more.
    fn fill(&mut self, sessions: &Sessions, io: &Io, most: usize, piece: &mut Vec<u8>) -> bool {
        for (visited, agent) in sessions.starting_at(self.next).enumerate() {
            if agent.sequence >= self.end {
                break;
            }
            if visited == VISITS || piece.len() >= most {
                return true;
            }
            self.next = agent.sequence + 1;
            if !agent.session.is_open() {
                continue;
            }
            piece.extend_from_slice(if self.first { b"[" } else { b",\n" });
            self.first = false;
            piece.extend_from_slice(events::object(agent, io.now).to_string().as_bytes());
        }
        piece.extend_from_slice(if self.first { b"[]\n" } else { b"]\n" });
        false
    }
}
