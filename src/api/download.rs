//! The answer to the `GET` of a paired stream, made from the upload's head and the creator's
//! wishes; and the answer to the `PUT` once it is complete.

use super::creation::field_value;
use crate::http::disposition;
use crate::http::framing::Framing;
use crate::http::head::{Expect, RequestHead, Version};
use crate::http::identity::{is_request_id, is_traceparent};
use crate::http::repr_digest::{REPR_DIGEST, ReprDigest};
use crate::http::response::HeadWriter;
use crate::rendezvous::Headers;
use crate::rendezvous::transfer::Delimiter;
use serde_json::{Map, Value};

/// What every download carries: it is nobody's business to cache, sniff, index or buffer it, and
/// an upload can never script a page of the relay's origin.
const ALWAYS: [(&str, &[u8]); 5] = [
    ("Cache-Control", b"no-store"),
    ("X-Content-Type-Options", b"nosniff"),
    ("X-Robots-Tag", b"none"),
    ("X-Accel-Buffering", b"no"),
    ("Content-Security-Policy", b"sandbox"),
];

/// What the relay remembers of an upload's head while it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// How its body is delimited.
    pub framing: Framing,
    /// Passed through to the download.
    pub content_type: Option<Box<[u8]>>,
    /// Passed through to the download, or made from the file name in the path.
    pub content_disposition: Option<Box<[u8]>>,
    /// Passed through to the download. Few uploads have it, and many wait at once.
    pub trace: Option<Box<Trace>>,
    /// What its data hashes to, as far as its head says; not passed through.
    pub digest: Option<Box<ReprDigest>>,
    /// Its client waits to be told that the body may come (RFC 9110 10.1.1).
    pub expects_continue: bool,
}

/// What tells apart the work that an upload is a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// `X-Correlation-Id`, if plain.
    pub correlation_id: Option<Box<[u8]>>,
    /// `traceparent`, if valid (W3C Trace Context).
    pub traceparent: Option<Box<[u8]>>,
}

impl Trace {
    /// What of it a head has, if any.
    fn new(head: &RequestHead<'_, '_>) -> Option<Box<Self>> {
        let sole = |name, is_valid: fn(&[u8]) -> bool| {
            let mut values = head.fields.all(name);
            let value = values.next().filter(|value| is_valid(value))?;
            values.next().is_none().then(|| Box::from(value))
        };
        let correlation_id = sole("X-Correlation-Id", is_request_id);
        let traceparent = sole("traceparent", is_traceparent);
        let any = correlation_id.is_some() || traceparent.is_some();
        any.then(|| Box::new(Self { correlation_id, traceparent }))
    }
}

impl Upload {
    /// Remembers what matters of an upload; `name` is the percent-encoded file name in its path.
    pub fn new(head: &RequestHead<'_, '_>, name: Option<&str>) -> Self {
        let field = |name| head.fields.get(name).map(Box::from);
        Self {
            framing: head.framing,
            content_type: field("Content-Type"),
            content_disposition: field("Content-Disposition").or_else(|| {
                let value = disposition::attachment(name?)?;
                Some(value.into_bytes().into_boxed_slice())
            }),
            trace: Trace::new(head),
            digest: ReprDigest::of_lines(head.fields.all(REPR_DIGEST)).map(Box::new),
            expects_continue: head.expect == Expect::Continue,
        }
    }

    /// How the download's body has to be delimited for a client of this version.
    pub fn delimiter(&self, version: Version) -> Delimiter {
        match (self.framing, version) {
            (Framing::Length(_), _) => Delimiter::Length,
            (Framing::Chunked, Version::Http11) => Delimiter::Chunks,
            (Framing::Chunked, Version::Http10) => Delimiter::Close,
        }
    }

    /// Writes the fields of the download's head, up to those about the connection.
    pub fn download_fields<'o>(
        &self,
        mut head: HeadWriter<'o>,
        delimiter: Delimiter,
        headers: Option<&Headers>,
    ) -> HeadWriter<'o> {
        head = match (delimiter, self.framing) {
            (Delimiter::Chunks, _) => head.chunked(),
            (Delimiter::Length, Framing::Length(bytes)) => head.content_length(bytes),
            (Delimiter::Length | Delimiter::Close, _) => head,
        };
        for (name, value) in ALWAYS {
            head = head.field(name, value);
        }
        let named = |name: &str| {
            headers.is_some_and(|h| h.download.keys().any(|key| key.eq_ignore_ascii_case(name)))
        };
        let trace = self.trace.as_deref();
        for (name, value) in [
            ("Content-Type", self.content_type.as_deref()),
            ("Content-Disposition", self.content_disposition.as_deref()),
            ("X-Correlation-Id", trace.and_then(|trace| trace.correlation_id.as_deref())),
            ("traceparent", trace.and_then(|trace| trace.traceparent.as_deref())),
        ] {
            if let Some(value) = value
                && !named(name)
            {
                head = head.field(name, value);
            }
        }
        custom_fields(head, headers.map(|h| &h.download))
    }
}

/// Writes the fields the creator asked for.
pub fn custom_fields<'o>(
    mut head: HeadWriter<'o>,
    fields: Option<&Map<String, Value>>,
) -> HeadWriter<'o> {
    for (name, value) in fields.into_iter().flatten() {
        head = head.field(name, field_value(value).as_bytes());
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn what_is_remembered_while_a_source_waits_is_small() {
        // Ten thousand may wait; what few uploads have is behind a pointer.
        assert!(size_of::<Upload>() <= 72, "{}", size_of::<Upload>());
    }
}
