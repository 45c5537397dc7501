//! What can be wrong with a record, each with a sentence.

use std::fmt;

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// It is no JSON, ends too early, has a member twice, or lacks one; in the parser's words.
    Json(String),
    /// This part of the record is no JSON object.
    NotAnObject(&'static str),
    /// The string of this member is no base64 with padding (RFC 4648, section 4).
    Base64(&'static str),
    /// This member is neither null, a string nor an object.
    Data(&'static str),
    /// There is no operation of this name.
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
