//! Several requests to one server on one connection.

use super::connection::Connection;
use super::outgoing::UNLIMITED;
use super::single::{self, SingleRequest};
use super::{Error, Options, Response, clock};
use std::io::Read as _;
use std::time::{Duration, Instant};

/// Maximum age of an idle connection: many servers close it after 60 s or 75 s.
const IDLE_MAX: Duration = Duration::from_secs(50);

/// Maximum bytes of a response that are read so that its connection can be used again.
const REST_MAX_BYTES: u64 = 64 << 10;

/// Requests to one URL, one after the other, on one connection while the server keeps it open.
#[derive(Debug)]
pub(crate) struct Session {
    options: Options,
    /// Maximum time of one request, including its connection and the head of its response.
    timeout: Duration,
    idle: Option<(Connection, Instant)>,
}

impl Session {
    pub(crate) fn new(mut options: Options, timeout: Duration) -> Self {
        options.set_connect_timeout(options.connect_timeout.min(timeout));
        Self { options, timeout: timeout.min(UNLIMITED), idle: None }
    }

    /// Sends the request; with a kept connection also returns whether that was lost before a
    /// response, so that the request can be sent again on a new one.
    ///
    /// # Errors
    /// All but [`Error::Answered`].
    pub(crate) fn send(&mut self, single: SingleRequest<'_>) -> Result<Response, SendError> {
        let start = clock::now();
        let idle = self.idle.take().filter(|(connection, since)| {
            start.saturating_duration_since(*since) < IDLE_MAX && connection.is_idle()
        });
        let is_new = idle.is_none();
        let failed = |error: Error| SendError { may_repeat: !is_new && error.is_lost(), error };
        let mut connection = match idle {
            Some((connection, _)) => connection,
            None => Connection::open(single.url, &self.options).map_err(failed)?,
        };
        connection.limit_to(start, self.timeout);
        single::send_on(connection, single, &self.options).map_err(failed)
    }

    /// Reads the rest of a response, within the time of its request, and keeps the connection if
    /// possible. Returns the first `most` bytes of the body.
    pub(crate) fn finish(&mut self, response: Response, most: usize) -> Vec<u8> {
        let mut body = response.into_body();
        let mut start = Vec::new();
        let read = body.by_ref().take(REST_MAX_BYTES).read_to_end(&mut start);
        self.idle = match read {
            Ok(_) => body.into_connection().map(|connection| (connection, clock::now())),
            Err(_) => None,
        };
        start.truncate(most);
        start
    }
}

/// Why a request of a [`Session`] failed.
#[derive(Debug)]
pub(crate) struct SendError {
    pub(crate) error: Error,
    /// Whether a kept connection was lost before a response: the server may have closed it at any
    /// time, so the request can be sent again at once.
    pub(crate) may_repeat: bool,
}
