//! The values labels may take: each label is one of our enums, so that no client can make a series.

/// Which way a body byte took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Through a pipe, in the kernel.
    Spliced,
    /// Through user memory.
    Copied,
}

impl Path {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Spliced, Self::Copied];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spliced => "spliced",
            Self::Copied => "copied",
        }
    }
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnPhase {
    /// Reads a request head, or idles.
    Head,
    /// Reads a JSON body.
    Json,
    /// Reads a body that becomes a record, or waits until that is handed over.
    Pushing,
    /// One side of a stream, waiting for the other.
    Waiting,
    /// One side of a running transfer.
    Streaming,
    /// Writes a response.
    Answering,
    /// Writes the list of streams.
    Listing,
    /// Writes the events of a stream.
    Following,
    /// The WebSocket of an agent.
    Agent,
    /// A client whose request an agent answers.
    Calling,
    /// A spare connection of an agent, whether it carries a call or not.
    Spare,
    /// A connection to the API that agents may call.
    Asking,
    /// Answered; what the client still sends is discarded.
    Lingering,
}

impl ConnPhase {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 13] = [
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
        Self::Spare,
        Self::Asking,
        Self::Lingering,
    ];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
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
            Self::Spare => "spare",
            Self::Asking => "asking",
            Self::Lingering => "lingering",
        }
    }
}

/// The statuses the relay answers with of its own accord.
pub(super) const STATUSES: [u16; 24] = [
    101, 200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 415, 417, 426, 429, 431,
    501, 502, 503, 504, 505,
];

/// The label of any other status: one that a client put into an error report, that the API of an
/// agent answered with, or that `--too-busy-status` names.
pub(super) const OTHER_STATUS: &str = "other";

/// The place of a status among [`STATUSES`]; behind them all, if it is none of them.
pub(super) fn status_number(status: u16) -> usize {
    STATUSES.binary_search(&status).unwrap_or(STATUSES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_the_tables() {
        for (number, path) in Path::ALL.into_iter().enumerate() {
            assert_eq!(path as usize, number, "{path:?}");
        }
        for (number, phase) in ConnPhase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, number, "{phase:?}");
        }
    }

    #[test]
    fn a_status_finds_its_place() {
        assert!(STATUSES.is_sorted(), "a search by halves needs that");
        for (number, status) in STATUSES.into_iter().enumerate() {
            assert_eq!(status_number(status), number, "{status}");
        }
        for foreign in [0, 206, 418, 599, u16::MAX] {
            assert_eq!(status_number(foreign), STATUSES.len(), "{foreign}");
        }
    }
}
