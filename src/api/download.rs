//! The response to the `GET` of a paired stream, built from the upload's head and the creator's
//! options; and the response to the `PUT` once it is complete.

use super::cors;
use super::creation::field_value;
use crate::http::content_type::without_html;
use crate::http::disposition;
use crate::http::first_part::FirstPart;
use crate::http::framing::Framing;
use crate::http::head::{Expect, RequestHead, Version};
use crate::http::identity::{is_request_id, is_traceparent};
use crate::http::repr_digest::{REPR_DIGEST, ReprDigest};
use crate::http::response::HeadWriter;
use crate::rendezvous::transfer::{Delimiter, PartialUpload};
use crate::rendezvous::{Headers, Transfer};
use serde_json::{Map, Value};

/// Fields of every download: it must not be cached, sniffed, indexed or buffered, and an upload
/// must never run scripts in the relay's origin.
const ALWAYS: [(&str, &[u8]); 5] = [
    ("Cache-Control", b"no-store"),
    ("X-Content-Type-Options", b"nosniff"),
    ("X-Robots-Tag", b"none"),
    ("X-Accel-Buffering", b"no"),
    ("Content-Security-Policy", b"sandbox"),
];

/// The stored part of an upload's head while it waits.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The framing of its body; chunked if it is a form.
    pub framing: Framing,
    /// Passed through to the download.
    pub content_type: Option<Box<[u8]>>,
    /// Passed through to the download, or made from the file name in the path.
    pub content_disposition: Option<Box<[u8]>>,
    /// Fields that few uploads have; boxed because many uploads wait at once.
    pub rare: Option<Box<Extras>>,
    /// Whether its client waits for `100 Continue` (RFC 9110 10.1.1).
    pub expects_continue: bool,
}

/// Fields that few uploads have.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// `X-Correlation-Id`, if plain; passed through to the download.
    correlation_id: Option<Box<[u8]>>,
    /// `traceparent`, if valid (W3C Trace Context); passed through to the download.
    traceparent: Option<Box<[u8]>>,
    /// The digest of its data, if its head has one; not passed through.
    digest: Option<Box<ReprDigest>>,
    /// The values of `X-Piping` of an upload to a path; passed through to the download.
    piping: Option<Box<[Box<[u8]>]>>,
    /// The part of its body read for a destination that left before it received a byte; from the
    /// start if it is a form.
    begun: Option<PartialUpload>,
}

impl Extras {
    /// Reads these fields from a head; `None` if it has none.
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
            piping: None,
            begun: None,
        };
        let any =
            rare.correlation_id.is_some() || rare.traceparent.is_some() || rare.digest.is_some();
        any.then(|| Box::new(rare))
    }
}

impl Upload {
    /// Stores the relevant part of an upload's head; `name` is the percent-encoded file name in its
    /// path.
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

    /// Stores the relevant part of the head of an upload to a path.
    pub fn on_path(head: &RequestHead<'_, '_>) -> Self {
        let mut upload = Self::new(head, None);
        if let Some(value) = &mut upload.content_type {
            *value = without_html(value).into_owned().into_boxed_slice();
        }
        let piping: Box<[_]> = head.fields.all("X-Piping").map(Box::from).collect();
        if !piping.is_empty() {
            upload.rare.get_or_insert_default().piping = Some(piping);
        }
        upload
    }

    /// Makes only the first part of the form that it is pass to the download, with the fields of
    /// that part. It carries at most `bytes_max` bytes.
    #[must_use]
    pub fn of_form(mut self, form: FirstPart, bytes_max: u64) -> Self {
        (self.content_type, self.content_disposition) = (None, None);
        let upload = PartialUpload::of_form(self.framing, form, bytes_max);
        self.rare.get_or_insert_default().begun = Some(upload);
        // The length of a part is unknown.
        self.framing = Framing::Chunked;
        self
    }

    /// Starts or resumes the transfer of its body to a destination that is answered with `head`. A
    /// new transfer carries at most `bytes_max` bytes.
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

    /// Takes back a transfer whose destination left before it received a byte: the bytes read are
    /// kept for the next one. The client is not sent `100 Continue` again: it already has been, or
    /// did not wait for it.
    pub fn take_back(&mut self, transfer: Transfer) {
        self.expects_continue = false;
        self.rare.get_or_insert_default().begun = Some(transfer.give_upload_back());
    }

    /// Whether its entire body may have been sent, if `unread` bytes of it wait to be read.
    pub fn may_be_whole(&self, unread: u64) -> bool {
        match (self.rare.as_ref().and_then(|rare| rare.begun.as_ref()), self.framing) {
            (Some(begun), _) => begun.may_end_within(unread),
            (None, Framing::Length(bytes)) => unread >= bytes,
            (None, Framing::Chunked) => unread > 0,
        }
    }

    /// Whether its body was read completely.
    pub fn is_read(&self) -> bool {
        match self.rare.as_ref().and_then(|rare| rare.begun.as_ref()) {
            Some(begun) => begun.is_read(),
            None => self.framing == Framing::Length(0),
        }
    }

    /// Returns the delimiter of the download's body for a client of this version.
    pub fn delimiter(&self, version: Version) -> Delimiter {
        match (self.framing, version) {
            (Framing::Length(_), _) => Delimiter::Length,
            (Framing::Chunked, Version::Http11) => Delimiter::Chunks,
            (Framing::Chunked, Version::Http10) => Delimiter::Close,
        }
    }

    /// Writes the fields of the download's head, except those about the connection.
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
        let rare = self.rare.as_deref();
        for (name, value) in [
            ("Content-Type", self.content_type.as_deref()),
            ("Content-Disposition", self.content_disposition.as_deref()),
            ("X-Correlation-Id", rare.and_then(|rare| rare.correlation_id.as_deref())),
            ("traceparent", rare.and_then(|rare| rare.traceparent.as_deref())),
        ] {
            if let Some(value) = value
                && !has_custom(headers, name)
            {
                head = head.field(name, value);
            }
        }
        if let Some(values) = rare.and_then(|rare| rare.piping.as_ref()) {
            for value in values {
                head = head.field("X-Piping", value);
            }
        }
        custom_fields(head, headers.map(|h| &h.download))
    }

    /// Makes a browser save a download whose fields do not say what to do with it.
    pub fn attachment_field<'o>(
        &self,
        head: HeadWriter<'o>,
        headers: Option<&Headers>,
    ) -> HeadWriter<'o> {
        let name = "Content-Disposition";
        if self.content_disposition.is_some() || has_custom(headers, name) {
            return head;
        }
        head.field(name, b"attachment")
    }
}

/// Whether the query of a link requests a download as a file (`download`).
pub fn wants_file(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == "download"))
}

/// Whether the stream's creator has a field of this name for the download.
fn has_custom(headers: Option<&Headers>, name: &str) -> bool {
    headers.is_some_and(|headers| headers.download.keys().any(|key| key.eq_ignore_ascii_case(name)))
}

/// Whether the custom fields of the stream's creator decide which pages can read a response.
pub fn decides_cors(fields: Option<&Map<String, Value>>) -> bool {
    let mut names = fields.into_iter().flat_map(Map::keys);
    names.any(|name| name.eq_ignore_ascii_case(cors::ALLOW_ORIGIN))
}

/// Writes the custom fields of the stream's creator.
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
    fn the_state_of_a_waiting_source_is_small() {
        // Ten thousand uploads may wait; what few of them have is behind a pointer.
        assert!(size_of::<Upload>() <= 64, "{}", size_of::<Upload>());
    }
}
