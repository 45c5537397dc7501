//! The steps of a transfer: what its caller does next, given which sockets are ready.

#[cfg(doc)]
use super::Transfer;
use super::outcome::TransferOutcome;
use crate::rendezvous::stream::Side;

/// Whether the two sockets may be ready, as far as known.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The source may have data to read.
    pub source: bool,
    /// The destination may accept data.
    pub destination: bool,
}

/// The next step. After each step the caller reports the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send [`Transfer::prefix`]; report [`Transfer::sent`]. With `more`, [`Step::Drain`] follows.
    Send {
        /// More bytes follow in the same turn.
        more: bool,
    },
    /// Move this many bytes from the pipe to the destination; report [`Transfer::drained`].
    Drain {
        /// All bytes in the pipe.
        bytes: usize,
    },
    /// Move body bytes from the source into the pipe; report [`Transfer::filled`]. Without a pipe,
    /// and with none of its bytes in one, [`Step::Copy`] is equivalent.
    Fill {
        /// Maximum bytes to move.
        max_bytes: usize,
    },
    /// Read chunk framing from the source; report [`Transfer::received`], [`Transfer::keep`].
    ReadFraming {
        /// Maximum bytes to read.
        max_bytes: usize,
    },
    /// Read from the source and send to the destination; report [`Transfer::received`],
    /// [`Transfer::announce`], [`Transfer::gathered`].
    Copy {
        /// Maximum bytes to read.
        max_bytes: usize,
    },
    /// Wait until this side is ready.
    Wait(Side),
    /// The transfer has ended, and nothing is pending.
    Done(TransferOutcome),
}

impl Step {
    /// Whether it reads from the source.
    pub fn takes(self) -> bool {
        match self {
            Self::Fill { .. } | Self::ReadFraming { .. } | Self::Copy { .. } => true,
            Self::Send { .. } | Self::Drain { .. } | Self::Wait(_) | Self::Done(_) => false,
        }
    }

    /// Limits the step to `bytes` from the source. Reads of chunk framing are not limited.
    #[must_use]
    pub fn at_most(self, bytes: u64) -> Self {
        match self {
            Self::Fill { max_bytes } => Self::Fill { max_bytes: at_most(bytes, max_bytes) },
            Self::Copy { max_bytes } => Self::Copy { max_bytes: at_most(bytes, max_bytes) },
            Self::Send { .. }
            | Self::Drain { .. }
            | Self::ReadFraming { .. }
            | Self::Wait(_)
            | Self::Done(_) => self,
        }
    }
}

/// Returns the smaller number.
pub(super) fn at_most(bytes: u64, max: usize) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).min(max)
}
