//! Every way to refuse, and how it is said: status, name, message.

use super::Busy;
use crate::http::chunked::ChunkError;
use crate::http::reject::Reject;
use crate::rendezvous::{Ending, Report, Side};
use serde_json::json;
use std::borrow::Cow;

/// A request or a stream that did not end well, as its client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The head is malformed, too long, or asks for what is not supported.
    Rejected(Reject),
    /// The chunked framing of the body is malformed.
    BadFraming(ChunkError),
    /// A JSON body that is not what the route takes.
    InvalidBody(String),
    /// A JSON body longer than the limit.
    BodyTooLarge(usize),
    /// An upload of more than this many bytes, as its source is told.
    UploadTooLarge(u64),
    /// The same, as its destination is told.
    SourceTooLarge(u64),
    /// The body ended before its announced length.
    BodyBroken,
    /// The request, or the next byte of its body, did not come in time.
    RequestTimeout(&'static str),
    /// An expectation other than `100-continue`.
    ExpectationFailed,
    /// The id the request brings is no plain one, or there are two.
    RequestIdInvalid,
    /// `CONNECT`.
    NoTunnel,
    /// No such stream, or it is over.
    SessionNotFound,
    /// No such path.
    BadRoute,
    /// The path takes these methods only.
    MethodNotAllowed(&'static str),
    /// Both sides are there, or the stream is over.
    StreamStarted,
    /// Only for trusted peers.
    Forbidden,
    /// The source takes requests that bring its token, and this one does not.
    Unauthorized,
    /// The body is not signed as it has to be; what is wrong with the signature.
    BadSignature(String),
    /// That side of the stream is taken.
    AlreadyConnected(Side),
    /// This side closed its connection too early.
    Disconnected(Side),
    /// This side broke the protocol or its socket failed.
    Failed(Side),
    /// The waiting time ran out.
    SessionTimeout,
    /// The relay is about to stop, and cannot do what was asked for.
    Stopping,
    /// A limit is reached, or nothing new is taken on; see the relay's settings for the status.
    TooBusy(Busy),
    /// The other side reported this.
    Reported(Box<Report>),
}

impl Failure {
    /// What a client is told whose stream was deleted.
    pub fn deleted() -> Report {
        Report {
            status: 410,
            name: "StreamDeletedError".into(),
            message: "The stream was deleted before it completed".into(),
        }
    }

    /// What the status of a stream shows that ended because the relay stops.
    pub fn stopping() -> Report {
        let failure = Self::TooBusy(Busy::Stopping);
        Report {
            status: failure.status(),
            name: failure.name().into(),
            message: failure.message().into(),
        }
    }

    /// What the status object of a stream that ended this way shows; `None` for a good end.
    pub fn of_ending(ending: &Ending) -> Option<Self> {
        match ending {
            Ending::Finished(_) => None,
            Ending::TimedOut(_) => Some(Self::SessionTimeout),
            Ending::Disconnected(side) => Some(Self::Disconnected(*side)),
            Ending::Failed(side) => Some(Self::Failed(*side)),
            Ending::TooLarge(most) => Some(Self::SourceTooLarge(*most)),
            Ending::Reported(report) => Some(Self::Reported(report.clone())),
        }
    }

    /// The HTTP status (RFC 9110 15; 429: RFC 6585).
    pub fn status(&self) -> u16 {
        match self {
            Self::Rejected(reject) => reject.status(),
            Self::BadFraming(_)
            | Self::InvalidBody(_)
            | Self::BodyBroken
            | Self::RequestIdInvalid => 400,
            Self::BodyTooLarge(_) | Self::UploadTooLarge(_) => 413,
            Self::RequestTimeout(_) => 408,
            Self::ExpectationFailed => 417,
            Self::NoTunnel => 501,
            Self::SessionNotFound | Self::BadRoute => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::StreamStarted | Self::Stopping => 409,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::BadSignature(_) => 403,
            Self::AlreadyConnected(_) => 429,
            Self::Disconnected(_) | Self::Failed(_) | Self::SourceTooLarge(_) => 502,
            Self::SessionTimeout => 504,
            Self::TooBusy(_) => 503,
            Self::Reported(report) => report.status,
        }
    }

    /// The kind of error, for programs.
    pub fn name(&self) -> &str {
        match self {
            Self::Rejected(reject) => reject.name(),
            Self::BadFraming(_) | Self::BodyBroken | Self::RequestIdInvalid => "BadRequestError",
            Self::InvalidBody(_) => "InvalidBodyError",
            Self::BodyTooLarge(_) | Self::UploadTooLarge(_) => "ContentTooLargeError",
            Self::RequestTimeout(_) => "RequestTimeoutError",
            Self::ExpectationFailed => "ExpectationFailedError",
            Self::NoTunnel => "NotImplementedError",
            Self::SessionNotFound => "SessionNotFoundError",
            Self::BadRoute | Self::MethodNotAllowed(_) => "BadRouteError",
            Self::StreamStarted => "StreamStartedError",
            Self::Stopping => "StoppingError",
            Self::Unauthorized => "UnauthorizedError",
            Self::BadSignature(_) => "SignatureError",
            Self::Forbidden => "ForbiddenError",
            Self::AlreadyConnected(_) => "AlreadyConnectedError",
            Self::Disconnected(Side::Source)
            | Self::Failed(Side::Source)
            | Self::SourceTooLarge(_) => "StreamSourceError",
            Self::Disconnected(Side::Destination) | Self::Failed(Side::Destination) => {
                "StreamDestinationError"
            }
            Self::SessionTimeout => "SessionTimeoutError",
            Self::TooBusy(_) => "TooBusyError",
            Self::Reported(report) => &report.name,
        }
    }

    /// What went wrong, for people.
    pub fn message(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Rejected(reject) => reject.message(),
            Self::BadFraming(error) => error.message(),
            Self::InvalidBody(message) | Self::BadSignature(message) => message,
            Self::BodyTooLarge(limit) => {
                return Cow::Owned(format!("The request body is longer than {limit} bytes"));
            }
            Self::UploadTooLarge(most) => {
                return Cow::Owned(format!(
                    "The upload is longer than {most} bytes, the most a stream may carry"
                ));
            }
            Self::SourceTooLarge(most) => {
                return Cow::Owned(format!(
                    "Stream source has more than {most} bytes, the most a stream may carry"
                ));
            }
            Self::BodyBroken => "The request body ended before its announced end",
            Self::RequestTimeout(message) => message,
            Self::TooBusy(busy) => busy.message(),
            Self::ExpectationFailed => "The only expectation this relay meets is 100-continue",
            Self::RequestIdInvalid => {
                "The request id must be there once, with 1 to 128 visible ASCII characters, \
                 no quotes, backslash, comma or semicolon; or leave it out"
            }
            Self::NoTunnel => "This relay is no tunnel: CONNECT is not supported",
            Self::SessionNotFound => "The specified session id does not exist",
            Self::BadRoute | Self::MethodNotAllowed(_) => {
                "No endpoint exists for the specified method and/or route"
            }
            Self::StreamStarted => "The specified session has already started streaming",
            Self::Stopping => "The relay is about to stop, which cannot be taken back",
            Self::Unauthorized => "Send the token of this source: 'Authorization: Bearer TOKEN'",
            Self::Forbidden => "The list of streams is for trusted networks only",
            Self::AlreadyConnected(side) => {
                return Cow::Owned(format!(
                    "A client has already connected to the {} side of this stream",
                    side.name()
                ));
            }
            Self::Disconnected(Side::Source) => "Stream source closed unexpectedly",
            Self::Disconnected(Side::Destination) => "Stream destination closed unexpectedly",
            Self::Failed(Side::Source) => "Stream source raised an error",
            Self::Failed(Side::Destination) => "Stream destination raised an error",
            Self::SessionTimeout => "The specified session expired before both sides connected",
            Self::Reported(report) => &report.message,
        })
    }

    /// Whether another try makes sense after a while, which the answer says with `Retry-After`
    /// (RFC 9110 10.2.3).
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::TooBusy(_)) || matches!(self.status(), 429 | 503)
    }

    /// The methods the path takes, for `Allow` (RFC 9110 10.2.1).
    pub fn allow(&self) -> Option<&'static str> {
        if let Self::MethodNotAllowed(allow) = self { Some(allow) } else { None }
    }

    /// How to prove who asks, for `WWW-Authenticate` (RFC 9110 11.6.1, RFC 6750 3).
    pub fn challenge(&self) -> Option<&'static str> {
        matches!(self, Self::Unauthorized).then_some("Bearer")
    }

    /// The body: one JSON object, or one line of text; a newline either way.
    pub fn body(&self, text: bool) -> String {
        if text {
            let message = self.message();
            let line = message.replace(|c: char| c.is_control(), " ");
            return format!("{}: {line}\n", self.name().replace(|c: char| c.is_control(), " "));
        }
        format!("{}\n", json!({ "name": self.name(), "message": self.message() }))
    }
}
