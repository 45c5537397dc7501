//! The request for a record: its body, from memory or from a file, and its header fields.

use super::options::BodyKind;
use crate::client::Part;
use crate::connector::record::{Data, Record, SpilledContent, json};
use crate::http::fields::is_field_value;
use std::borrow::Cow;
use std::io::{self, Cursor, Read};

/// Metadata: the media type of the content, as its source received it.
pub const CONTENT_TYPE: &str = "rdv.source.content_type";

/// Metadata: the content coding of raw content, as its source received it.
const CONTENT_ENCODING: &str = "rdv.source.content_encoding";

/// A record as a request.
pub(super) struct OutgoingRequest<'r> {
    pub(super) content: Content<'r>,
    pub(super) content_type: &'r str,
    pub(super) content_encoding: Option<&'r str>,
    /// The same in each attempt.
    pub(super) idempotency_key: String,
}

/// The location of the body.
pub(super) enum Content<'r> {
    /// In memory.
    Memory(Cow<'r, [u8]>),
    /// In a file.
    Spilled(&'r SpilledContent),
    /// A record whose content is in a file: the bytes before the content, and those after it.
    Around(Vec<u8>, &'r SpilledContent, &'static [u8]),
}

impl<'r> OutgoingRequest<'r> {
    pub(super) fn new(
        record: &'r Record,
        spilled: Option<&'r SpilledContent>,
        body: BodyKind,
    ) -> Self {
        let idempotency_key = idempotency_key(&record.position);
        match body {
            BodyKind::Record => Self {
                content: whole(record, spilled),
                content_type: "application/json",
                content_encoding: None,
                idempotency_key,
            },
            BodyKind::Payload => Self {
                content: payload(record, spilled),
                content_type: media_type(record),
                content_encoding: content_encoding(record, spilled),
                idempotency_key,
            },
        }
    }
}

impl Content<'_> {
    /// Returns the length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spilled(spilled) => spilled.bytes(),
            Self::Around(head, spilled, tail) => {
                (head.len() + tail.len()) as u64 + spilled.base64_chars()
            }
        }
    }

    /// Returns a reader of all bytes.
    pub(super) fn reader(&self) -> Box<dyn Read + '_> {
        match self {
            Self::Memory(bytes) => Box::new(&bytes[..]),
            Self::Spilled(spilled) => Box::new(spilled.reader()),
            Self::Around(head, spilled, tail) => {
                Box::new(Cursor::new(head).chain(spilled.base64_reader()).chain(*tail))
            }
        }
    }

    /// Returns a body for our own client; the kernel sends a file directly.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn part(&self) -> io::Result<Part<'_>> {
        match self {
            Self::Spilled(spilled) => Part::open_file(spilled.file()?),
            Self::Memory(_) | Self::Around(..) => Ok(Part::from(self.reader())),
        }
    }

    /// Whether it is in memory.
    pub(super) fn is_small(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Spilled(_) | Self::Around(..) => false,
        }
    }
}

/// Encodes a record as one line, without the line feed.
pub(super) fn whole<'r>(record: &Record, spilled: Option<&'r SpilledContent>) -> Content<'r> {
    let Some(spilled) = spilled else {
        let mut line = Vec::new();
        record.write(&mut line);
        line.pop();
        return Content::Memory(line.into());
    };
    let (mut head, _) = record.halves();
    head.push(b'"');
    Content::Around(head, spilled, b"\"}}")
}

fn payload<'r>(record: &'r Record, spilled: Option<&'r SpilledContent>) -> Content<'r> {
    match (spilled, &record.payload.after) {
        (Some(spilled), _) => Content::Spilled(spilled),
        (None, Some(data)) => Content::Memory(data.bytes().into()),
        (None, None) => Content::Memory((&[][..]).into()),
    }
}

/// Returns a metadata value that can be sent as a field.
fn field<'r>(record: &'r Record, name: &str) -> Option<&'r str> {
    let value = record.metadata.get(name).map(String::as_str)?;
    (is_field_value(value.as_bytes()) && !value.is_empty()).then_some(value)
}

/// Returns the coding of raw bytes; structured data is never encoded.
fn content_encoding<'r>(record: &'r Record, spilled: Option<&SpilledContent>) -> Option<&'r str> {
    let is_raw = spilled.is_some() || matches!(record.payload.after, Some(Data::Raw(_)));
    field(record, CONTENT_ENCODING).filter(|_| is_raw)
}

