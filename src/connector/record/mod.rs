//! `OpenCDC` records as Conduit writes them, one JSON object per line. A record that is read and
//! written again gives the same line byte for byte, numbers in structured data lose no precision,
//! and no input causes a panic. It opens no files but temporary ones, and no sockets.
//!
//! The format is that of <https://conduit.io/docs/using/opencdc-record> as Go's encoder writes it:
//!
//! ```
//! use rdv::connector::record::{Data, Operation, Record};
//!
//! let line = br#"{"position":"Zm9v","operation":"create","metadata":{},"key":"YmFy","payload":{"before":null,"after":{"n":1}}}"#;
//! let record = Record::parse(line)?;
//! assert_eq!(record.position, b"foo");
//! assert_eq!(record.operation, Operation::Create);
//! assert_eq!(record.key, Some(Data::Raw(b"bar".to_vec())));
//! let mut again = Vec::new();
//! record.write(&mut again);
//! assert_eq!(again.strip_suffix(b"\n"), Some(&line[..]));
//! # Ok::<(), rdv::connector::record::RecordError>(())
//! ```

mod error;
pub mod json;
mod parse;
mod reader;
mod scan;
mod spill_writer;
#[cfg(test)]
mod tests;

pub use crate::connector::spill::SpilledContent;
pub use error::RecordError;
pub use reader::{Incoming, LINE_MAX_BYTES, ReadError, Reader};

use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// Metadata: the version of the format that the record follows, such as `v1`.
pub const OPENCDC_VERSION: &str = "opencdc.version";
/// Metadata: when the data was created, in nanoseconds since 1970-01-01T00:00:00Z.
pub const CREATED_AT: &str = "opencdc.createdAt";
/// Metadata: when the data was read, in nanoseconds since 1970-01-01T00:00:00Z.
pub const READ_AT: &str = "opencdc.readAt";

/// One change of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Position of the source after this record, used to acknowledge it.
    pub position: Vec<u8>,
    /// What happened to the item.
    pub operation: Operation,
    /// Metadata, by name.
    pub metadata: BTreeMap<String, String>,
    /// Key of the item, if known.
    pub key: Option<Data>,
    /// State of the item before and after the change.
    pub payload: Change,
}

/// State of an item before and after a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The state before, if known.
    pub before: Option<Data>,
    /// The state after; `None` if deleted.
    pub after: Option<Data>,
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The item is new.
    Create,
    /// The item has changed.
    Update,
    /// The item was deleted.
    Delete,
    /// The item already existed when the source started.
    Snapshot,
}

impl Operation {
    /// Returns the name used in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Snapshot => "snapshot",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Create, Self::Update, Self::Delete, Self::Snapshot];
        all.into_iter().find(|operation| operation.name() == name)
    }
}

/// A key or a payload.
#[derive(Clone)]
pub enum Data {
    /// Bytes, in base64 on the line.
    Raw(Vec<u8>),
    /// A JSON object, kept as written.
    Structured(Box<RawValue>),
}

impl Data {
    /// Returns the bytes of raw data, or the JSON text of structured data.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Raw(bytes) => bytes,
            Self::Structured(object) => object.get().as_bytes(),
        }
    }
}

/// Structured data is equal if its text is equal.
impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Raw(bytes), Self::Raw(others)) => bytes == others,
            (Self::Structured(object), Self::Structured(others)) => object.get() == others.get(),
            (Self::Raw(_), Self::Structured(_)) | (Self::Structured(_), Self::Raw(_)) => false,
        }
    }
}

impl Eq for Data {}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(bytes) => write!(f, "Raw({})", bytes.escape_ascii()),
            Self::Structured(object) => write!(f, "Structured({})", object.get()),
        }
    }
}

impl Record {
    /// Parses a record from one line, with or without its newline.
    ///
    /// # Errors
    /// [`RecordError`] if the line is not a valid record.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        parse::record(line)
    }

    /// Appends the record and a newline to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (head, tail) = self.halves();
        out.extend_from_slice(&head);
        json::data(out, self.payload.after.as_ref());
        out.extend_from_slice(tail);
    }

    /// Returns the line up to `payload.after`, and what follows it, with the newline: for an
    /// `after` that is not in memory.
    pub fn halves(&self) -> (Vec<u8>, &'static [u8]) {
        let mut out = b"{\"position\":".to_vec();
        json::base64(&mut out, &self.position);
        out.extend_from_slice(b",\"operation\":");
        json::string(&mut out, self.operation.name());
        out.extend_from_slice(b",\"metadata\":");
        json::map(&mut out, &self.metadata);
        out.extend_from_slice(b",\"key\":");
        json::data(&mut out, self.key.as_ref());
        out.extend_from_slice(b",\"payload\":{\"before\":");
        json::data(&mut out, self.payload.before.as_ref());
        out.extend_from_slice(b",\"after\":");
        (out, b"}}\n")
    }
}
