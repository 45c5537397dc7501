//! The pages: their files, and the page of a stream, which joins nothing; and the API documents.

mod documents;

pub use documents::Documents;

use crate::api::{Failure, Upload};
use crate::http::head::RequestHead;
use crate::http::negotiate::{BodyForm, accepts_gzip};
use crate::relay::http1::answer;
use crate::relay::io::{Conn, ConnId, Io};
use crate::rendezvous::Stream;
use crate::web::{self, File};

/// The status of the page of a stream that has ended (RFC 9110, section 15.5.11).
const GONE: u16 = 410;

/// Handles `GET /`: a page for browsers, short text for others.
pub fn home(io: &mut Io, id: ConnId, head: &RequestHead<'_, '_>, page: &str, read: bool) {
    if io.conns[id].reply.form == BodyForm::Page
        && let Some(file) = web::file(page)
    {
        return send(io, id, head, file, read);
    }
    let text = web::home(&origin(&io.conns[id], head));
    answer::text_for_page(io, id, &text, read);
}

/// Handles `GET /web/NAME`.
pub fn part(io: &mut Io, id: ConnId, head: &RequestHead<'_, '_>, name: &str, read: bool) {
    match web::part(name) {
        Some(file) => send(io, id, head, file, read),
        None => answer::failure(io, id, &Failure::BadRoute, read),
    }
}

/// Handles `GET /s/:id`, and previews of `GET /stream/:id`, for an active stream. It is always a
/// page: programs that preview links accept anything.
pub fn stream(
    io: &mut Io,
    id: ConnId,
    head: &RequestHead<'_, '_>,
    (stream, upload): (&Stream, Option<&Upload>),
    read: bool,
) {
    if io.settings.no_pages {
        return answer::text_for_page(io, id, web::PREVIEW, read);
    }
    let page = web::receive(stream, upload, &origin(&io.conns[id], head));
    answer::page(io, id, &page, read);
}

/// Handles the same for a stream that has ended, or never existed.
pub fn no_stream(io: &mut Io, id: ConnId, failure: &Failure, read: bool) {
    let ended = matches!(failure, Failure::StreamEnded(_));
    if !ended || io.settings.no_pages {
        return answer::failure(io, id, failure, read);
    }
    io.conns[id].reply.form = BodyForm::Page;
    answer::report_as(io, id, failure, (GONE, read));
}

/// Sends a file, unless the client has it.
pub fn send(io: &mut Io, id: ConnId, head: &RequestHead<'_, '_>, file: &File<'_>, read: bool) {
    let gzip = accepts_gzip(head.fields.all("Accept-Encoding"));
    let (body, suffix) = if gzip { (file.gzip, "-gz") } else { (file.bytes, "") };
    let etag = format!("\"{}{suffix}\"", file.etag);
    let is_current = head.fields.all("If-None-Match").any(|value| lists(value, etag.as_bytes()));
    let status = if is_current { 304 } else { 200 };
    let body = if is_current { &[][..] } else { body };
    answer::respond(io, id, (status, read), body, |mut head| {
        head = head.field("ETag", etag.as_bytes()).field("Cache-Control", b"no-cache");
        head = head.field("Vary", b"Accept, Accept-Encoding");
        if is_current {
            return head;
        }
        for (name, value) in web::SECURITY {
            head = head.field(name, value.as_bytes());
        }
        if gzip {
            head = head.field("Content-Encoding", b"gzip");
        }
        head.field("Content-Type", file.kind.as_bytes()).content_length(body.len() as u64)
    });
}

/// Whether a list of entity tags has this one, in the weak comparison (RFC 9110, section 8.8.3.2).
fn lists(value: &[u8], etag: &[u8]) -> bool {
    let members = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    members
        .map(|member| member.strip_prefix(b"W/").unwrap_or(member))
        .any(|member| member == etag || member == b"*")
}

/// Returns the origin of the relay as the client wrote it, for commands to copy; with a placeholder
/// if the host has characters that mean something to a shell, such as `$(…)`.
pub fn origin(conn: &Conn, head: &RequestHead<'_, '_>) -> String {
    let https = head.fields.get("X-Forwarded-Proto").is_some_and(|value| value == b"https");
    let scheme = if https { "https" } else { conn.scheme() };
    let host = head.host().filter(|host| !host.is_empty() && host.iter().copied().all(is_plain));
    format!("{scheme}://{}", host.and_then(|host| str::from_utf8(host).ok()).unwrap_or("HOST"))
}

/// Whether a byte of a host means nothing to a shell; as `PLAIN_HOST` in common.js.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".:[]_-".contains(&byte)
}
