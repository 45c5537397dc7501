//! The results of operations on the registry, with its counters and records.

use super::StreamKey;
use crate::rendezvous::stream::{Client, PeerReport, Stream, StreamState};
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

/// The reason why a stream cannot be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// Every place is taken by an active stream, or the total weight is too high.
    Registry,
    /// The creator's address has reached its limit of active streams.
    Address,
    /// The creator's address has reached its limit of streams that no side has joined, or of their
    /// weight.
    AddressUnjoined,
}

/// The result of connecting to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connected {
    /// The client is the first; it waits.
    Waits(StreamKey),
    /// The other side was waiting; the transfer starts.
    Paired {
        /// The stream they share.
        stream: StreamKey,
        /// The client that was waiting.
        other: Client,
    },
    /// That side is already connected.
    Occupied,
    /// No such stream, or it has ended.
    Unknown,
    /// An error was reported before any client connected; the stream has ended now.
    Reported(Box<PeerReport>),
}

/// The result of reporting an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Kept for the next client that connects.
    Kept,
    /// This client was waiting and must receive the report; the stream has ended.
    Delivered(Client),
    /// The stream is paired or has ended: too late for a report.
    Started,
    /// No such stream.
    Unknown,
    /// The limit on the weight of reports and header fields is reached.
    Full,
}

/// The record of a stream that has just ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its identifier.
    pub id: Uuid,
    /// The state it ended in.
    pub state: StreamState,
    /// The connected clients: source, destination.
    pub clients: [Option<Client>; 2],
    /// Body bytes handed to the destination.
    pub bytes_transferred: u64,
    /// How long the first side waited for the other, even in vain; `None`: no client connected.
    pub waited: Option<Duration>,
    /// The time from pairing to the end.
    pub transferred_in: Option<Duration>,
}

/// The numbers of streams, indexed by their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// Streams in the registry.
    pub held: [usize; StreamState::ALL.len()],
    /// Streams that ended, since the start.
    pub ended: [u64; StreamState::ALL.len()],
}

impl StateCounts {
    /// Adds the numbers of another registry.
    pub fn add(&mut self, other: &Self) {
        for (sum, number) in self.held.iter_mut().zip(other.held) {
            *sum += number;
        }
        for (sum, number) in self.ended.iter_mut().zip(other.ended) {
            *sum += number;
        }
    }

    pub(super) fn moved(&mut self, from: StreamState, to: StreamState) {
        self.held[from as usize] -= 1;
        self.held[to as usize] += 1;
    }
}

/// A stream removed from its registry while it waited.
#[derive(Debug)]
pub struct ReleasedStream {
    /// The unchanged stream.
    pub stream: Stream,
    /// The address it counted for.
    pub creator: Option<IpAddr>,
}
