//! One request and its response, as far as one end has to remember it.

use crate::mux::frame::DATA_MAX_BYTES;

/// Bytes of a body that may be on their way, or unread at the other end, before it says more.
pub const WINDOW_BYTES: u64 = 256 << 10;

/// More than any window: with this the numbers would wrap.
const CREDIT_MAX: u64 = 1 << 31;

/// What is remembered of an exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub role: Role,
    /// What joins request and response, in the text dialect.
    pub correlation: Option<String>,
    /// Whether the response has begun, whoever sends it.
    pub answered: bool,
    /// Interim responses that came before the response.
    pub interim: u8,
    /// The text dialect: we cancelled it, which the peer cannot be told; its response is to come,
    /// and nobody wants it.
    pub abandoned: bool,
    pub outgoing: Outgoing,
    pub incoming: Incoming,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// We asked.
    Asks,
    /// We asked with `HEAD`: the response has no body, whatever it says.
    AsksForHead,
    /// The other end asked.
    Answers,
}

/// Our part: how many more bytes may be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// All of it went out.
    pub over: bool,
    credit: u64,
    /// The text dialect: what waits for its turn, or for the rest of it.
    pub held: Vec<u8>,
    /// The text dialect: how long the head in `held` is.
    pub head_bytes: usize,
    /// The text dialect: the body goes in chunks.
    pub chunked: bool,
}

/// The other end's part: how many more bytes may come, and how many were not used up yet.
#[derive(Debug)]
pub(super) struct Incoming {
    /// All of it came.
    pub over: bool,
    credit: u64,
    /// Bytes that came and were not used up.
    pub unused: u64,
    /// Bytes that were used up and not given back as credit.
    to_give: u64,
}

/// The other end sent, or allowed, more than it may.
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

    /// Whether we asked.
    pub fn is_ours(&self) -> bool {
        self.role != Role::Answers
    }

    /// Whether a part of our body can be sent: behind the head, before the end.
    pub fn may_send(&self) -> bool {
        !self.outgoing.over && (self.is_ours() || self.answered)
    }

    /// Whether nothing more of it will come or go.
    pub fn is_over(&self) -> bool {
        self.outgoing.over && self.incoming.over
    }
}

impl Outgoing {
    /// How many bytes may be sent now, in one message.
    pub fn room(&self) -> usize {
        usize::try_from(self.credit).unwrap_or(DATA_MAX_BYTES).min(DATA_MAX_BYTES)
    }

    pub fn sent(&mut self, bytes: usize) {
        debug_assert!(bytes as u64 <= self.credit, "no more is sent than there is room for");
        self.credit = self.credit.saturating_sub(bytes as u64);
    }

    /// The other end allows more.
    pub fn allowed(&mut self, bytes: u32) -> Result<(), WindowExceeded> {
        self.credit += u64::from(bytes);
        if self.credit > CREDIT_MAX { Err(WindowExceeded) } else { Ok(()) }
    }
}

impl Incoming {
    /// Bytes came.
    pub fn came(&mut self, bytes: usize) -> Result<(), WindowExceeded> {
        self.credit = self.credit.checked_sub(bytes as u64).ok_or(WindowExceeded)?;
        self.unused += bytes as u64;
        Ok(())
    }

    /// Bytes came, and nobody told the other end how many may.
    pub fn came_unasked(&mut self, bytes: usize) {
        self.unused += bytes as u64;
    }

    /// Bytes were used up; how much more the other end is to be allowed, if it is worth a message.
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
