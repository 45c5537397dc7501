//! What acts on the registry led to, and what it counts and records of them.

use super::StreamKey;
use crate::rendezvous::stream::{Client, PeerReport, Stream, StreamState};
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

/// Why no stream can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// Every place is taken by an active stream, or all streams weigh too much.
    Registry,
    /// Its creator's address has as many active streams as one may have.
    Address,
    /// Its creator's address has as many streams that no side has joined as one may have, or they
    /// weigh too much.
    AddressUnjoined,
}

/// What connecting to a stream led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connected {
    /// The client is the first; it waits.
    Waits(StreamKey),
    /// The other side was waiting; the transfer begins.
    Paired {
        /// The stream they share.
        stream: StreamKey,
        /// Who was waiting.
        other: Client,
    },
    /// That side is taken.
    Occupied,
    /// No such stream, or it is over.
    Unknown,
    /// An error was reported before anyone came; the stream is over now.
    Reported(Box<PeerReport>),
}

/// What reporting an error led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Kept for whoever connects next.
    Kept,
    /// This client was waiting and is to be answered with it; the stream is over.
    Delivered(Client),
    /// The stream is paired or over: too late for a report.
    Started,
    /// No such stream.
    Unknown,
    /// Reports and header fields weigh too much already.
    Full,
}

/// A stream that has just ended, for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its identifier.
    pub id: Uuid,
    /// The state it ended in.
    pub state: StreamState,
    /// Who was there: source, destination.
    pub clients: [Option<Client>; 2],
    /// Body bytes handed on.
    pub bytes_transferred: u64,
    /// How long the first side waited for the other, or in vain; `None`: nobody came.
    pub waited: Option<Duration>,
    /// From the meeting to the end.
    pub transferred_in: Option<Duration>,
}

/// How many streams there are and were, by the number of their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// Those held.
    pub held: [usize; StreamState::ALL.len()],
    /// Those that ended, since the beginning.
    pub ended: [u64; StreamState::ALL.len()],
}

impl StateCounts {
    pub(super) fn moved(&mut self, from: StreamState, to: StreamState) {
        self.held[from as usize] -= 1;
        self.held[to as usize] += 1;
    }
}

/// A stream that left its registry while it waited.
#[derive(Debug)]
pub struct ReleasedStream {
    /// As it was.
    pub stream: Stream,
    /// The address it counted for.
    pub creator: Option<IpAddr>,
}
