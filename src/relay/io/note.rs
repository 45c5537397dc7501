//! What is noted of a request until its response has ended: its id, and the data of its line in the
//! access log. Nothing is noted if neither is enabled.

use super::conn::Conn;
use crate::http::response::HeadWriter;
use crate::ops::access_log::{Capture, Entry, StreamEnd, StreamPart};
use crate::ops::request_id::RequestIds;
use crate::rendezvous::{Now, Side};
use uuid::Uuid;

/// A request whose response has not ended.
#[derive(Debug)]
pub struct Note {
    id: Option<Box<str>>,
    capture: Option<Capture>,
    received: Now,
    status: Option<u16>,
    /// Bytes of the response the socket has taken.
    sent: u64,
    /// Bytes of the response, sent or not, that are not body.
    overhead: u64,
    /// Body bytes of a download.
    moved: u64,
    part: Option<StreamPart>,
}

impl Note {
    pub(super) fn new(id: Option<Box<str>>, capture: Option<Capture>, received: Now) -> Self {
        Self { id, capture, received, status: None, sent: 0, overhead: 0, moved: 0, part: None }
    }

    /// Returns the request's id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Begins a response; `head_bytes` of its head wait to be sent.
    pub fn answered(&mut self, status: u16, head_bytes: usize) {
        self.status = Some(status);
        (self.sent, self.overhead) = (0, head_bytes as u64);
    }

    /// Counts bytes that the socket took, as the response's if it has begun.
    pub fn sent(&mut self, count: usize) {
        if self.status.is_some() {
            self.sent += count as u64;
        }
    }

    /// Counts framing bytes added to the response.
    pub fn framed(&mut self, count: usize) {
        self.overhead += count as u64;
    }

    /// Ends a download, after this many bytes of its body; its head was sent before.
    pub fn downloaded(&mut self, bytes: u64) {
        self.status = self.status.or(Some(200));
        self.moved = bytes;
    }

    /// Notes the stream that the request concerns, and its side, if it is one.
    pub fn concerns(&mut self, stream: Uuid, side: Option<Side>) {
        self.part = Some(StreamPart { stream, side, ended: None });
    }

    /// Notes the end of a stream, if it is the one that the request concerns.
    pub fn stream_ended(&mut self, stream: Uuid, ended: StreamEnd) {
        if let Some(part) = self.part.as_mut().filter(|part| part.stream == stream) {
            part.ended = Some(ended);
        }
    }

    /// Discards captured headers: the access log's selection of header fields has changed.
    pub(super) fn forget_headers(&mut self) {
        if let Some(capture) = &mut self.capture {
            capture.forget_headers();
        }
    }

    pub(super) fn entry<'e>(&'e self, conn: &'e Conn, now: Now) -> Entry<'e> {
        let (tls_version, tls_client) = tls_of(conn);
        Entry {
            peer: conn.client(),
            request: self.capture.as_ref(),
            received_ms: self.received.wall_ms,
            elapsed: now.monotonic.saturating_duration_since(self.received.monotonic),
            status: self.status,
            body_bytes: self.moved + self.sent.saturating_sub(self.overhead),
            request_id: self.id.as_deref(),
            token: conn.extras.token().map(|token| &*token.name),
            stream: self.part.as_ref(),
            tls_version,
            tls_client,
        }
    }
}

/// Returns the version of TLS of a connection's client, here or at a proxy, and the name in its
/// certificate.
fn tls_of(conn: &Conn) -> (Option<&str>, Option<&str>) {
    if conn.is_tls() {
        return (conn.tls_version(), conn.client_subject());
    }
    let Some(proxied) = conn.proxied.as_deref().and_then(|client| client.tls.as_ref()) else {
        return (None, None);
    };
    let version = Some(&*proxied.version).filter(|version| !version.is_empty());
    (version, proxied.common_name.as_deref())
}

/// Writes the id of the request into the head of its response.
pub fn identify<'o>(
    head: HeadWriter<'o>,
    ids: Option<&'o RequestIds>,
    note: Option<&Note>,
) -> HeadWriter<'o> {
    match (ids, note.and_then(Note::id)) {
        (Some(ids), Some(id)) => head.sole(ids.header(), id.as_bytes()),
        (Some(_), None) | (None, _) => head,
    }
}
