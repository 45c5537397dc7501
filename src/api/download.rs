//! The answer to the `GET` of a paired stream, made from the upload's head and the creator's
//! wishes; and the answer to the `PUT` once it is complete.

use super::creation::field_value;
use crate::http::disposition;
use crate::http::framing::Framing;
use crate::http::head::{Expect, RequestHead, Version};
use crate::http::identity::{is_request_id, is_traceparent};
use crate::http::repr_digest::{REPR_DIGEST, ReprDigest};
use crate::http::response::HeadWriter;
use crate::rendezvous::transfer::{Delimiter, PartialUpload};
use crate::rendezvous::{Headers, Transfer};
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
#[derive(Clone, Debug)]
pub struct Upload {
    /// How its body is delimited.
    pub framing: Framing,
    /// Passed through to the download.
    pub content_type: Option<Box<[u8]>>,
    /// Passed through to the download, or made from the file name in the path.
    pub content_disposition: Option<Box<[u8]>>,
    /// What few uploads have, because many wait at once.
    pub rare: Option<Box<Extras>>,
    /// Its client waits to be told that the body may come (RFC 9110 10.1.1).
    pub expects_continue: bool,
}

/// What few uploads have.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// `X-Correlation-Id`, if plain; passed through to the download.
    correlation_id: Option<Box<[u8]>>,
    /// `traceparent`, if valid (W3C Trace Context); passed through to the download.
    traceparent: Option<Box<[u8]>>,
    /// What its data hashes to, as far as its head says; not passed through.
    digest: Option<Box<ReprDigest>>,
    /// What of its body was read for a destination that left before it was handed a byte.
    begun: Option<PartialUpload>,
}

impl Extras {
    /// What of it a head has, if any.
    fn new(head: &RequestHead<'_, '_>) -> Option<Box<Self>> {
        let sole = |name, is_valid: fn(&[u8]) -> bool| {
            let mut values = head.fields.all(name);
            let value = values.next().filter(|value| is_valid(value))?;
            values.next().is_none().then(|| Box::from(value))
        };
        let rare = Self {
            correlation_id: sole("X-Correlation-Id", is_request_id),
            traceparent: sole("traceparent", is_traceparent),
            digest: ReprDigest::of_lines(head.fields.all(REPR_DIGEST)).map(Box::new),
            begun: None,
        };
        let any =
            rare.correlation_id.is_some() || rare.traceparent.is_some() || rare.digest.is_some();
        any.then(|| Box::new(rare))
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
            rare: Extras::new(head),
            expects_continue: head.expect == Expect::Continue,
        }
    }

    /// Its body on the way to a destination that is answered with `head`, from where it was read
    /// to. Unless it was begun before, it may have `bytes_max` bytes.
    pub fn transfer(
        &mut self,
        delimiter: Delimiter,
        head: Vec<u8>,
        splice: bool,
        bytes_max: u64,
    ) -> Transfer {
        let rare = self.rare.as_deref_mut();
        if let Some(begun) = rare.and_then(|rare| rare.begun.take()) {
            return Transfer::resume(begun, delimiter, head, splice);
        }
        let digest = self.rare.as_ref().and_then(|rare| rare.digest.clone());
        let transfer = Transfer::new(self.framing, delimiter, head, splice);
        transfer.at_most(bytes_max).with_digest(digest)
    }

    /// Its destination left before it was handed a byte: what was read is kept for the next one,
    /// and its client, that was told to send or did so anyway, is not told again.
    pub fn take_back(&mut self, transfer: Transfer) {
        self.expects_continue = false;
        self.rare.get_or_insert_default().begun = Some(transfer.give_upload_back());
    }

    /// Whether its whole body may have been sent, if `unread` bytes of it wait to be read.
    pub fn may_be_whole(&self, unread: u64) -> bool {
        match (self.rare.as_ref().and_then(|rare| rare.begun.as_ref()), self.framing) {
            (Some(begun), _) => begun.may_end_within(unread),
            (None, Framing::Length(bytes)) => unread >= bytes,
            (None, Framing::Chunked) => unread > 0,
        }
    }

    /// Whether none of its body is left to be read.
    pub fn is_read(&self) -> bool {
        match self.rare.as_ref().and_then(|rare| rare.begun.as_ref()) {
            Some(begun) => begun.is_read(),
            None => self.framing == Framing::Length(0),
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
        let rare = self.rare.as_deref();
        for (name, value) in [
            ("Content-Type", self.content_type.as_deref()),
            ("Content-Disposition", self.content_disposition.as_deref()),
            ("X-Correlation-Id", rare.and_then(|rare| rare.correlation_id.as_deref())),
            ("traceparent", rare.and_then(|rare| rare.traceparent.as_deref())),
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
        assert!(size_of::<Upload>() <= 64, "{}", size_of::<Upload>());
    }
}
