//! Delivers one record: attempts until the server has it or it is given up.

use super::http_sender::HttpSender;
use super::options::DestinationOptions;
use super::outgoing_request::{OutgoingRequest, position_text};
use super::via_relay::ViaRelay;
use crate::client::commands::{Exit, Failure};
use crate::connector::record::{Record, SpilledContent};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

/// The failure of one attempt.
#[derive(Debug)]
pub(super) struct AttemptError {
    pub(super) status: Option<u16>,
    pub(super) exit: Exit,
    pub(super) why: String,
    /// The pause that the server requested.
    pub(super) retry_after: Option<Duration>,
    /// Whether a retry would fail the same way.
    pub(super) is_final: bool,
}

impl AttemptError {
    /// The server could not be reached or did not respond.
    pub(super) fn network(why: String) -> Self {
        Self { status: None, exit: Exit::Network, why, retry_after: None, is_final: false }
    }

    /// The temporary file of the content cannot be read; a retry does not help.
    pub(super) fn local(error: io::Error) -> Self {
        Failure::local("cannot read a temporary file", error).into()
    }
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        let is_final = matches!(failure.exit, Exit::Local | Exit::Usage);
        Self { exit: failure.exit, is_final, ..Self::network(failure.why) }
    }
}

/// A record that the server did not confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDelivered {
    /// The record's position.
    pub position: Vec<u8>,
    /// The status of the last response, if any.
    pub status: Option<u16>,
    /// The number of attempts.
    pub attempts: u32,
    /// The failure of the last attempt.
    pub failure: Failure,
    /// Whether delivery was cancelled before all attempts were made.
    pub stopped: bool,
}

impl fmt::Display for NotDelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times =
            if self.attempts == 1 { "1 try".into() } else { format!("{} tries", self.attempts) };
        let position = position_text(&self.position);
        write!(f, "the record at position {position} was not delivered ({times}): {}", self.failure)
    }
}

impl std::error::Error for NotDelivered {}

/// How records are sent.
#[derive(Debug)]
pub(super) enum Transport {
    /// Each record as one request to a server.
    Server(Box<HttpSender>),
    /// Each record through a stream of a relay.
    Relay(Box<ViaRelay>),
}

/// A cancellation flag. Clones of its owner share it.
#[derive(Debug, Default)]
pub(super) struct CancelFlag {
    is_asked: Mutex<bool>,
    asked: Condvar,
}

impl CancelFlag {
    /// Requests cancellation.
    pub(super) fn ask(&self) {
        *self.lock() = true;
        self.asked.notify_all();
    }

    pub(super) fn is_asked(&self) -> bool {
        *self.lock()
    }

    /// Waits for `pause`. Returns whether it was not cancelled meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        let waited = self.asked.wait_timeout_while(self.lock(), pause, |asked| !*asked);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport {
    /// Sends a record, with retries, unless cancelled.
    pub(super) fn deliver(
        &mut self,
        record: &Record,
        spilled: Option<&SpilledContent>,
        options: &DestinationOptions,
        halt: &CancelFlag,
    ) -> Result<(), NotDelivered> {
        let parcel = OutgoingRequest::new(record, spilled, options.body);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let tried = match self {
                Self::Server(courier) => courier.deliver(&parcel),
                Self::Relay(relay) => relay.deliver(&parcel, &record.position),
            };
            let Err(miss) = tried else { return Ok(()) };
            let is_last = miss.is_final || attempts > options.backoff.retries;
            let pause = options.backoff.pause_at_least(attempts, miss.retry_after);
            let stopped = !is_last && !halt.pause(pause);
            if is_last || stopped {
                return Err(NotDelivered {
                    position: record.position.clone(),
                    status: miss.status,
                    attempts,
                    failure: Failure::new(miss.exit, miss.why),
                    stopped,
                });
            }
        }
    }

    /// Whether it accepts only one record.
    pub(super) fn is_for_one(&self) -> bool {
        match self {
            Self::Server(_) => false,
            Self::Relay(relay) => relay.is_for_one(),
        }
    }
}
