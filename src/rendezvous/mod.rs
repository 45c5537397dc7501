//! Pairs clients, and plans how to move their bytes. PURE: identifiers and the time are passed in,
//! and the next operation is returned; nothing here reads, writes or waits.

pub mod ack_wait;
pub mod addresses;
pub mod batching;
pub mod bottleneck;
mod guard;
pub mod headers;
pub mod pace;
pub mod receipt;
pub mod registry;
pub mod stream;
pub mod transfer;
mod unjoined;

pub use addresses::{Addresses, Group};
pub use guard::{Guard, Part};
pub use headers::{CreationKey, Headers};
pub use pace::Pace;
pub use receipt::{Receipt, ReceiptOutcome};
pub use registry::{
    AdoptedStream, Connected, CreateError, Limits, Record, Registered, Registry, ReleasedStream,
    SharedCreators, StateCounts, StreamKey,
};
pub use stream::{Client, Ending, LeaveOutcome, PeerReport, Side, Stream, StreamState};
pub use transfer::{Ready, Step, Transfer, TransferOutcome};

use std::time::Instant;

/// One reading of both clocks, taken once per turn of the event loop and passed down.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The clock for deadlines.
    pub monotonic: Instant,
    /// The clock for status objects: milliseconds since 1970-01-01T00:00:00Z.
    pub wall_ms: i64,
}
