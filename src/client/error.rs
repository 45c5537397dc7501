//! The errors of clients, each with a message that includes what to do.

use super::Response;
use crate::http::answer::AnswerError;
use crate::ops::cause;
use crate::ops::human::size;
use std::{fmt, io};

/// Why a request failed.
#[derive(Debug)]
pub enum Error {
    /// An argument is invalid; nothing was sent.
    Input(String),
    /// The server cannot be reached, its certificate is not trusted, or the connection failed.
    Network {
        /// What failed, such as `cannot connect to relay.example:443`.
        doing: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The response is not valid HTTP/1.1.
    Answer(AnswerError),
    /// The body of the response was truncated.
    Truncated {
        /// Bytes of the body received.
        received_bytes: u64,
    },
    /// A local failure: the input could not be read, or the output not be written.
    Local {
        /// What failed, such as `cannot read a.txt`.
        doing: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The length of the content differs from the announced one; the request was aborted.
    Size {
        /// The announced length, in bytes.
        expected_bytes: u64,
        /// The actual length, in bytes: less, or more than announced.
        found_bytes: u64,
    },
    /// The server responded before the request was complete; no more is sent.
    Answered(Box<Response>),
}

impl Error {
    pub(crate) fn network(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Network { doing: doing.into(), source: source.into() }
    }

    /// Whether the connection was lost: the server may have closed it at any time.
    #[cfg(any(feature = "connector", feature = "socket"))]
    pub(crate) fn is_lost(&self) -> bool {
        let Self::Network { source, .. } = self else { return false };
        matches!(
            source.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        )
    }

    pub(crate) fn local(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Local { doing: doing.into(), source: source.into() }
    }

    /// Whether nothing listens at the address.
    pub(crate) fn is_connection_refused(&self) -> bool {
        matches!(self, Self::Network { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(why) => f.write_str(why),
            Self::Network { doing, source } | Self::Local { doing, source } => {
                write!(f, "{doing}: {}", cause(source))
            }
            Self::Answer(why @ AnswerError::NotHttp) => write!(f, "{why}; is the URL right?"),
            Self::Answer(why) => why.fmt(f),
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

/// Converts to an error for readers and writers: [`io::Error::downcast`] returns the original.
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
