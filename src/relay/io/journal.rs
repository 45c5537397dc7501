//! What is recorded of requests: their ids, their lines in the access log, and the metrics.

use super::conn::Conn;
use super::note::Note;
use crate::api::{Busy, Failure, RouteName};
use crate::http::head::RequestHead;
use crate::ops::access_log::{AccessLog, Entry, StreamEnd, StreamEntry};
use crate::ops::metrics::HandshakeEnd;
use crate::ops::request_id::{InvalidRequestId, RequestIds};
use crate::ops::{Metrics, Settings, cause, threads};
use crate::rendezvous::Now;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use uuid::Uuid;

/// Access log, metrics and request ids of one relay.
#[derive(Debug)]
pub struct Journal {
    /// The metrics.
    pub metrics: Metrics,
    /// Generates and reads request ids; `None`: requests have none.
    pub request_ids: Option<RequestIds>,
    access_log: Option<AccessLog>,
    /// Lines dropped by access logs that were replaced since.
    dropped_before: u64,
}

impl Journal {
    /// Creates a journal without an access log.
    pub fn new(now: Now) -> Self {
        let metrics = Metrics::new(now.wall_ms);
        Self { metrics, request_ids: None, access_log: None, dropped_before: 0 }
    }

    /// Creates the journal of one more worker, which writes the same access log.
    ///
    /// # Errors
    /// Returns the errors of [`AccessLog::another`] and [`RequestIds::new`].
    pub fn another(&self, settings: &Settings) -> io::Result<Self> {
        let log = self.access_log.as_ref();
        Ok(Self {
            metrics: Metrics::of_worker(),
            request_ids: RequestIds::new(&settings.request_id)?,
            access_log: log.map(|log| log.another(&settings.access_log)).transpose()?,
            dropped_before: 0,
        })
    }

    /// Returns one more writer of the current access log.
    ///
    /// # Errors
    /// Returns the error of [`AccessLog::another`].
    pub fn another_log(&self, settings: &Settings) -> io::Result<Option<AccessLog>> {
        let log = self.access_log.as_ref();
        log.map(|log| log.another(&settings.access_log)).transpose()
    }

    /// Opens the access log and prepares request ids.
    ///
    /// # Errors
    /// Returns the errors of [`AccessLog::open`] and [`RequestIds::new`].
    pub fn open(&mut self, settings: &Settings) -> io::Result<()> {
        self.access_log = AccessLog::open(&settings.access_log)?;
        self.request_ids = RequestIds::new(&settings.request_id)?;
        Ok(())
    }

    /// Whether an access log is open, which records the ends of streams.
    pub fn logs(&self) -> bool {
        self.access_log.is_some()
    }

    /// Reopens the log after its file was renamed.
    pub fn reopen(&mut self) {
        if let Some(log) = &mut self.access_log {
            log.reopen();
        }
    }

    /// Returns how many lines this log and those before it have dropped.
    pub fn dropped_lines(&self) -> u64 {
        self.dropped_before + self.access_log.as_ref().map_or(0, AccessLog::dropped)
    }

    /// Replaces the access log after its settings changed. What is noted of the requests of `conns`
    /// was captured for the old one.
    pub fn replace_log<'c>(
        &mut self,
        log: Option<AccessLog>,
        conns: impl Iterator<Item = &'c mut Conn>,
    ) {
        self.dropped_before = self.dropped_lines();
        if let Some(old) = std::mem::replace(&mut self.access_log, log) {
            // Its pending writes may take time.
            let dropping = threads::spawn("old-access-log", move || drop(old));
            if let Err(error) = dropping {
                log::warn!("the old access log was closed by the event loop: {}", cause(&error));
            }
        }
        for note in conns.filter_map(|conn| conn.note.as_mut()) {
            note.forget_headers();
        }
    }

    /// Records a request that was parsed.
    ///
    /// # Errors
    /// When it is to be refused for the id it carries.
    pub fn received(
        &mut self,
        conn: &mut Conn,
        head: &RequestHead<'_, '_>,
        now: Now,
    ) -> Result<(), Failure> {
        if self.access_log.is_none() && self.request_ids.is_none() {
            return Ok(());
        }
        // It identifies the first request: the next one may be another client's.
        let unique = conn.proxied.as_mut().and_then(|client| client.unique_id.take());
        let ids = self.request_ids.as_mut();
        let (id, refused) = match ids.map(|ids| ids.of(head.fields, unique.as_deref())) {
            None => (None, false),
            Some(Ok(id)) => (id, false),
            Some(Err(InvalidRequestId)) => {
                (self.request_ids.as_mut().and_then(RequestIds::make), true)
            }
        };
        let capture = self.access_log.as_ref().map(|log| log.capture(head));
        conn.note = Some(Box::new(Note::new(id, capture, now)));
        if refused { Err(Failure::RequestIdInvalid) } else { Ok(()) }
    }

    /// Records a connection whose TLS handshake is complete.
    pub fn tls_accepted(&mut self, conn: &Conn) {
        self.metrics.handshake(HandshakeEnd::Complete);
        if let Some(subject) = conn.client_subject() {
            self.metrics.client_subject(subject);
        }
    }

    /// Records a connection that is answered although its request was not parsed, or not even read.
    pub fn unread(&mut self, conn: &mut Conn, now: Now) {
        if self.access_log.is_some() || self.request_ids.is_some() {
            let id = self.request_ids.as_mut().and_then(RequestIds::make);
            conn.note = Some(Box::new(Note::new(id, None, now)));
        }
    }

    /// Records the status of the current request's answer; the rest is unread so far.
    pub fn answered(&mut self, conn: &mut Conn, status: u16) {
        if let Some(route) = conn.counts_as.replace(RouteName::Unread) {
            self.metrics.answered(route, status);
        }
    }

    /// Records that the current request, or its connection, is refused. When only load is the
    /// reason, a flood of refusals should cost one addition each: so nothing else is counted,
    /// unless `count_early`.
    pub fn refused(&mut self, conn: &mut Conn, busy: Busy, count_early: bool) {
        self.metrics.refused(busy);
        if !count_early {
            conn.counts_as = None;
        }
    }

    /// Records a connection that was refused before it got a place.
    pub fn refused_unseen(
        &mut self,
        busy: Busy,
        (peer, status, body_bytes): (SocketAddr, u16, u64),
        count_early: bool,
        now: Now,
    ) {
        self.metrics.refused(busy);
        if count_early {
            self.metrics.answered(RouteName::Unread, status);
        }
        if let Some(log) = &mut self.access_log {
            log.record(&Entry {
                peer,
                request: None,
                received_ms: now.wall_ms,
                elapsed: Duration::ZERO,
                status: Some(status),
                body_bytes,
                request_id: None,
                token: None,
                stream: None,
                tls_version: None,
                tls_client: None,
            });
        }
    }

    /// Records the end of the response, or of its connection.
    pub fn ended(&mut self, conn: &mut Conn, now: Now) {
        if let (Some(note), Some(log)) = (conn.note.take(), &mut self.access_log) {
            log.record(&note.entry(conn, now));
        }
    }

    /// Records the end of a stream; its sides connected from these addresses.
    pub fn stream_ended(
        &mut self,
        stream: Uuid,
        peers: [Option<SocketAddr>; 2],
        ended: StreamEnd,
        now: Now,
    ) {
        if let Some(log) = &mut self.access_log {
            log.record_stream(&StreamEntry { stream, peers, ended, ended_ms: now.wall_ms });
        }
    }

    /// Writes the records of this turn.
    pub fn write(&mut self) {
        if let Some(log) = &mut self.access_log {
            log.wake();
        }
    }
}
