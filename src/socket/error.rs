//! Errors of HTTP over a WebSocket, each with a message that suggests what to do.

use crate::client;
use crate::mux::frame::CancelReason;
use crate::mux::session::{Cancelled, Closed, TEXT_MAX_BYTES, close};
use crate::ops::cause;
use std::time::Duration;
use std::{fmt, io};

/// Why a connection failed, or a request was not answered.
#[derive(Debug)]
pub enum Error {
    /// An argument is invalid; nothing was sent.
    Input(String),
    /// The server refused the upgrade (RFC 6455, section 4.1).
    Refused {
        /// Status code: 401, 403, 404, 426, 503 and so on.
        status: u16,
        /// Message of the server.
        message: String,
    },
    /// The other end does not speak this protocol.
    Handshake(String),
    /// The connection was closed.
    Closed {
        /// The code of the close frame (RFC 6455, section 7.4); 1000 if this end closed it.
        code: u16,
        /// Reason in the close frame.
        reason: String,
    },
    /// The other end violated the protocol, as described.
    Protocol(String),
    /// The other end sent an invalid response, as described.
    Response(String),
    /// The other end cancelled the exchange.
    Cancelled(CancelReason),
    /// No response within this time.
    Timeout(Duration),
    /// Earlier requests were not answered within this time, and the text dialect sends one at a time.
    TurnTimeout(Duration),
    /// Too many requests of the text dialect wait for their turn.
    TooManyWaiting,
    /// The text dialect carries UTF-8 only, and the body is not UTF-8.
    NotText,
    /// The text dialect carries requests of up to 1 MiB, and this one is longer.
    TooLarge,
    /// The other end is shutting down and accepts no new requests.
    Draining,
    /// The body of the request could not be read.
    Body(io::Error),
    /// The operation was stopped by the caller.
    Stopped,
    /// The other end is unreachable, or the connection to it failed.
    Network {
        /// The operation that failed.
        doing: String,
        /// Error of the system.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn network(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Network { doing: doing.into(), source: source.into() }
    }

