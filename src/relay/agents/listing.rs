//! The list of agents, written piece by piece as its reader takes it, so that a long one neither
//! blocks the loop nor fills memory. Each agent is shown in its state at that moment; one that has
//! disconnected by then is not shown. Pure.

use super::events;
use super::sessions::Sessions;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::relay::http1::answer::Streamed;
use crate::relay::io::OnFlushed;
use crate::rendezvous::Now;

/// Cost of generating a byte of the list, in bytes that are read.
const BYTE_COST: usize = 64;

/// Cost of a visit, of one that is shown or not, in bytes that are read.
const VISIT_COST: usize = 256;

/// A reader's position in the list.
#[derive(Debug)]
pub struct AgentListing {
    /// The next agent, in the order in which they connected.
    next: u64,
    /// The first position not shown: agents that connect after the request, so that the list ends.
    end: u64,
    first: bool,
    over: bool,
    streamed: Streamed,
}

impl AgentListing {
    /// Starts at the agent that connected first; `end` is the position of the first one that is not
    /// shown.
    pub fn new(end: u64, streamed: Streamed) -> Self {
        Self { next: 0, end, first: true, over: false, streamed }
    }

    /// Returns what follows once all of it is written; `None`: there is more.
    pub fn over(&self) -> Option<OnFlushed> {
        self.over.then_some(self.streamed.after)
    }

    /// Returns the position of the next agent.
    #[cfg(feature = "fuzzing")]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Writes the next agents in the response's framing, as many as the share of a turn allows;
    /// returns the number of framing bytes.
    pub fn write_piece(
        &mut self,
        sessions: &Sessions,
        now: Now,
        share: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut piece = Vec::with_capacity(share / BYTE_COST + 1024);
        self.over = !self.fill(sessions, now, share, &mut piece);
        let mut framing = write_framed(out, &piece, self.streamed.chunked);
        if self.over && self.streamed.chunked {
            out.extend_from_slice(LAST_CHUNK);
            framing += LAST_CHUNK.len();
        }
        framing
    }

    /// Fills a piece as far as the share allows; whether there are more.
    fn fill(&mut self, sessions: &Sessions, now: Now, share: usize, piece: &mut Vec<u8>) -> bool {
        let (most, visits) = (share / BYTE_COST, share / VISIT_COST);
        for (visited, agent) in sessions.starting_at(self.next).enumerate() {
            if agent.sequence >= self.end {
                break;
            }
            if visited == visits || piece.len() >= most {
                return true;
            }
            self.next = agent.sequence + 1;
            if !agent.session.is_open() {
                continue;
            }
            piece.extend_from_slice(if self.first { b"[" } else { b",\n" });
            self.first = false;
            piece.extend_from_slice(events::object(agent, now).as_bytes());
        }
        piece.extend_from_slice(if self.first { b"[]\n" } else { b"]\n" });
        false
    }
}
