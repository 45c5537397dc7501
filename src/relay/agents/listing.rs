//! The list of agents, written piece by piece as its reader takes it, so that a long one neither
//! blocks the loop nor fills memory. Each agent is shown in its state at that moment; one that has
//! disconnected by then is not shown. Pure.

use super::events;
use super::sessions::Sessions;
use crate::relay::http1::JsonArray;
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
    array: JsonArray,
}

impl AgentListing {
    /// Starts at the agent that connected first; `end` is the position of the first one that is not
    /// shown.
    pub fn new(end: u64, array: JsonArray) -> Self {
        Self { next: 0, end, array }
    }

    /// Whether the agents of the next worker follow; there [`AgentListing::arrived`] continues it.
    pub fn departs(&self) -> bool {
        self.array.continues_elsewhere()
    }

    /// Continues at another worker; `end` as for a new one.
    pub fn arrived(self, end: u64) -> Self {
        Self { next: 0, end, array: self.array.arrived() }
    }

    /// Returns what follows once all of it is written; `None`: there is more.
    pub fn over(&self) -> Option<OnFlushed> {
        self.array.over()
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
        let last = !self.fill(sessions, now, share, &mut piece);
        self.array.write(piece, last, out)
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
            self.array.add(&events::object(agent, now), piece);
        }
        false
    }
}
