//! Writing responses.

use super::follow::{flush, settled};
use crate::api::{Busy, ERROR_FIELD, Failure, Preflight};
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::http::head::{RequestHead, Version};
use crate::http::negotiate::BodyForm;
use crate::http::response::HeadWriter;
use crate::relay::io::{Conn, ConnId, Http, Io, OnFlushed, Reply, Role, ServingMode, identify};
use crate::web;
use serde_json::Value;

/// Size of most responses, allocated at once.
const RESPONSE_BYTES: usize = 256;

const PLAIN: &str = "text/plain; charset=utf-8";

/// A response whose body is written in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Streamed {
    /// The body is sent in chunks; otherwise the end of the connection delimits it.
    pub chunked: bool,
    /// What follows once it is written.
    pub after: OnFlushed,
}

/// Statuses whose responses have no body (RFC 9110 15.3.5, 15.3.6, 15.4.5).
fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 205 | 304)
}

/// Frames a bodiless response: 205 has to declare it (RFC 9110 15.3.6); the others end with their
/// heads.
fn without_body(head: HeadWriter<'_>, status: u16) -> HeadWriter<'_> {
    if matches!(status, 204 | 304) { head } else { head.content_length(0) }
}

/// Returns the status that a failure is answered with.
pub fn status_of(io: &Io, failure: &Failure) -> u16 {
    if matches!(failure, Failure::TooBusy(_)) {
        io.settings.load.too_busy_status
    } else {
        failure.status()
    }
}

/// Refuses a request. `read`: its body was read to its end; otherwise the connection has to end
/// too.
pub fn failure(io: &mut Io, id: ConnId, failure: &Failure, read: bool) {
    // A stream unknown here may be known to the process that took over: so the answer is "retry
    // there" instead of "does not exist".
    let moved = *failure == Failure::SessionNotFound && io.mode == ServingMode::HandedOver;
    let failure = if moved { &Failure::TooBusy(Busy::Replaced) } else { failure };
    if let Failure::TooBusy(busy) = failure {
        let early = io.settings.metrics.early_instrumentation;
        io.journal.refused(&mut io.conns[id], *busy, early);
    }
    report(io, id, failure, read);
}

/// Reports the failure of a request that was accepted before.
pub fn report(io: &mut Io, id: ConnId, failure: &Failure, read: bool) {
    report_as(io, id, failure, (status_of(io, failure), read));
}

/// Reports a failure with another status than its own.
pub fn report_as(io: &mut Io, id: ConnId, failure: &Failure, (status, read): (u16, bool)) {
    let form = io.conns[id].reply.form;
    let (kind, body) = match form {
        BodyForm::Page => (web::HTML, web::error(failure, status)),
        BodyForm::Json => ("application/json", failure.body(false)),
        BodyForm::Text => (PLAIN, failure.body(true)),
    };
    let body = if is_bodiless(status) { String::new() } else { body };
    let retry_after = io.settings.load.retry_after_seconds();
    respond(io, id, (status, read), body.as_bytes(), |mut head| {
        head = head.field(ERROR_FIELD, failure.field_value().as_bytes());
        if failure.may_pass() {
            head = head.field("Retry-After", retry_after.to_string().as_bytes());
        }
        for challenge in failure.challenges() {
            head = head.field("WWW-Authenticate", challenge.as_bytes());
        }
        if let Some(allow) = failure.allow() {
            head = head.field("Allow", allow.as_bytes());
        }
        if let Some(location) = failure.location() {
            head = head.field("Location", location.as_bytes());
            // Nodes can be added, and get other URLs. A page always has the field.
            if form != BodyForm::Page {
                head = head.field("Cache-Control", b"no-store");
            }
        }
        for (name, value) in failure.fields() {
            head = head.field(name, value.as_bytes());
        }
        if is_bodiless(status) {
            without_body(head, status)
        } else {
            content(secured(head, kind), kind.as_bytes(), body.len())
        }
    });
}

/// Sends a JSON response.
pub fn json(io: &mut Io, id: ConnId, status: u16, value: &Value, read: bool) {
    let body = format!("{value}\n");
    respond(io, id, (status, read), body.as_bytes(), |head| {
        content(head, b"application/json", body.len())
    });
}

/// Sends `201 Created` for a request that was read to its end; the body is JSON.
pub fn created(io: &mut Io, id: ConnId, location: Option<&str>, body: &str) {
    respond(io, id, (201, true), body.as_bytes(), |mut head| {
        if let Some(location) = location {
            head = head.field("Location", location.as_bytes());
        }
        content(head, b"application/json", body.len())
    });
}

/// Sends a text of this type.
pub fn text(io: &mut Io, id: ConnId, kind: &str, body: &str, read: bool) {
    respond(io, id, (200, read), body.as_bytes(), |head| {
        content(head, kind.as_bytes(), body.len())
    });
}

/// Sends a text that only this request is to get: another one for the same target may transfer data.
pub fn text_of_now(io: &mut Io, id: ConnId, body: &str, read: bool) {
    respond(io, id, (200, read), body.as_bytes(), |head| {
        content(head.field("Cache-Control", b"no-store"), PLAIN.as_bytes(), body.len())
    });
}

/// Sends a text instead of a page, to a client that prefers it.
pub fn text_for_page(io: &mut Io, id: ConnId, body: &str, read: bool) {
    respond(io, id, (200, read), body.as_bytes(), |head| {
        let head = head.field("Cache-Control", b"no-store").field("Vary", b"Accept");
        content(head, PLAIN.as_bytes(), body.len())
    });
}

/// Sends a page that shows a state of this moment.
pub fn page(io: &mut Io, id: ConnId, body: &str, read: bool) {
    respond(io, id, (200, read), body.as_bytes(), |head| {
        content(secured(head, web::HTML), web::HTML.as_bytes(), body.len())
    });
}

/// Adds the fields of all pages made for a request, if it is one: other clients get another form of
/// it, and no copy of it may be kept.
fn secured<'o>(mut head: HeadWriter<'o>, kind: &str) -> HeadWriter<'o> {
    if kind != web::HTML {
        return head;
    }
    for (name, value) in web::SECURITY {
        head = head.field(name, value.as_bytes());
    }
    head = head.field("Cache-Control", b"no-store").field("Vary", b"Accept");
    head.field("X-Robots-Tag", b"none")
}

