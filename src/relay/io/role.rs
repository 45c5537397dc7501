//! The owner of a connection. A role has an id at most, never a payload: the state that the id
//! names belongs to the owner.

/// The slot of a service's own state for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

impl Slot {
    /// Creates a slot from a slab's key. A slab has no more entries than the process has
    /// descriptors.
    #[allow(clippy::cast_possible_truncation, reason = "bounded by the number of descriptors")]
    pub fn new(key: usize) -> Self {
        debug_assert!(u32::try_from(key).is_ok(), "a slot for each connection at most");
        Self(key as u32)
    }

    /// Returns the slab's key.
    pub fn key(self) -> usize {
        self.0 as usize
    }
}

/// The owner of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// HTTP/1: between requests, or reading or answering one.
    Http(Http),
    /// The streams: a side of one, or a reader of their list or events.
    Streams(Slot),
    /// The agents: an agent, a call, a tunnel, or a reader of their list or events.
    Agents(Slot),
    /// The intake of records.
    Intake(Slot),
    /// The admin service: a subscriber to the state of the relay.
    Admin(Slot),
}

/// The state of a connection that HTTP/1 owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// Reads a PROXY header.
    Proxy,
    /// Performs its TLS handshake.
    Handshake,
    /// Reads a request head, or idles.
    Head,
    /// Reads a JSON body.
    Json(Slot),
    /// Writes a response, all of which is in the output.
    Answering(OnFlushed),
    /// Answered; discards at most this many bytes of what the client still sends.
    Lingering {
        /// Bytes that may still be discarded.
        discard_left: u32,
    },
}

/// What follows once the output is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFlushed {
    /// The next request.
    NextRequest,
    /// The end: everything the client sent was read.
    Close,
    /// The end, but the client may still be sending: a reset must not destroy the answer.
    Linger,
    /// The end of a body that only the end of the connection delimits.
    Whole,
}

impl OnFlushed {
    /// Whether the connection stays open, which the response has to declare.
    pub fn keeps_alive(self) -> bool {
        self == Self::NextRequest
    }
}
