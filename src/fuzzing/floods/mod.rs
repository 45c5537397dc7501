//! How long `GET /ping` waits while other clients flood the relay: turns of its loop without
//! sockets, in virtual time. The run queue and its shares are the relay's own, and so is what reads
//! or writes for each client; a system call, a frame, a chunk, a byte have a fixed cost (`clock`).
//!
//! | file | holds |
//! |---|---|
//! | `turns` | the loop, and clients that send `GET /ping` |
//! | `clock` | virtual time, and what costs how much |
//! | `input`, `readers`, `transfers` | clients that send without end |
//! | `lists`, `events` | clients that receive without end |
//! | `vanishing` | agents that vanish at once |

mod clock;
mod events;
mod input;
mod lists;
mod readers;
mod transfers;
mod turns;
mod vanishing;

use super::choices::Choices;
use crate::http::framing::Framing;
use clock::Clock;
use input::Wire;
use lists::ListReader;
use readers::{Agent, Json, Tunnel};
use std::time::Duration;
use transfers::Upload;
use turns::Turns;
use vanishing::Vanishing;

/// A kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Interim heads without end, through tunnels.
    InterimHeads,
    /// One head without end, through tunnels.
    LongHeads,
    /// Empty WebSocket frames.
    EmptyFrames,
    /// WebSocket pings.
    Pings,
    /// JSON bodies.
    Json,
    /// JSON bodies in chunks of one byte.
    ChunkedJson,
    /// Uploads in chunks of one byte.
    Chunks,
    /// Uploads in chunks of one byte, with large ones in between.
    MixedChunks,
    /// Readers of a list of 5,000 streams.
    StreamList,
    /// Readers of a list of 1,000 agents.
    AgentList,
    /// Subscribers to streams that change.
    Events,
    /// Subscribers to 1,000 agents that vanish at once.
    VanishingAgents,
}

/// Runs some turns under a flood of this many clients; returns the latencies of `GET /ping`.
///
/// Panics if a turn does not end, if a client of the flood starves, or holds more than it may.
pub fn flood(kind: Flood, clients: usize, data: &[u8]) -> Vec<Duration> {
    let mut turns = Turns::default();
    let choices = &mut Choices::new(data);
    match kind {
        Flood::InterimHeads => {
            let wire = Wire::new(b"\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
            turns.add(clients, || Tunnel::new(wire.open(choices)));
        }
        Flood::LongHeads => {
            let line = [b"A: ", &[b'b'; 600][..], b"\r\n"].concat();
            let wire = Wire::new(b"HTTP/1.1 100 Continue\r\n", &line);
            turns.add(clients, || Tunnel::new(wire.open(choices)));
        }
        Flood::EmptyFrames => {
            // They continue a message that has no end.
            let wire = Wire::new(&masked(0x02), &masked(0x00));
            turns.add(clients, || Agent::new(wire.open(choices)));
        }
        Flood::Pings => {
            let wire = Wire::new(b"", &masked(0x89));
            turns.add(clients, || Agent::new(wire.open(choices)));
        }
        Flood::Json => {
            let (wire, framing) = (Wire::new(b"", b" "), Framing::Length(readers::JSON_MAX as u64));
            turns.add(clients, || Json::new(framing, wire.open(choices)));
        }
        Flood::ChunkedJson => {
            let wire = Wire::new(b"", b"1\r\n \r\n");
            turns.add(clients, || Json::new(Framing::Chunked, wire.open(choices)));
        }
        Flood::Chunks => {
            let wire = Wire::new(b"", b"1\r\nx\r\n");
            turns.add(clients, || Upload::new(wire.open(choices)));
        }
        Flood::MixedChunks => {
            let mixed = [&transfers::large_chunk()[..], &b"1\r\nx\r\n".repeat(10_000)].concat();
            let wire = Wire::new(b"", &mixed);
            turns.add(clients, || Upload::new(wire.open(choices)));
        }
        Flood::StreamList => {
            let streams = lists::STREAM_LIST.with(Clone::clone);
            turns.add(clients, || ListReader::new(streams.clone(), choices));
        }
        Flood::AgentList => {
            let agents = lists::AGENT_LIST.with(Clone::clone);
            turns.add(clients, || ListReader::new(agents.clone(), choices));
        }
        Flood::Events => events::add(&mut turns, clients, choices),
        Flood::VanishingAgents => turns.add(1, || Vanishing::new(clients)),
    }
    turns.run(choices)
}

/// An empty frame of a client (RFC 6455, section 5.2), with this first byte.
fn masked(first: u8) -> [u8; 6] {
    [first, 0x80, 0, 0, 0, 0]
}

/// A client of a flood.
trait Flooder {
    /// Takes its share of a turn; whether it goes to the back of the run queue.
    fn turn(&mut self, share: usize, clock: &mut Clock, choices: &mut Choices<'_>) -> bool;

    /// Returns how much was done for it so far: it grows unless the client starves.
    fn progress(&self) -> usize;

    /// Returns how many bytes the relay holds for it.
    fn held_bytes(&self) -> usize;

    /// Returns how many it may hold at most.
    fn held_max(&self) -> usize;
}
