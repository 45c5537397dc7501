//! Errors in records, each with a descriptive message.

use std::fmt;

/// Why a line is not a valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Not JSON, truncated, or with a duplicate or missing member; the parser's message.
    Json(String),
    /// This part of the record is not a JSON object.
    NotAnObject(&'static str),
    /// The string of this member is not base64 with padding (RFC 4648, section 4).
    Base64(&'static str),
    /// This member is neither null, a string nor an object.
    Data(&'static str),
    /// The name of the operation is unknown.
    Operation(String),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => write!(f, "the record is not valid JSON of its kind: {why}"),
            Self::NotAnObject(part) => write!(f, "{part} is not a JSON object"),
            Self::Base64(member) => {
                write!(f, "{member} is not standard base64 with padding")
            }
            Self::Data(member) => {
                write!(f, "{member} must be null, a base64 string or an object")
            }
            Self::Operation(name) => {
                write!(f, "unknown operation '{}'", name.escape_debug())?;
                f.write_str("; it must be create, update, delete or snapshot")
            }
        }
    }
}

impl std::error::Error for RecordError {}
