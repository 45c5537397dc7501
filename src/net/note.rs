//! What is noted of a request until its response has ended: its id, and what its line in the access
//! log needs. Nothing is noted while there is neither.

use super::agents::Errand;
use super::conn::Conn;
use super::relay::Relay;
use super::token::ConnId;
use crate::api::{Failure, Route};
use crate::http::head::RequestHead;
use crate::http::response::HeadWriter;
use crate::ops::access_log::{AccessLog, Capture, Ended, Entry, Part, StreamEntry};
use crate::ops::request_id::{NotPlain, RequestIds};
use crate::rendezvous::{Ending, Now, Side, Transfer};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A request that has not been answered to its end.
#[derive(Debug)]
pub(super) struct Note {
    id: Option<Box<str>>,
    capture: Option<Capture>,
    received: Now,
    status: Option<u16>,
    /// Bytes of the response the socket has taken.
    sent: u64,
    /// Bytes of the response, sent or not, that are no body.
    overhead: u64,
    /// Body bytes of a download.
    moved: u64,
    part: Option<Part>,
}

impl Note {
    /// The request's id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// A response begins; so many bytes of its head wait to be sent.
    pub fn answered(&mut self, status: u16, head_bytes: usize) {
        self.status = Some(status);
        (self.sent, self.overhead) = (0, head_bytes as u64);
    }

    /// The socket took bytes, of the response if it has begun.
    pub fn sent(&mut self, count: usize) {
        if self.status.is_some() {
            self.sent += count as u64;
        }
    }

    /// So many bytes of framing were added to the response.
    pub fn framed(&mut self, count: usize) {
        self.overhead += count as u64;
    }

    fn entry(&self, peer: SocketAddr, now: Now) -> Entry<'_> {
        Entry {
            peer,
            request: self.capture.as_ref(),
            received_ms: self.received.wall_ms,
            elapsed: now.monotonic.saturating_duration_since(self.received.monotonic),
            status: self.status,
            body_bytes: self.moved + self.sent.saturating_sub(self.overhead),
            request_id: self.id.as_deref(),
            stream: self.part.as_ref(),
        }
    }
}

/// Writes the id of the request into the head of its response.
pub(super) fn identify<'o>(
    head: HeadWriter<'o>,
    ids: Option<&'o RequestIds>,
    note: Option<&Note>,
) -> HeadWriter<'o> {
    match (ids, note.and_then(|note| note.id.as_deref())) {
        (Some(ids), Some(id)) => head.sole(ids.header(), id.as_bytes()),
        (Some(_), None) | (None, _) => head,
    }
}

impl Relay {
    /// Opens the access log, and has the ids of requests ready.
    ///
    /// # Errors
    /// What [`AccessLog::open`] and [`RequestIds::new`] say.
    pub(super) fn open_logs(&mut self) -> io::Result<()> {
        self.access_log = AccessLog::open(&self.settings.access_log)?;
        self.request_ids = RequestIds::new(&self.settings.request_id)?;
        if self.access_log.is_some() {
            self.registry.keep_records();
        }
        Ok(())
    }

    /// The log's file was renamed, or its settings may have changed.
    pub(super) fn reopen_logs(&mut self) {
        if let Some(log) = &mut self.access_log {
            log.reopen();
        }
    }

    /// Lines that this log and those before it have lost.
    pub(super) fn dropped_lines(&self) -> u64 {
        self.dropped_before + self.access_log.as_ref().map_or(0, AccessLog::dropped)
    }

    /// Other settings of the access log are in force, and this is the log they make.
    pub(super) fn replace_log(&mut self, log: Option<AccessLog>) {
        self.dropped_before = self.dropped_lines();
        if let Some(old) = std::mem::replace(&mut self.access_log, log) {
            // What it still has to write may take time.
            std::thread::spawn(move || drop(old));
        }
        if self.access_log.is_some() {
            self.registry.keep_records();
        }
        for (_, conn) in &mut self.conns {
            if let Some(capture) = conn.note.as_mut().and_then(|note| note.capture.as_mut()) {
                capture.forget_headers();
            }
        }
    }

    /// A request was understood.
    ///
    /// # Errors
    /// When it is to be refused for the id it brings.
    pub(super) fn note_request(
        &mut self,
        id: ConnId,
        head: &RequestHead<'_, '_>,
    ) -> Result<(), Failure> {
        if self.access_log.is_none() && self.request_ids.is_none() {
            return Ok(());
        }
        let (name, refused) = match self.request_ids.as_mut().map(|ids| ids.of(head.fields)) {
            None => (None, false),
            Some(Ok(name)) => (Some(name), false),
            Some(Err(NotPlain)) => (self.request_ids.as_mut().map(RequestIds::make), true),
        };
        let capture = self.access_log.as_ref().map(|log| log.capture(head));
        self.note(id, name, capture);
        if refused { Err(Failure::RequestIdInvalid) } else { Ok(()) }
    }

    /// A connection is answered whose request was not understood, or not even read.
    pub(super) fn note_unread(&mut self, id: ConnId) {
        if self.access_log.is_some() || self.request_ids.is_some() {
            let name = self.request_ids.as_mut().map(RequestIds::make);
            self.note(id, name, None);
        }
    }

