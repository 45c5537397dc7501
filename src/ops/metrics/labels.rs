//! The values of labels: each label is one of our enums, so that no client can create a series.

/// The path of a body byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Through a pipe, in the kernel.
    Spliced,
    /// Through user memory.
    Copied,
}

impl Path {
    /// All values, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Spliced, Self::Copied];

    /// Returns the label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spliced => "spliced",
            Self::Copied => "copied",
        }
    }
}

/// Why a connection is closed for its PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyRefusal {
    /// It has another beginning, or an invalid header.
    Invalid,
    /// The header was not received in time.
    Timeout,
    /// The peer is not a trusted proxy.
    Untrusted,
}

impl ProxyRefusal {
    /// All values, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Invalid, Self::Timeout, Self::Untrusted];

    /// Returns the label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Timeout => "timeout",
            Self::Untrusted => "untrusted",
        }
    }
}

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnPhase {
    /// Performing the TLS handshake.
    Handshake,
    /// Reading a request head, or idle.
    Head,
    /// Reading a JSON body.
    Json,
    /// Reading a body that becomes a record, or waiting for the record to be handed over.
    Pushing,
    /// One side of a stream, waiting for the other.
    Waiting,
    /// One side of a running transfer.
    Streaming,
    /// Writing a response.
    Answering,
    /// Writing the list of streams.
    Listing,
    /// Writing the events of a stream.
    Following,
    /// The WebSocket of an agent.
    Agent,
    /// A client whose request is answered by an agent.
    Calling,
    /// A tunnel of an agent, whether or not it carries a call.
    Tunnel,
    /// A connection to the API that agents may call.
    Asking,
    /// Response sent; further input from the client is discarded.
    Lingering,
}

impl ConnPhase {
    /// All values, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Handshake,
        Self::Head,
        Self::Json,
        Self::Pushing,
        Self::Waiting,
        Self::Streaming,
        Self::Answering,
        Self::Listing,
        Self::Following,
        Self::Agent,
        Self::Calling,
        Self::Tunnel,
        Self::Asking,
        Self::Lingering,
    ];

    /// Returns the label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Head => "head",
            Self::Json => "json",
            Self::Pushing => "pushing",
            Self::Waiting => "waiting",
            Self::Streaming => "streaming",
            Self::Answering => "answering",
            Self::Listing => "listing",
            Self::Following => "following",
            Self::Agent => "agent",
            Self::Calling => "calling",
            Self::Tunnel => "spare",
            Self::Asking => "asking",
            Self::Lingering => "lingering",
        }
    }
}

/// The statuses that the relay itself generates.
pub(super) const STATUSES: [u16; 25] = [
    101, 200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 415, 417, 422, 426, 429,
    431, 501, 502, 503, 504, 505,
];

/// The label of any other status: from a client's error report, from the API of an agent, or from
/// `--too-busy-status`.
pub(super) const OTHER_STATUS: &str = "other";

/// Returns the index of a status in [`STATUSES`], or their count for any other status.
pub(super) fn status_number(status: u16) -> usize {
    STATUSES.binary_search(&status).unwrap_or(STATUSES.len())
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeEnd {
    /// The connection is encrypted.
    Complete,
    /// One side refused the other, or the client left.
    Failed,
    /// It was not complete in time.
    TimedOut,
    /// The client sent plain HTTP.
    Plain,
    /// There were too many others.
    Refused,
}

impl HandshakeEnd {
    /// All values, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Complete, Self::Failed, Self::TimedOut, Self::Plain, Self::Refused];

    /// Returns the label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::TimedOut => "timeout",
            Self::Plain => "plain",
            Self::Refused => "refused",
        }
    }
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyResult {
    /// It was answered with 2xx.
    Delivered,
    /// No attempt succeeded.
    Failed,
    /// Its receiver wants no more: 410.
    Gone,
    /// Its URL has no address that is allowed.
    Refused,
    /// There were too many others.
    Dropped,
}

impl NotifyResult {
    /// All values, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Delivered, Self::Failed, Self::Gone, Self::Refused, Self::Dropped];

    /// Returns the label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        }
    }
}

/// Numbers of notifications, indexed by their result.
pub type NotifyCounts = [u64; NotifyResult::ALL.len()];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_the_tables() {
        for (number, path) in Path::ALL.into_iter().enumerate() {
            assert_eq!(path as usize, number, "{path:?}");
        }
        for (number, result) in NotifyResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, number, "{result:?}");
        }
        for (number, phase) in ConnPhase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, number, "{phase:?}");
        }
    }

    #[test]
    fn every_status_has_its_index() {
        assert!(STATUSES.is_sorted(), "a search by halves needs that");
        for (number, status) in STATUSES.into_iter().enumerate() {
            assert_eq!(status_number(status), number, "{status}");
        }
        for foreign in [0, 206, 418, 599, u16::MAX] {
            assert_eq!(status_number(foreign), STATUSES.len(), "{foreign}");
        }
    }
}