fn media_type(record: &Record) -> &str {
    let usual = match &record.payload.after {
        Some(Data::Structured(_)) => "application/json",
        Some(Data::Raw(_)) | None => "application/octet-stream",
    };
    field(record, CONTENT_TYPE).unwrap_or(usual)
}

/// Returns the position as text if it is visible ASCII, else in base64.
fn idempotency_key(position: &[u8]) -> String {
    if !position.is_empty() && position.iter().all(u8::is_ascii_graphic) {
        return String::from_utf8_lossy(position).into_owned();
    }
    position_text(position)
}

/// Returns a position in base64, as in the record.
pub(super) fn position_text(position: &[u8]) -> String {
    let mut text = Vec::new();
    json::base64(&mut text, position);
    String::from_utf8_lossy(&text).trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(after: &str, metadata: &str) -> Record {
        let line = format!(
            r#"{{"position":"cA==","operation":"create","metadata":{metadata},"payload":{{"after":{after}}}}}"#
        );
        Record::parse(line.as_bytes()).unwrap()
    }

    fn sent(record: &Record, body: BodyKind) -> (String, String) {
        let parcel = OutgoingRequest::new(record, None, body);
        let mut text = String::new();
        parcel.content.reader().read_to_string(&mut text).unwrap();
        assert_eq!(parcel.content.bytes(), text.len() as u64);
        (text, parcel.content_type.to_owned())
    }

    #[test]
    fn body_and_content_type_are_those_of_the_payload() {
        let csv = r#"{"rdv.source.content_type":"text/csv"}"#;
        let hostile = r#"{"rdv.source.content_type":"text/csv\r\nX: y"}"#;
        for (name, after, metadata, body, content_type) in [
            ("bytes", r#""Zm9v""#, "{}", "foo", "application/octet-stream"),
            ("bytes of a type", r#""Zm9v""#, csv, "foo", "text/csv"),
            ("a type that is none", r#""Zm9v""#, hostile, "foo", "application/octet-stream"),
            ("an object", r#"{"a": 1.0}"#, "{}", r#"{"a":1.0}"#, "application/json"),
            ("an object of a type", "{}", csv, "{}", "text/csv"),
            ("nothing", "null", "{}", "", "application/octet-stream"),
        ] {
            let found = sent(&record(after, metadata), BodyKind::Payload);
            assert_eq!(found, (body.to_owned(), content_type.to_owned()), "{name}");
        }
    }

    #[test]
    fn the_coding_is_that_of_bytes() {
        let gzip = r#"{"rdv.source.content_encoding":"gzip"}"#;
        let hostile = r#"{"rdv.source.content_encoding":"gzip\r\nX: y"}"#;
        for (name, after, metadata, body, expected) in [
            ("bytes", r#""Zm9v""#, gzip, BodyKind::Payload, Some("gzip")),
            ("of none", r#""Zm9v""#, "{}", BodyKind::Payload, None),
            ("a coding that is none", r#""Zm9v""#, hostile, BodyKind::Payload, None),
            ("an object", "{}", gzip, BodyKind::Payload, None),
            ("nothing", "null", gzip, BodyKind::Payload, None),
            ("a record", r#""Zm9v""#, gzip, BodyKind::Record, None),
        ] {
            let record = record(after, metadata);
            let request = OutgoingRequest::new(&record, None, body);
            assert_eq!(request.content_encoding, expected, "{name}");
        }
    }

    #[test]
    fn a_complete_record_is_its_line_without_the_line_feed() {
        let record = record("null", "{}");
        let mut line = Vec::new();
        record.write(&mut line);
        let (text, content_type) = sent(&record, BodyKind::Record);
        assert_eq!(text, String::from_utf8(line).unwrap().trim_end());
        assert_eq!(content_type, "application/json");
    }

    #[test]
    fn positions_that_are_not_field_values_are_sent_in_base64() {
        for (position, key) in
            [(&b"file-7:12"[..], "file-7:12"), (b"", ""), (b"a b", "YSBi"), (b"\0\xff", "AP8=")]
        {
            assert_eq!(idempotency_key(position), key);
        }
    }
}