    fn note(&mut self, id: ConnId, name: Option<Box<str>>, capture: Option<Capture>) {
        let received = self.now;
        let note = Note {
            id: name,
            capture,
            received,
            status: None,
            sent: 0,
            overhead: 0,
            moved: 0,
            part: None,
        };
        if let Some(conn) = self.conn(id) {
            conn.note = Some(Box::new(note));
        }
    }

    /// The request is about a stream.
    pub(super) fn note_route(&mut self, id: ConnId, route: &Route<'_>) {
        let (stream, side) = match route {
            Route::Source(Some(stream), _) => (*stream, Some(Side::Source)),
            Route::Destination(Some(stream)) => (*stream, Some(Side::Destination)),
            Route::Exists(Some(stream))
            | Route::Delete(Some(stream))
            | Route::Report(Some(stream))
            | Route::Events(Some(stream))
            | Route::Status(Some(stream)) => (*stream, None),
            Route::Source(None, _)
            | Route::Destination(None)
            | Route::Exists(None)
            | Route::Delete(None)
            | Route::Report(None)
            | Route::Status(None)
            | Route::Events(None)
            | Route::Health
            | Route::Readiness
            | Route::Metrics
            | Route::State
            | Route::Control(_)
            | Route::Create
            | Route::Push
            | Route::List { .. }
            | Route::Agents
            | Route::Attach
            | Route::Spare
            | Route::AgentEvents
            | Route::Call { .. }
            | Route::Ping
            | Route::Version
            | Route::Options(_)
            | Route::NotAllowed(_)
            | Route::Nothing
            | Route::Tunnel => return,
        };
        if let Some(note) = self.conn(id).and_then(|conn| conn.note.as_mut()) {
            note.part = Some(Part { stream, side, ended: None });
        }
    }

    /// A stream was made for the request.
    pub(super) fn note_created(&mut self, id: ConnId, stream: uuid::Uuid) {
        if let Some(note) = self.conn(id).and_then(|conn| conn.note.as_mut()) {
            note.part = Some(Part { stream, side: None, ended: None });
        }
    }

    /// A download ends here; if its head never began, it is answered otherwise.
    pub(super) fn note_download(&mut self, id: ConnId, transfer: &Transfer) {
        if transfer.head_started()
            && let Some(note) = self.conn(id).and_then(|conn| conn.note.as_mut())
        {
            note.status = note.status.or(Some(200));
            note.moved = transfer.transferred();
        }
    }

    /// The response has ended.
    pub(super) fn log_request(&mut self, id: ConnId) {
        self.log_streams();
        let Some(conn) = self.conn(id) else { return };
        let (peer, note) = (conn.peer, conn.note.take());
        self.log_note(peer, note);
    }

    /// The connection has ended, and with it what was under way on it.
    pub(super) fn log_closed(&mut self, conn: &mut Conn) {
        let note = conn.note.take();
        self.log_note(conn.peer, note);
    }

    fn log_note(&mut self, peer: SocketAddr, note: Option<Box<Note>>) {
        if let (Some(log), Some(note)) = (&mut self.access_log, note) {
            log.record(&note.entry(peer, self.now));
        }
    }

    /// A connection was refused that never had a place.
    pub(super) fn log_refused(&mut self, peer: SocketAddr, status: u16, body_bytes: u64) {
        if let Some(log) = &mut self.access_log {
            log.record(&Entry {
                peer,
                request: None,
                received_ms: self.now.wall_ms,
                elapsed: Duration::ZERO,
                status: Some(status),
                body_bytes,
                request_id: None,
                stream: None,
            });
        }
    }

    /// Records the streams that have ended; while their connections are still there.
    pub(super) fn log_streams(&mut self) {
        while let Some(record) = self.registry.take_record() {
            let ended = Ended {
                outcome: record.state,
                bytes_transferred: record.bytes_transferred,
                waited: record.waited,
                transferred_in: record.transferred_in,
            };
            let peers = record.clients.map(|client| {
                let conn = self.conn(ConnId::from_client(client?))?;
                let part = conn.note.as_mut().and_then(|note| note.part.as_mut());
                if let Some(part) = part.filter(|part| part.stream == record.id) {
                    part.ended = Some(ended);
                }
                Some(conn.peer)
            });
            let ended_ms = self.now.wall_ms;
            if let Some(log) = &mut self.access_log {
                log.record_stream(&StreamEntry { stream: record.id, peers, ended, ended_ms });
            }
        }
    }

    /// The turn ends: what was recorded in it is written.
    pub(super) fn write_log(&mut self) {
        self.log_streams();
        if let Some(log) = &mut self.access_log {
            log.wake();
        }
    }

    /// The relay ends, whatever is still under way.
    pub(super) fn log_rest(&mut self) {
        for (_, exchange) in std::mem::take(&mut self.exchanges) {
            let stopping = Ending::Reported(Box::new(Failure::stopping()));
            self.note_download(exchange.destination, &exchange.transfer);
            if let Errand::Stream(stream) = exchange.errand {
                self.registry.transferred(stream, exchange.transfer.transferred());
                self.registry.end(stream, stopping, self.now);
            }
        }
        self.log_streams();
        let ids: Vec<ConnId> = self.conns.iter().map(|(_, conn)| conn.id).collect();
        for id in ids {
            self.log_request(id);
        }
    }
}
