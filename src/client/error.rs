//! What can go wrong for a client, each with a sentence that says what to do.

use super::Response;
use super::human::size;
use crate::http::answer::AnswerError;
use std::{fmt, io};

/// Why a request did not come to its end.
#[derive(Debug)]
pub enum Error {
    /// An argument is wrong; nothing was sent.
    Input(String),
    /// The server cannot be reached, its certificate is not trusted, or the connection failed.
    Network {
        /// What was being done, such as `connecting to relay.example:443`.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// What came back is no answer of HTTP/1.1.
    Answer(AnswerError),
    /// The body of the response broke off after so many bytes of it.
    Truncated {
        /// Body bytes that came.
        received_bytes: u64,
    },
    /// This side failed: what was to be sent could not be read, or what came not be written.
    Local {
        /// What was being done, such as `reading a.txt`.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// What was to be sent is not as long as was said before; the request was broken off.
    Size {
        /// The length that was announced, in bytes.
        expected_bytes: u64,
        /// What there was, in bytes: fewer, or more than announced.
        found_bytes: u64,
    },
    /// The server gave its answer before the request was whole, and nothing more is sent.
    Answered(Box<Response>),
}

impl Error {
    pub(crate) fn network(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Network { doing: doing.into(), source: source.into() }
    }

    pub(crate) fn local(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Local { doing: doing.into(), source: source.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(why) => f.write_str(why),
            Self::Network { doing, source } | Self::Local { doing, source } => {
                write!(f, "{doing}: {source}")
            }
            Self::Answer(why) => write!(f, "{why}; is the URL right?"),
            Self::Truncated { received_bytes } => {
                write!(f, "the response was interrupted after {}", size(*received_bytes))
            }
            Self::Size { expected_bytes, found_bytes } => write!(
                f,
                "expected {expected_bytes} bytes, as declared, but found {found_bytes}; the request \
                 was interrupted"
            ),
            Self::Answered(response) => {
                write!(f, "the server answered {} before everything was sent", response.status())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Network { source, .. } | Self::Local { source, .. } => Some(source),
            Self::Answer(error) => Some(error),
            Self::Input(_) | Self::Truncated { .. } | Self::Size { .. } | Self::Answered(_) => None,
        }
    }
}

impl From<AnswerError> for Error {
    fn from(error: AnswerError) -> Self {
        Self::Answer(error)
    }
}

/// For readers and writers, whose errors are those of the system: [`io::Error::downcast`] gives
/// the real one back.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Error::Network { source, .. } | Error::Local { source, .. } => source.kind(),
            Error::Input(_) => io::ErrorKind::InvalidInput,
            Error::Answer(_) | Error::Size { .. } => io::ErrorKind::InvalidData,
            Error::Answered(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
