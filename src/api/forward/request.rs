//! The head of a call on its way to the agent.

use super::{CORRELATION_ID, sole_correlation_id};
use crate::http::framing::Framing;
use crate::http::head::{Method, RequestHead};
use crate::http::hop::HopByHop;
use crate::http::response::HeadWriter;
use std::borrow::Cow;
use std::net::IpAddr;

/// What the relay knows of a call besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Forwarding<'f> {
    /// The target behind the prefix, as in [`Route::Call`](crate::api::Route::Call).
    pub rest: &'f str,
    /// What stood before it: `/api/billing`, `/socket/ID`.
    pub prefix: &'f str,
    /// The client, as its connection shows it.
    pub peer: IpAddr,
    /// The client is a proxy whose word about its own clients is taken.
    pub trusted: bool,
    /// Fields with `_` in their names pass, too. What reads a head into variables (CGI, RFC 3875,
    /// section 4.1.18) cannot tell `X_Forwarded_For` from the field that the relay writes.
    pub underscores: bool,
    /// What joins the answer to this request: the client's own, by [`correlation_id`], or a new one.
    pub correlation_id: &'f str,
    /// The name and the value of the request id, if requests have one.
    pub request_id: Option<(&'f str, &'f str)>,
    /// What the agent gets the body in.
    pub body: BodyCarrier,
}

/// What a body is in on its way to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyCarrier {
    /// Frames, which say themselves where it ends; heads in them are UTF-8.
    Frames,
    /// HTTP/1.1, so that the head has to say it.
    Http1,
}

/// The `X-Correlation-Id` of the client, if it can be handed on: there once, with 1 to 128 bytes of
/// visible ASCII.
pub fn correlation_id<'b>(head: &RequestHead<'_, 'b>) -> Option<&'b str> {
    sole_correlation_id(head.fields.all(CORRELATION_ID))
}

/// Appends the head of the request for the agent: HTTP/1.1, whatever the client spoke. The table of
/// what passes is docs/protocol.md's.
pub fn request(head: &RequestHead<'_, '_>, to: &Forwarding<'_>, out: &mut Vec<u8>) {
    let target = if to.rest.starts_with('/') {
        Cow::Borrowed(to.rest)
    } else {
        Cow::Owned(format!("/{}", to.rest))
    };
    let writer = HeadWriter::request(out, head.method_name, &target);
    let writer = passed(writer, head, to);
    let writer = forwarded(writer, head, to);
    framed(identified(writer, head, to), head, to.body).end();
}

/// The client's own fields.
fn passed<'o>(
    mut writer: HeadWriter<'o>,
    head: &RequestHead<'_, '_>,
    to: &Forwarding<'_>,
) -> HeadWriter<'o> {
    let hop = HopByHop::new(head.fields.all("Connection"));
    for (name, value) in head.fields.iter() {
        if name.eq_ignore_ascii_case("Host") {
            writer = writer.field(name, head.host().unwrap_or(value));
        } else if !to.underscores && name.contains('_') {
            // Dropped; nginx does the same (underscores_in_headers).
        } else if relayed(name, head, to).unwrap_or_else(|| !hop.ends(name)) {
            writer = writer.field(name, &carried(value, to.body));
        }
    }
    // HTTP/1.0 has none; in HTTP/1.1 there has to be one, and it may be empty (RFC 9112, 3.2).
    if head.fields.get("Host").is_none() {
        writer = writer.field("Host", head.host().unwrap_or_default());
    }
    writer
}

/// Of a field that the relay has a say in, whether the client's stays. What `Connection` names does
/// not matter for these: a client could take away what a proxy before the relay has said of it.
fn relayed(name: &str, head: &RequestHead<'_, '_>, to: &Forwarding<'_>) -> Option<bool> {
    let is = |other: &&str| other.eq_ignore_ascii_case(name);
    if is(&CORRELATION_ID) {
        return Some(keeps_correlation_id(head, to));
    }
    if ["Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host"].iter().any(is) {
        return Some(to.trusted);
    }
    let written = ["Expect", "Content-Length", "X-Forwarded-For", "X-Forwarded-Prefix"];
    let own = to.request_id.is_some_and(|(own, _)| is(&own));
    (own || written.iter().any(is)).then_some(false)
}

/// The client's is the one that is used.
fn keeps_correlation_id(head: &RequestHead<'_, '_>, to: &Forwarding<'_>) -> bool {
    correlation_id(head) == Some(to.correlation_id)
}

/// A value as it can be carried: frames take nothing that is no UTF-8.
fn carried(value: &[u8], body: BodyCarrier) -> Cow<'_, [u8]> {
    if body == BodyCarrier::Http1 || str::from_utf8(value).is_ok() {
        return Cow::Borrowed(value);
    }
    let mut text = Vec::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        text.extend_from_slice(chunk.valid().as_bytes());
        text.extend(chunk.invalid().iter().map(|_| b'?'));
    }
    Cow::Owned(text)
}

/// Who asked, by what, of whom, and where.
fn forwarded<'o>(
    mut writer: HeadWriter<'o>,
    head: &RequestHead<'_, '_>,
    to: &Forwarding<'_>,
) -> HeadWriter<'o> {
    let said = |name| to.trusted && head.fields.get(name).is_some();
    let before = head.fields.all("X-Forwarded-For").filter(|value| to.trusted && !value.is_empty());
    let mut clients: Vec<u8> = before.flat_map(|value| [value, b", "].concat()).collect();
    clients.extend_from_slice(to.peer.to_canonical().to_string().as_bytes());
    writer = writer.field("X-Forwarded-For", &carried(&clients, to.body));
    if !said("X-Forwarded-Proto") {
        writer = writer.field("X-Forwarded-Proto", b"http");
    }
    if let Some(host) = head.host().filter(|host| !host.is_empty() && !said("X-Forwarded-Host")) {
        writer = writer.field("X-Forwarded-Host", host);
    }
    writer.field("X-Forwarded-Prefix", to.prefix.as_bytes())
}

/// What joins the answer to the request comes first: it is the name of the request id, too, if an
/// operator wants it so.
fn identified<'o>(
    mut writer: HeadWriter<'o>,
    head: &RequestHead<'_, '_>,
    to: &Forwarding<'_>,
) -> HeadWriter<'o> {
    if !keeps_correlation_id(head, to) {
        writer = writer.field(CORRELATION_ID, to.correlation_id.as_bytes());
    }
    match to.request_id {
        Some((name, id)) if !name.eq_ignore_ascii_case(CORRELATION_ID) => {
            writer.field(name, id.as_bytes())
        }
        Some(_) | None => writer,
    }
}

/// Where the body ends. That there is none is said where the method could have one, or where the
/// client said so (RFC 9110, section 8.6).
fn framed<'o>(
    writer: HeadWriter<'o>,
    head: &RequestHead<'_, '_>,
    body: BodyCarrier,
) -> HeadWriter<'o> {
    let expected = matches!(head.method, Method::Post | Method::Put | Method::Patch);
    match (head.framing, body) {
        (Framing::Length(0), _) if !expected && head.fields.get("Content-Length").is_none() => {
            writer
        }
        (Framing::Length(bytes), _) => writer.content_length(bytes),
        (Framing::Chunked, BodyCarrier::Http1) => writer.chunked(),
        (Framing::Chunked, BodyCarrier::Frames) => writer,
    }
}

#[cfg(test)]
mod tests;