    /// Returns how a command gets a token, after an error that one may fix.
    pub(super) fn token_hint(&self) -> &'static str {
        let lacks_token = matches!(self, Self::Refused { status: 401 | 403, .. })
            || matches!(self, Self::Closed { code: close::POLICY, reason } if reason.contains("token"));
        if lacks_token {
            "; name the file of a token with --token-file, or set RDV_TOKEN"
        } else {
            ""
        }
    }

    /// Whether retrying may succeed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            Self::Closed { code, .. } => *code != close::POLICY && *code != close::NAME_TAKEN,
            Self::Cancelled(why) => {
                matches!(why, CancelReason::Busy | CancelReason::Gone | CancelReason::Late)
            }
            Self::Network { source, .. } => source.kind() != io::ErrorKind::InvalidData,
            Self::Timeout(_) | Self::TurnTimeout(_) | Self::TooManyWaiting | Self::Draining => true,
            Self::Input(_)
            | Self::Handshake(_)
            | Self::Protocol(_)
            | Self::Response(_)
            | Self::NotText
            | Self::TooLarge
            | Self::Body(_)
            | Self::Stopped => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(why) => f.write_str(why),
            // The body is a page of the proxy or the relay's answer to what looked like a plain GET.
            Self::Refused { status: status @ (200..=299 | 426), .. } => write!(
                f,
                "a proxy did not pass the WebSocket upgrade, or the URL is not that of a relay \
                 (the answer was {status}); have the proxy forward Upgrade and Connection over HTTP/1.1"
            ),
            Self::Refused { status, message } if message.is_empty() => {
                write!(f, "the server refused the connection with {status}")
            }
            Self::Refused { status, message } => {
                write!(f, "the server refused the connection with {status}: {message}")
            }
            Self::Handshake(why) => write!(f, "{why}; is the URL that of a socket of rdv?"),
            Self::Closed { code, reason } if reason.is_empty() => {
                write!(f, "the connection was closed with {code}")
            }
            Self::Closed { code, reason } => {
                write!(f, "the connection was closed with {code}: {reason}")
            }
            Self::Protocol(what) => write!(f, "the other end violated the protocol: {what}"),
            Self::Response(what) => write!(f, "invalid response: {what}"),
            Self::Cancelled(why) => write!(f, "the other end cancelled the request: {why}"),
            Self::Timeout(limit) => write!(f, "no response within {limit:?}"),
            Self::TurnTimeout(limit) => {
                write!(f, "the other end did not complete earlier responses within {limit:?}")
            }
            Self::TooManyWaiting => f.write_str("too many requests wait for earlier responses"),
            Self::NotText => f.write_str(
                "the text dialect carries UTF-8 only; have both ends speak rdv.socket.v1",
            ),
            Self::TooLarge => write!(
                f,
                "the text dialect carries requests of up to {TEXT_MAX_BYTES} bytes; \
                 have both ends speak rdv.socket.v1"
            ),
            Self::Draining => f.write_str("the other end is about to go away; connect again"),
            Self::Body(error) => write!(f, "cannot read the body of the request: {}", cause(error)),
            Self::Stopped => f.write_str("it was stopped before there was a connection"),
            Self::Network { doing, source } => write!(f, "{doing}: {}", cause(source)),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Network { source, .. } | Self::Body(source) => Some(source),
            Self::Input(_)
            | Self::Refused { .. }
            | Self::Handshake(_)
            | Self::Protocol(_)
            | Self::Response(_)
            | Self::Closed { .. }
            | Self::Cancelled(_)
            | Self::Timeout(_)
            | Self::TurnTimeout(_)
            | Self::TooManyWaiting
            | Self::NotText
            | Self::TooLarge
            | Self::Draining
            | Self::Stopped => None,
        }
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::Input(why) => Self::Input(why),
            client::Error::Network { doing, source } | client::Error::Local { doing, source } => {
                Self::Network { doing, source }
            }
            client::Error::Answer(why) => Self::Handshake(why.to_string()),
            client::Error::Truncated { .. }
            | client::Error::Size { .. }
            | client::Error::Answered(_) => Self::Handshake(error.to_string()),
        }
    }
}

impl From<&Closed> for Error {
    fn from(closed: &Closed) -> Self {
        match closed {
            Closed::There(code, reason) => Self::Closed { code: *code, reason: reason.clone() },
            Closed::Here => Self::Closed { code: close::NORMAL, reason: "by this end".into() },
            Closed::Broken(what) => Self::Protocol(what.clone()),
            Closed::Silent => {
                Self::network("no response from the other end", io::ErrorKind::TimedOut)
            }
            Closed::Lost => {
                let cut =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "closed without a close frame");
                Self::network("connection lost", cut)
            }
        }
    }
}

impl From<&Cancelled> for Error {
    fn from(cancelled: &Cancelled) -> Self {
        match cancelled {
            Cancelled::There(why) => Self::Cancelled(why.clone()),
            Cancelled::Interim => Self::Response("more than 16 interim responses".into()),
            Cancelled::Invalid(what) => Self::Response((*what).to_owned()),
            Cancelled::NotText => Self::NotText,
            Cancelled::TooLarge => Self::TooLarge,
        }
    }
}

/// For [`Body`](super::Body), which implements `Read`.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Network { source, .. } | Error::Body(source) => source.kind(),
            Error::Closed { .. } | Error::Cancelled(_) => io::ErrorKind::ConnectionAborted,
            Error::Timeout(_) | Error::TurnTimeout(_) => io::ErrorKind::TimedOut,
            Error::Input(_) => io::ErrorKind::InvalidInput,
            Error::NotText
            | Error::TooLarge
            | Error::Handshake(_)
            | Error::Protocol(_)
            | Error::Response(_) => io::ErrorKind::InvalidData,
            Error::Refused { .. } | Error::TooManyWaiting | Error::Draining | Error::Stopped => {
                io::ErrorKind::Other
            }
        };
        Self::new(kind, error)
    }
}
