//! Who owns a connection. A role has an id at most, never a payload: the state behind it belongs to
//! its owner.

/// The place of a service's own state for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

impl Slot {
    /// From a slab's key. A slab has no more entries than there are descriptors.
    #[allow(clippy::cast_possible_truncation, reason = "bounded by the number of descriptors")]
    pub fn new(key: usize) -> Self {
        debug_assert!(u32::try_from(key).is_ok(), "a slot for each connection at most");
        Self(key as u32)
    }

    /// The slab's key.
    pub fn key(self) -> usize {
        self.0 as usize
    }
}

/// Who owns a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// HTTP/1: between requests, or reading or answering one.
    Http(Http),
    /// The streams: a side of one, or a reader of their list or events.
    Streams(Slot),
    /// The agents: one of them, a call, a tunnel, or a reader of their list or events.
    Agents(Slot),
    /// The intake of records.
    Intake(Slot),
}

/// Where a connection is that HTTP/1 owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
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

/// What follows once the output is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFlushed {
    /// The next request.
    NextRequest,
    /// The end: everything the client sent was read.
    Close,
    /// The end, but the client may still be sending: it must not lose the answer to a reset.
    Linger,
    /// The end of a body that only the end of the connection delimits.
    Whole,
}

impl OnFlushed {
    /// Whether the connection goes on, which the response has to say.
    pub fn keeps_alive(self) -> bool {
        self == Self::NextRequest
    }
}
