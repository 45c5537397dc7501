//! How a transfer ended.

use crate::http::body::Malformed;

/// How a side was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It closed or reset its connection.
    Closed,
    /// Its socket failed.
    Failed,
    /// It neither sent nor accepted a byte before the timeout.
    Stalled,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferOutcome {
    /// The complete body was handed to the destination's socket.
    Complete,
    /// The source ended early; what it sent was handed over, and must not look complete.
    SourceGone(Loss),
    /// The source's framing, or its form, was invalid; what it sent before was handed over.
    SourceBroken(Malformed),
    /// The source's body is longer than this many bytes, its maximum; the chunks before were handed
    /// over.
    SourceTooLarge(u64),
    /// The destination accepts no more.
    DestinationGone(Loss),
}