/// Sends `204 No Content` that lists the allowed methods, also for a page that can read responses.
pub fn allow(io: &mut Io, id: ConnId, head: &RequestHead<'_, '_>, allow: &str, read: bool) {
    let preflight = Preflight::of(head).filter(|_| io.conns[id].extras.cors().permits());
    respond(io, id, (204, read), b"", |head| {
        let head = head.field("Allow", allow.as_bytes());
        match &preflight {
            Some(preflight) => preflight.fields(head, allow),
            None => head,
        }
    });
}

/// Sends a response that has no body.
pub fn empty(io: &mut Io, id: ConnId, status: u16, read: bool) {
    respond(io, id, (status, read), b"", |head| without_body(head, status));
}

/// Sends a response, and sets what follows it. `finish` adds its own fields to the head.
pub fn respond(
    io: &mut Io,
    id: ConnId,
    (status, read): (u16, bool),
    body: &[u8],
    finish: impl FnOnce(HeadWriter<'_>) -> HeadWriter<'_>,
) {
    let Reply { version, after, head_only, begun, .. } = io.conns[id].reply;
    let after = settled(io, after, read);
    if begun {
        return end_begun(io, id, (status, after), body);
    }
    let Io { conns, journal, date, .. } = io;
    let conn = &mut conns[id];
    // One allocation for most responses, their bodies included.
    conn.output.buffer().reserve(RESPONSE_BYTES);
    let head = HeadWriter::new(conn.output.buffer(), status, date);
    let head = identify(head, journal.request_ids.as_ref(), conn.note.as_deref());
    let mut head = conn.extras.cors().fields(head);
    if let Some(id) = conn.extras.correlation_id() {
        head = head.field("X-Correlation-Id", id.as_bytes());
    }
    finish(head).connection(after.keeps_alive(), version).end();
    if let Some(note) = &mut conn.note {
        note.answered(status, conn.output.rest().len());
    }
    journal.answered(conn, status);
    if !head_only {
        conn.output.buffer().extend_from_slice(body);
    }
    end_of_output(io, id, after);
}

/// Begins the response to an upload before its outcome is known (`respond-async`, RFC 7240, section
/// 4.1): it is complete only if the upload succeeds.
pub fn accept(io: &mut Io, id: ConnId) {
    let Io { conns, journal, date, .. } = io;
    let conn = &mut conns[id];
    let writer = HeadWriter::new(conn.output.buffer(), 202, date);
    let writer = identify(writer, journal.request_ids.as_ref(), conn.note.as_deref());
    let writer = conn.extras.cors().fields(writer).field("Preference-Applied", b"respond-async");
    let writer = writer.field("Content-Type", PLAIN.as_bytes()).chunked();
    writer.connection(false, conn.reply.version).end();
    if let Some(note) = &mut conn.note {
        note.answered(202, conn.output.rest().len());
    }
    journal.answered(conn, 202);
    (conn.reply.begun, conn.reply.after) = (true, OnFlushed::Close);
    io.conns.flush_or_close(id);
}

/// Ends a response that was begun early. After a failure it has no last chunk, so that it does not
/// look complete.
fn end_begun(io: &mut Io, id: ConnId, (status, after): (u16, OnFlushed), body: &[u8]) {
    let Conn { output, note, .. } = &mut io.conns[id];
    let mut framing = write_framed(output.buffer(), body, true);
    if (200..300).contains(&status) {
        output.buffer().extend_from_slice(LAST_CHUNK);
        framing += LAST_CHUNK.len();
    }
    if let Some(note) = note {
        note.framed(framing);
    }
    end_of_output(io, id, after);
}

/// Sets what follows a response once all of it, now in the output, is sent.
pub fn end_of_output(io: &mut Io, id: ConnId, after: OnFlushed) {
    io.conns[id].role = Role::Http(Http::Answering(after));
    flush(io, id);
    if matches!(io.conns[id].role, Role::Http(Http::Answering(_))) {
        io.set_timeout(id, io.settings.keep_alive_timeout);
    }
}

/// Begins a response whose body is written in pieces; `fields` are its own. `None`: only the head
/// was requested, and the response is over. Its owner sets the connection's role.
pub fn begin(
    io: &mut Io,
    id: ConnId,
    fields: &[(&str, &str)],
    wanted: impl FnOnce(OnFlushed) -> OnFlushed,
    read: bool,
) -> Option<Streamed> {
    let Reply { version, after, head_only, .. } = io.conns[id].reply;
    let chunked = version == Version::Http11;
    let after = wanted(if chunked || head_only { after } else { OnFlushed::Whole });
    let after = settled(io, after, read);
    let Io { conns, journal, date, .. } = io;
    let conn = &mut conns[id];
    let writer = HeadWriter::new(conn.output.buffer(), 200, date);
    let writer = identify(writer, journal.request_ids.as_ref(), conn.note.as_deref());
    let mut writer = conn.extras.cors().fields(writer);
    for (name, value) in fields {
        writer = writer.field(name, value.as_bytes());
    }
    if chunked {
        writer = writer.chunked();
    }
    writer.connection(after.keeps_alive(), version).end();
    if let Some(note) = &mut conn.note {
        note.answered(200, conn.output.rest().len());
    }
    journal.answered(conn, 200);
    if head_only {
        end_of_output(io, id, after);
        return None;
    }
    if !chunked {
        conn.reset_on_close(true);
    }
    Some(Streamed { chunked, after })
}

/// Ends HTTP on this connection (RFC 9110, section 7.8); its owner sets the role that follows.
pub fn switch(io: &mut Io, id: ConnId, fields: &[(&str, &str)]) {
    let Io { conns, journal, date, .. } = io;
    let conn = &mut conns[id];
    let writer = HeadWriter::new(conn.output.buffer(), 101, date);
    let mut writer = identify(writer, journal.request_ids.as_ref(), conn.note.as_deref());
    for (name, value) in fields {
        writer = writer.field(name, value.as_bytes());
    }
    writer.end();
    if let Some(note) = &mut conn.note {
        note.answered(101, conn.output.rest().len());
    }
    journal.answered(conn, 101);
    // It may last for months, and does not count as load.
    io.conns.end_request(id);
    io.conns.set_deadline(id, None);
    io.conns.flush_or_close(id);
}

fn content<'o>(head: HeadWriter<'o>, kind: &[u8], bytes: usize) -> HeadWriter<'o> {
    head.field("Content-Type", kind).content_length(bytes as u64)
}
