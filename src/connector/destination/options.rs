//! Delivery options.

use crate::client::{Backoff, Options};
use std::time::Duration;

/// Delivery options. The default sends the bytes of `payload.after`, treats any 2xx as success,
/// retries three times, and allows 30 s for each attempt.
#[derive(Clone, Debug)]
pub struct DestinationOptions {
    /// Header fields of every request, trusted authorities, proxies, and the connect timeout.
    pub client: Options,
    /// The part of a record to send as the body.
    pub body: BodyKind,
    /// The statuses that confirm that the server has the record; empty: any 2xx.
    pub success: Vec<u16>,
    /// The number of retries and their pauses.
    pub backoff: Backoff,
    /// Timeout for an attempt, including connecting and the response. For content too large for
    /// memory, the timeout without progress.
    pub timeout: Duration,
    /// Whether opening checks with HEAD that the server is reachable.
    pub ping: bool,
}

impl DestinationOptions {
    /// Whether this status confirms that the server has the record.
    pub(super) fn is_success(&self, status: u16) -> bool {
        if self.success.is_empty() {
            matches!(status, 200..=299)
        } else {
            self.success.contains(&status)
        }
    }
}

impl Default for DestinationOptions {
    fn default() -> Self {
        Self {
            client: Options::default(),
            body: BodyKind::Payload,
            success: Vec::new(),
            backoff: Backoff::default(),
            timeout: Duration::from_secs(30),
            ping: true,
        }
    }
}

/// The part of a record that is the body of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BodyKind {
    /// The content of payload.after: its bytes, or its JSON; empty if there is none
    #[default]
    Payload,
    /// The record as one JSON object
    Record,
}
