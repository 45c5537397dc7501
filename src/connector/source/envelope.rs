//! Builds a record around a request's body. Members and names are in the order in which Conduit
//! writes them, so nothing has to be sorted per request.

use crate::connector::record::{CREATED_AT, OPENCDC_VERSION, READ_AT, json};
use crate::http::fields::Fields;
use crate::http::response::write_decimal;
use crate::relay::Pushed;
use crate::rendezvous::Now;
use std::borrow::Cow;
use std::io::Write as _;
use std::net::SocketAddr;
use uuid::Uuid;

/// The version of the format.
const VERSION: &str = "v1";

/// What follows a string payload that is still open.
pub const TAIL: &[u8] = b"\"}}\n";

/// A payload in memory.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'p> {
    /// Raw bytes, as they were sent; none if empty.
    Raw(&'p [u8]),
    /// Text that is JSON, decoded.
    Json(&'p [u8]),
}

/// The part of a request's head that goes into its record, as JSON.
#[derive(Debug, Default)]
pub struct Envelope {
    /// When the head was received, in milliseconds since 1970.
    created_ms: i64,
    /// `Content-Encoding`, which a structured payload no longer has.
    content_encoding: Option<String>,
    /// Names and values of the metadata, each after a comma.
    metadata: Vec<u8>,
}

impl Envelope {
    /// Creates the envelope of a request. `headers`: names of the fields to include, in lower case
    /// and sorted.
    pub fn of(pushed: &Pushed<'_, '_, '_>, headers: &[String]) -> Self {
        let Pushed { head, peer, request_id, now, body_is_here: _ } = pushed;
        let mut envelope = Self {
            created_ms: now.wall_ms,
            content_encoding: joined(head.fields, "content-encoding").map(Cow::into_owned),
            metadata: Vec::with_capacity(256),
        };
        if let Some(kind) = joined(head.fields, "content-type") {
            envelope.put("rdv.source.content_type", &kind);
        }
        for name in headers {
            if let Some(value) = joined(head.fields, name) {
                envelope.put(&format!("rdv.source.header.{name}"), &value);
            }
        }
        envelope.put("rdv.source.method", head.method_name);
        envelope.put("rdv.source.path", head.path);
        if let Some(query) = head.query {
            envelope.put("rdv.source.query", query);
        }
        envelope.metadata.extend_from_slice(b",\"rdv.source.remote_address\":\"");
        write_address(&mut envelope.metadata, *peer);
        envelope.metadata.push(b'"');
        if let Some(id) = request_id {
            envelope.put("rdv.source.request_id", id);
        }
        envelope
    }

    /// Creates an envelope without other metadata, for data received at this time.
    pub fn at(created_ms: i64, content_encoding: Option<String>) -> Self {
        Self { created_ms, content_encoding, metadata: Vec::new() }
    }

    /// Adds to the metadata; names are tokens, and must be added in the order of their bytes.
    pub fn put(&mut self, name: &str, value: &str) {
        self.metadata.extend_from_slice(b",\"");
        self.metadata.extend_from_slice(name.as_bytes());
        self.metadata.extend_from_slice(b"\":");
        json::string(&mut self.metadata, value);
    }

    /// Returns the complete record of a body that was read at this time. `key`: as JSON.
    pub fn whole(&self, position: Uuid, key: &[u8], read: Now, payload: Payload<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.write((position, key, read), payload, &mut out);
        out
    }

    /// Writes the complete record to a buffer.
    pub fn write(
        &self,
        (position, key, read): (Uuid, &[u8], Now),
        payload: Payload<'_>,
        out: &mut Vec<u8>,
    ) {
        let (Payload::Raw(bytes) | Payload::Json(bytes)) = payload;
        out.reserve(512 + self.metadata.len() + bytes.len() * 4 / 3);
        let content_encoding = match payload {
            Payload::Raw(_) => self.content_encoding.as_deref(),
            Payload::Json(_) => None,
        };
        self.before_payload((position, key, read), content_encoding, out);
        match payload {
            Payload::Raw([]) => out.extend_from_slice(b"null"),
            Payload::Raw(bytes) => json::base64(out, bytes),
            Payload::Json(json) => out.extend_from_slice(json),
        }
        out.extend_from_slice(&TAIL[1..]);
    }

    /// Returns the record up to the first byte of a string payload; [`TAIL`] must follow it.
    pub fn opened(&self, position: Uuid, key: &[u8], read: Now) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.metadata.len());
        self.before_payload((position, key, read), self.content_encoding.as_deref(), &mut out);
        out.push(b'"');
        out
    }

    fn before_payload(
        &self,
        (position, key, read): (Uuid, &[u8], Now),
        content_encoding: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let position = position.hyphenated().encode_lower(&mut text);
        out.extend_from_slice(b"{\"position\":");
        json::base64(out, position.as_bytes());
        out.extend_from_slice(b",\"operation\":\"create\",\"metadata\":{");
        for (name, unix_ms) in [(CREATED_AT, self.created_ms), (READ_AT, read.wall_ms)] {
            json::string(out, name);
            out.extend_from_slice(b":\"");
            write_decimal(out, u64::try_from(unix_ms).unwrap_or(0));
            // The clocks have milliseconds; the format requires nanoseconds.
            out.extend_from_slice(b"000000\",");
        }
        json::string(out, OPENCDC_VERSION);
        out.push(b':');
        json::string(out, VERSION);
        if let Some(encoding) = content_encoding {
            out.extend_from_slice(b",\"rdv.source.content_encoding\":");
            json::string(out, encoding);
        }
        out.extend_from_slice(&self.metadata);
        out.extend_from_slice(b"},\"key\":");
        out.extend_from_slice(key);
        out.extend_from_slice(b",\"payload\":{\"before\":null,\"after\":");
    }
}

/// Writes an address as text, which needs no escapes in JSON.
fn write_address(out: &mut Vec<u8>, address: SocketAddr) {
    let SocketAddr::V4(address) = address else {
        // Writing to memory does not fail.
        let _ = write!(out, "{address}");
        return;
    };
    for (index, octet) in address.ip().octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        write_decimal(out, octet.into());
    }
    out.push(b':');
    write_decimal(out, address.port().into());
}

/// Joins the values of all fields of this name (RFC 9110, section 5.3). Invalid UTF-8 becomes
/// U+FFFD.
pub fn joined<'b>(fields: Fields<'_, 'b>, name: &str) -> Option<Cow<'b, str>> {
    let mut values = fields.all(name).map(String::from_utf8_lossy);
    let first = values.next()?;
    Some(values.fold(first, |all, value| all + ", " + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_formatted() {
        for text in ["127.0.0.1:1", "255.10.0.9:65535", "[2001:db8::7]:80", "[::ffff:10.0.0.1]:0"] {
            let mut out = Vec::new();
            write_address(&mut out, text.parse().unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
