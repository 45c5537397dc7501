//! The head of a call on its way to the agent.

use super::{CORRELATION_ID, Upgrade, sole_correlation_id};
use crate::http::credentials::AUTHORIZATION;
use crate::http::framing::Framing;
use crate::http::head::{Method, RequestHead};
use crate::http::hop::HopByHop;
use crate::http::response::HeadWriter;
use std::borrow::Cow;
use std::net::IpAddr;

/// Properties of a call besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Forwarding<'f> {
    /// The target after the prefix, as in [`Route::Call`](crate::api::Route::Call).
    pub rest: &'f str,
    /// The prefix of the target: `/api/billing`, `/socket/ID`; empty on the host of an agent.
    pub prefix: &'f str,
    /// The client's address, taken from its connection.
    pub peer: IpAddr,
    /// The scheme of the client's connection: `http` or `https`.
    pub scheme: &'static str,
    /// Whether the client is a proxy that is trusted to identify its own clients.
    pub trusted: bool,
    /// Whether fields with `_` in their names pass, too. Programs that read a head into variables
    /// (CGI, RFC 3875, section 4.1.18) cannot distinguish `X_Forwarded_For` from the field that the
    /// relay writes.
    pub underscores: bool,
    /// Whether `Authorization` passes: it does unless it has a token of the relay.
    pub authorized: bool,
    /// The correlation id: the client's own, by [`correlation_id`], or a new one.
    pub correlation_id: &'f str,
    /// The name and the value of the request id, if requests have one.
    pub request_id: Option<(&'f str, &'f str)>,
    /// The carrier of the body on its way to the agent.
    pub body: BodyCarrier,
    /// The upgrade that is offered to the agent.
    pub upgrade: Option<&'f Upgrade>,
}

/// How a body is carried to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyCarrier {
    /// Frames, which mark the end of the body themselves; heads in them are UTF-8.
    Frames,
    /// HTTP/1.1, where the head must declare the framing.
    Http1,
}

/// Returns the client's `X-Correlation-Id` if it can be forwarded: present exactly once, with 1 to
/// 128 bytes of visible ASCII.
pub fn correlation_id<'b>(head: &RequestHead<'_, 'b>) -> Option<&'b str> {
    sole_correlation_id(head.fields.all(CORRELATION_ID))
}

/// Appends the head of the request to the agent: HTTP/1.1, whatever version the client uses. See
/// docs/protocol.md for the table of forwarded fields.
pub fn request(head: &RequestHead<'_, '_>, to: &Forwarding<'_>, out: &mut Vec<u8>) {
    let target = if to.rest.starts_with('/') || to.rest == "*" {
        Cow::Borrowed(to.rest)
    } else {
        Cow::Owned(format!("/{}", to.rest))
    };
    let writer = HeadWriter::request(out, head.method_name, &target);
    let writer = passed(writer, head, to);
    let writer = forwarded(writer, head, to);
    let mut writer = framed(identified(writer, head, to), head, to.body);
    if let Some(upgrade) = to.upgrade {
        writer = writer.field("Connection", b"Upgrade").field("Upgrade", upgrade.protocols());
    }
    writer.end();
}

/// Writes the client's own fields.
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
    // HTTP/1.0 has none; HTTP/1.1 requires one, and it may be empty (RFC 9112, 3.2).
    if head.fields.get("Host").is_none() {
        writer = writer.field("Host", head.host().unwrap_or_default());
    }
    writer
}

/// Whether the client's field is kept, for fields that the relay controls. `Connection` has no
/// effect on these: with it a client could remove what a proxy before the relay reported about it.
fn relayed(name: &str, head: &RequestHead<'_, '_>, to: &Forwarding<'_>) -> Option<bool> {
    let is = |other: &&str| other.eq_ignore_ascii_case(name);
    if is(&CORRELATION_ID) {
        return Some(keeps_correlation_id(head, to));
    }
    if ["Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host"].iter().any(is) {
        return Some(to.trusted);
    }
    if is(&AUTHORIZATION) && !to.authorized {
        return Some(false);
    }
    let written = ["Expect", "Content-Length", "X-Forwarded-For", "X-Forwarded-Prefix"];
    let own = to.request_id.is_some_and(|(own, _)| is(&own));
    (own || written.iter().any(is)).then_some(false)
}

/// Whether the client's own correlation id is used.
fn keeps_correlation_id(head: &RequestHead<'_, '_>, to: &Forwarding<'_>) -> bool {
    correlation_id(head) == Some(to.correlation_id)
}

/// Returns the value in a form the carrier allows: frames require UTF-8.
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

/// Writes the client's address, the scheme, the host and the prefix.
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
        writer = writer.field("X-Forwarded-Proto", to.scheme.as_bytes());
    }
    if let Some(host) = head.host().filter(|host| !host.is_empty() && !said("X-Forwarded-Host")) {
        writer = writer.field("X-Forwarded-Host", host);
    }
    if to.prefix.is_empty() {
        return writer;
    }
    writer.field("X-Forwarded-Prefix", to.prefix.as_bytes())
}

/// Writes the ids of the request. The correlation id takes precedence: an operator may configure
/// its name as that of the request id, too.
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

/// Writes the framing of the body. An empty body is declared only where the method could have one,
/// or where the client declared it (RFC 9110, section 8.6).
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
