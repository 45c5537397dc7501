//! Writing responses, and what follows them.

use super::conn::{After, Phase, Reply};
use super::note::identify;
use super::relay::Relay;
use super::token::ConnId;
use crate::api::Failure;
use crate::http::response::HeadWriter;
use crate::rendezvous::StreamKey;
use crate::splice::copy;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// Bytes of most responses, to be allocated at once.
const RESPONSE_BYTES: usize = 256;

/// Statuses whose responses have no body (RFC 9110 15.3.5, 15.3.6, 15.4.5).
fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 205 | 304)
}

/// Of those, 205 has to say so (RFC 9110 15.3.6); the others end with their heads.
fn without_body(head: HeadWriter<'_>, status: u16) -> HeadWriter<'_> {
    if matches!(status, 204 | 304) { head } else { head.content_length(0) }
}

impl Relay {
    /// `read`: the request's body was read to its end; else the connection has to end as well.
    pub(super) fn answer_failure(&mut self, id: ConnId, failure: &Failure, read: bool) {
        let elsewhere = self.perhaps_elsewhere(failure);
        let failure = elsewhere.as_ref().unwrap_or(failure);
        self.refused(id, failure);
        self.tell_failure(id, failure, read);
    }

    /// The same for a request that was taken on before.
    pub(super) fn tell_failure(&mut self, id: ConnId, failure: &Failure, read: bool) {
        let Some(conn) = self.conn(id) else { return };
        let text = conn.reply.text;
        let status = self.status_of(failure);
        let body = if is_bodiless(status) { String::new() } else { failure.body(text) };
        let retry_after = self.settings.load.retry_after_seconds();
        let kind: &[u8] = if text { b"text/plain; charset=utf-8" } else { b"application/json" };
        self.respond(id, status, read, |mut head| {
            if failure.may_pass() {
                head = head.field("Retry-After", retry_after.to_string().as_bytes());
            }
            if let Some(challenge) = failure.challenge() {
                head = head.field("WWW-Authenticate", challenge.as_bytes());
            }
            if let Some(allow) = failure.allow() {
                head = head.field("Allow", allow.as_bytes());
            }
            for (name, value) in failure.fields() {
                head = head.field(name, value.as_bytes());
            }
            if is_bodiless(status) {
                without_body(head, status)
            } else {
                content(head, kind, body.len())
            }
        });
        self.append_and_send(id, body.as_bytes());
    }

    /// A JSON response.
    pub(super) fn answer_json(&mut self, id: ConnId, status: u16, value: &Value, read: bool) {
        let body = format!("{value}\n");
        self.respond(id, status, read, |head| content(head, b"application/json", body.len()));
        self.append_and_send(id, body.as_bytes());
    }

    /// `201 Created` for a stream; one that asked for a waiting time is told what it was granted.
    pub(super) fn answer_created(&mut self, id: ConnId, stream: Uuid, granted: Option<Duration>) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let name = stream.hyphenated().encode_lower(&mut text);
        let granted =
            granted.map_or(String::new(), |ttl| format!(r#","ttl_seconds":{}"#, ttl.as_secs()));
        let body = [r#"{"stream":""#, name, "\"", &granted, "}\n"].concat();
        let location = ["/stream/", name].concat();
        self.respond(id, 201, true, |head| {
            content(head.field("Location", location.as_bytes()), b"application/json", body.len())
        });
        self.append_and_send(id, body.as_bytes());
    }

    /// `201 Created` for a record.
    pub(super) fn answer_pushed(&mut self, id: ConnId, position: Uuid) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let position = position.hyphenated().encode_lower(&mut text);
        let body = [r#"{"position":""#, position, "\"}\n"].concat();
        self.respond(id, 201, true, |head| content(head, b"application/json", body.len()));
        self.append_and_send(id, body.as_bytes());
    }

    /// A short text.
    pub(super) fn answer_text(&mut self, id: ConnId, body: &str, read: bool) {
        self.answer_typed(id, "text/plain", body, read);
    }

    /// A text of this type.
    pub(super) fn answer_typed(&mut self, id: ConnId, kind: &str, body: &str, read: bool) {
        self.respond(id, 200, read, |head| content(head, kind.as_bytes(), body.len()));
        self.append_and_send(id, body.as_bytes());
    }

    /// `204 No Content` that names the methods there are.
    pub(super) fn answer_allow(&mut self, id: ConnId, allow: &str, read: bool) {
        self.respond(id, 204, read, |head| head.field("Allow", allow.as_bytes()));
        self.append_and_send(id, b"");
    }

    /// A response that has no body.
    pub(super) fn answer_empty(&mut self, id: ConnId, status: u16, read: bool) {
        self.respond(id, status, read, |head| without_body(head, status));
        self.append_and_send(id, b"");
    }

    /// The upload is complete, and so is the download.
    pub(super) fn answer_upload(&mut self, id: ConnId, stream: StreamKey) {
        let headers = self.registry.stream(stream).headers().map(|headers| headers.upload.clone());
        self.respond(id, 200, true, |head| {
            crate::api::download::custom_fields(head.content_length(0), headers.as_ref())
        });
        self.append_and_send(id, b"");
    }

    /// Puts a response head into the output, and decides what follows the response.
    fn respond(
        &mut self,
        id: ConnId,
        status: u16,
        read: bool,
        finish: impl FnOnce(HeadWriter<'_>) -> HeadWriter<'_>,
    ) {
        let date = self.date;
        let Some(Reply { version, after, .. }) = self.conn(id).map(|conn| conn.reply) else {
            return;
        };
        let after = self.after(after, read);
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.id == id) else {
            return;
        };
        // One allocation for most responses, their bodies included.
        conn.output.buffer().reserve(RESPONSE_BYTES);
        let head = HeadWriter::new(conn.output.buffer(), status, &date);
        let mut head = identify(head, self.request_ids.as_ref(), conn.note.as_deref());
        if let Some(id) = &conn.correlation_id {
            head = head.field("X-Correlation-Id", id.as_bytes());
        }
        finish(head).connection(after.keeps_alive(), version).end();
        if let Some(note) = &mut conn.note {
            note.answered(status, conn.output.rest().len());
        }
        conn.phase = Phase::Answering(after);
        self.answered(id, status);
    }

    fn append_and_send(&mut self, id: ConnId, body: &[u8]) {
        let patience = self.settings.keep_alive_timeout;
        let Some(conn) = self.conn(id) else { return };
        if !conn.reply.head_only {
            conn.output.buffer().extend_from_slice(body);
        }
        self.flush(id);
        if self.conn(id).is_some_and(|conn| matches!(conn.phase, Phase::Answering(_))) {
            self.set_deadline(id, patience);
        }
    }

    /// Writes what waits to be written; once all is out, what follows.
    pub(super) fn flush(&mut self, id: ConnId) {
        while let Some(conn) = self.conn(id)
            && conn.writable
            && !conn.output.is_empty()
        {
            match copy::write(&conn.socket, conn.output.rest(), false) {
                Ok(copy::Write::Moved(count)) => conn.sent(count),
                Ok(copy::Write::Blocked) => conn.writable = false,
                Err(_) => return self.lost(id),
            }
        }
        let Some(conn) = self.conn(id) else { return };
        if let Phase::Answering(after) = conn.phase
            && conn.output.is_empty()
        {
            self.follow(id, after);
        }
    }

    pub(super) fn follow(&mut self, id: ConnId, after: After) {
        self.log_request(id);
        match after {
            After::NextRequest => self.await_request(id),
            After::Close => self.close_or_linger(id),
            After::Linger => self.linger(id),
            After::Whole => {
                if let Some(conn) = self.conn(id) {
                    conn.look_whole();
                }
                self.close_or_linger(id);
            }
        }
    }
}

fn content<'o>(head: HeadWriter<'o>, kind: &[u8], bytes: usize) -> HeadWriter<'o> {
    head.field("Content-Type", kind).content_length(bytes as u64)
}
