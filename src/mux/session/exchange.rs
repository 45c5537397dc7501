//! The state of one request and its response at one end.

use crate::mux::frame::DATA_MAX_BYTES;

/// Body bytes that may be in flight, or unread at the peer, before it grants more.
pub const WINDOW_BYTES: u64 = 256 << 10;

/// Larger than any window: more credit is a protocol error.
const CREDIT_MAX: u64 = 1 << 31;

/// The state of an exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub role: Role,
    /// The id that joins request and response, in the text dialect.
    pub correlation: Option<String>,
    /// Whether the response has begun, in either direction.
    pub answered: bool,
    /// Interim responses received before the response.
    pub interim: u8,
    /// The text dialect: cancelled here, which cannot be sent to the peer; the response is still
    /// expected, and is discarded.
    pub abandoned: bool,
    pub outgoing: Outgoing,
    pub incoming: Incoming,
}

/// This end's role in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// This end sent the request.
    Asks,
    /// This end sent a `HEAD` request: the response has no body, whatever its head declares.
    AsksForHead,
    /// The peer sent the request.
    Answers,
}

/// The part sent by this end, and how many more bytes may be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Whether all of it was sent.
    pub over: bool,
    credit: u64,
    /// The text dialect: bytes that wait for their turn, or for the rest of the message.
    pub held: Vec<u8>,
    /// The text dialect: length of the head in `held`.
    pub head_bytes: usize,
    /// The text dialect: whether the body is chunked.
    pub chunked: bool,
}

/// The part sent by the peer: how many more bytes it may send, and how many are unused.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Whether all of it was received.
    pub over: bool,
    credit: u64,
    /// Bytes received and not used up.
    pub unused: u64,
    /// Bytes used up and not yet returned as credit.
    to_give: u64,
}

/// The peer exceeded its window, or granted a window that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WindowExceeded;

impl Exchange {
    pub fn new(role: Role) -> Self {
        Self {
            role,
            correlation: None,
            answered: false,
            interim: 0,
            abandoned: false,
            outgoing: Outgoing {
                over: false,
                credit: WINDOW_BYTES,
                held: Vec::new(),
                head_bytes: 0,
                chunked: false,
            },
            incoming: Incoming { over: false, credit: WINDOW_BYTES, unused: 0, to_give: 0 },
        }
    }

    /// Whether this end sent the request.
    pub fn is_ours(&self) -> bool {
        self.role != Role::Answers
    }

    /// Whether a response with this correlation id is meant for it: one without an id is meant for
    /// the request that is awaited.
    pub fn is_answered_by(&self, id: Option<&str>) -> bool {
        id.is_none() || self.correlation.as_deref() == id
    }

    /// Whether a part of our body can be sent: after the head, before the end.
    pub fn may_send(&self) -> bool {
        !self.outgoing.over && (self.is_ours() || self.answered)
    }

    /// Whether both parts are complete.
    pub fn is_over(&self) -> bool {
        self.outgoing.over && self.incoming.over
    }
}

impl Outgoing {
    /// Returns how many bytes may be sent now, in one message.
    pub fn room(&self) -> usize {
        usize::try_from(self.credit).unwrap_or(DATA_MAX_BYTES).min(DATA_MAX_BYTES)
    }

    pub fn sent(&mut self, bytes: usize) {
        debug_assert!(bytes as u64 <= self.credit, "no more is sent than there is room for");
        self.credit = self.credit.saturating_sub(bytes as u64);
    }

    /// Adds credit that the peer granted.
    pub fn allowed(&mut self, bytes: u32) -> Result<(), WindowExceeded> {
        self.credit += u64::from(bytes);
        if self.credit > CREDIT_MAX { Err(WindowExceeded) } else { Ok(()) }
    }
}

impl Incoming {
    /// Counts bytes received.
    pub fn received(&mut self, bytes: usize) -> Result<(), WindowExceeded> {
        self.credit = self.credit.checked_sub(bytes as u64).ok_or(WindowExceeded)?;
        self.unused += bytes as u64;
        Ok(())
    }

    /// Counts bytes received in the text dialect, which has no windows.
    pub fn received_unexpected(&mut self, bytes: usize) {
        self.unused += bytes as u64;
    }

    /// Counts bytes used up; returns the credit to grant to the peer, if it is worth a message.
    pub fn used(&mut self, bytes: usize) -> Option<u32> {
        self.unused = self.unused.saturating_sub(bytes as u64);
        self.to_give += bytes as u64;
        if self.to_give < WINDOW_BYTES / 2 {
            return None;
        }
        let given = std::mem::take(&mut self.to_give);
        self.credit += given;
        u32::try_from(given).ok()
    }
}
