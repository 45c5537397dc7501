//! How records are sent.

use super::retry::Backoff;
use crate::client::Options;
use std::time::Duration;

/// How records are sent. The default sends the bytes of `payload.after`, takes 200 and 201 for success,
/// tries three times more, and gives each try 30 s.
#[derive(Clone, Debug)]
pub struct DestinationOptions {
    /// Fields of every request, whom to trust, the proxies, and how long connecting may take.
    pub client: Options,
    /// What of a record is the body.
    pub body: BodyKind,
    /// The statuses that mean that the server has the record.
    pub success: Vec<u16>,
    /// How often and when it is tried again.
    pub backoff: Backoff,
    /// How long one try may take, connecting and the answer included. Content that was too large for
    /// memory may take longer: there it is the longest time in which nothing moves.
    pub timeout: Duration,
    /// Whether opening asks the server with a HEAD whether it is there.
    pub ping: bool,
}

impl Default for DestinationOptions {
    fn default() -> Self {
        Self {
            client: Options::default(),
            body: BodyKind::Payload,
            success: vec![200, 201],
            backoff: Backoff::default(),
            timeout: Duration::from_secs(30),
            ping: true,
        }
    }
}

/// What of a record is the body of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BodyKind {
    /// The content of payload.after: its bytes, or its JSON; empty if there is none
    #[default]
    Payload,
    /// The record as one JSON object
    Record,
}
