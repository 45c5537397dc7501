//! All failures, with their status, name and message.

use super::{Busy, CreationFailure, Denied, Ended, Misdirected, TokenFailure};
use crate::http::body::Malformed;
use crate::http::fields::is_token;
use crate::http::reject::Reject;
use crate::rendezvous::{Ending, PeerReport, Side};
use serde_json::json;
use std::borrow::Cow;

/// The field of every error, and of no download: the status does not distinguish them, since a
/// reporter can choose a success status.
pub const ERROR_FIELD: &str = "Rdv-Error";

/// Maximum length of its value, in bytes; a reported name can be longer.
const FIELD_MAX_BYTES: usize = 64;

const RANGE_NOT_SUPPORTED: &str =
    "A stream cannot resume, and was not joined; retry without Range to receive all of it";

const UPGRADE_REQUIRED: &str =
    "Only a WebSocket can be opened here; send 'Upgrade: websocket' and its fields";

const REQUEST_ID_INVALID: &str = "The request id must be given once, with 1 to 128 visible ASCII \
                                  characters, no quotes, backslash, comma or semicolon, or absent";

const SPARE_REFUSED: &str =
    "The connection id and the secret are not those of an agent that may bring more connections";

/// A failed request or stream, as reported to its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The head is malformed, too long, or requires something unsupported.
    Rejected(Reject),
    /// The chunked framing of the body, or the form in it, is malformed.
    BadFraming(Malformed),
    /// A JSON body that is invalid for the route.
    InvalidBody(String),
    /// A JSON body longer than the limit.
    BodyTooLarge(usize),
    /// An upload of more than this many bytes, as reported to its source.
    UploadTooLarge(u64),
    /// The same, as reported to its destination.
    SourceTooLarge(u64),
    /// The body ended before its declared length.
    BodyBroken,
    /// The request, or the next byte of its body, was not received in time.
    RequestTimeout(&'static str),
    /// An expectation other than `100-continue`.
    ExpectationFailed,
    /// The request id is invalid or repeated.
    RequestIdInvalid,
    /// A partial request, which a stream cannot serve.
    RangeNotSupported,
    /// `CONNECT`.
    NoTunnel,
    /// Another node has the stream or the agent.
    Misdirected(Misdirected),
    /// No such stream, or it has ended.
    SessionNotFound,
    /// The stream has ended, with how it ended.
    StreamEnded(Box<Ended>),
    /// No such path.
    BadRoute,
    /// The path allows only these methods.
    MethodNotAllowed(&'static str),
    /// Both sides are connected, or the stream has ended.
    StreamStarted,
    /// A receipt that cannot be taken, for this reason.
    Receipt(&'static str),
    /// This client is not allowed to do that.
    Denied(Denied),
    /// The source requires its token, and the request has none or another.
    Unauthorized,
    /// The required signature of the body is missing or wrong, with the reason.
    BadSignature(String),
    /// That side of the stream is already connected.
    AlreadyConnected(Side),
    /// That side of the path is already connected.
    PathTaken(Side),
    /// A request for a path that cannot be served, for this reason.
    BadPathRequest(String),
    /// This side closed its connection too early.
    Disconnected(Side),
    /// This side violated the protocol or its socket failed.
    Failed(Side),
    /// The waiting time expired.
    SessionTimeout,
    /// The relay is shutting down and cannot serve the request.
    Stopping,
    /// No agent has this connection id or name.
    AgentNotFound,
    /// The agent disconnected during the request.
    AgentGone,
    /// The agent did not respond in time.
    AgentTimeout,
    /// The agent did not complete earlier responses in time (text dialect).
    AgentQueueTimeout,
    /// The agent's response is not valid HTTP, with the reason as a clause.
    AgentBroke(&'static str),
    /// The agent aborted its response.
    AgentCancelled,
    /// The agent supports text only, and the request is not text.
    NotText,
    /// A body in a content coding that cannot be decoded.
    UnknownCoding,
    /// The agent takes complete requests only, of at most this many bytes.
    CallTooLarge(usize),
    /// Only a WebSocket can be opened here.
    UpgradeRequired,
    /// The connection cannot be upgraded, or is not encrypted: what is wrong, and what to do.
    BadUpgrade(&'static str),
    /// The request is refused for its token, or for none.
    Token(TokenFailure),
    /// A stream is not created as requested.
    Creation(CreationFailure),
    /// The agent's token is not for the requested name.
    AgentForbidden,
    /// An agent called the API beside the relay, and there is none.
    NoSuchApi,
    /// A tunnel without an agent, or beyond the limit.
    SpareRefused,
    /// A limit is reached, or no new work is accepted; see the relay's settings for the status.
    TooBusy(Busy),
    /// The other side reported this error.
    Reported(Box<PeerReport>),
}

impl Failure {
    /// A request without a host that is to be redirected.
    pub const NO_HOST: Self =
        Self::BadUpgrade("Use https://, or send a Host field to be redirected");

    /// Plain HTTP where TLS is required.
    pub const NOT_TLS: Self =
        Self::BadUpgrade("This port serves HTTPS only; use https:// in the URL");

    /// Returns the report to the clients of a deleted stream.
    pub fn deleted() -> PeerReport {
        PeerReport {
            status: 410,
            name: "StreamDeletedError".into(),
            message: "The stream was deleted before it completed".into(),
        }
    }

    /// Returns the report for a stream that ended because the relay stops.
    pub fn stopping() -> PeerReport {
        let failure = Self::TooBusy(Busy::Stopping);
        PeerReport {
            status: failure.status(),
            name: failure.name().into(),
            message: failure.message().into(),
        }
    }

    /// Returns the failure shown in the status object of an ended stream; `None` if it succeeded.
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

    /// Returns the HTTP status (RFC 9110 15; 429: RFC 6585).
    pub fn status(&self) -> u16 {
        match self {
            Self::Rejected(reject) => reject.status(),
            Self::BadFraming(_)
            | Self::InvalidBody(_)
            | Self::BodyBroken
            | Self::RequestIdInvalid
            | Self::PathTaken(_)
            | Self::BadPathRequest(_)
            | Self::BadUpgrade(_) => 400,
            Self::BodyTooLarge(_) | Self::UploadTooLarge(_) | Self::CallTooLarge(_) => 413,
            Self::NotText | Self::UnknownCoding => 415,
            Self::UpgradeRequired => 426,
            Self::RequestTimeout(_) => 408,
            Self::RangeNotSupported => 416,
            Self::ExpectationFailed => 417,
            Self::NoTunnel => 501,
            Self::Misdirected(misdirected) => misdirected.status(),
            Self::SessionNotFound
            | Self::StreamEnded(_)
            | Self::BadRoute
            | Self::AgentNotFound
            | Self::NoSuchApi => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::StreamStarted | Self::Stopping | Self::Receipt(_) => 409,
            Self::Unauthorized => 401,
            Self::Token(failure) => failure.status(),
            Self::Creation(failure) => failure.status(),
            Self::Denied(_) | Self::BadSignature(_) | Self::AgentForbidden | Self::SpareRefused => {
                403
            }
            Self::AlreadyConnected(_) => 429,
            Self::Disconnected(_)
            | Self::Failed(_)
            | Self::SourceTooLarge(_)
            | Self::AgentGone
            | Self::AgentBroke(_)
            | Self::AgentCancelled => 502,
            Self::SessionTimeout | Self::AgentTimeout | Self::AgentQueueTimeout => 504,
            Self::TooBusy(_) => 503,
            Self::Reported(report) => report.status,
        }
    }

    /// Returns the kind of error, for programs.
    pub fn name(&self) -> &str {
        match self {
            Self::Rejected(reject) => reject.name(),
            Self::BadFraming(_)
            | Self::BodyBroken
            | Self::RequestIdInvalid
            | Self::BadPathRequest(_)
            | Self::BadUpgrade(_) => "BadRequestError",
            Self::InvalidBody(_) => "InvalidBodyError",
            Self::BodyTooLarge(_) | Self::UploadTooLarge(_) | Self::CallTooLarge(_) => {
                "ContentTooLargeError"
            }
            Self::NotText | Self::UnknownCoding => "UnsupportedMediaTypeError",
            Self::UpgradeRequired => "UpgradeRequiredError",
            Self::AgentNotFound => "AgentNotFoundError",
            Self::AgentGone => "AgentGoneError",
            Self::AgentTimeout | Self::AgentQueueTimeout => "AgentTimeoutError",
            Self::AgentBroke(_) => "AgentBrokeError",
            Self::AgentCancelled => "AgentCancelledError",
            Self::NoSuchApi => "NoSuchApiError",
            Self::SpareRefused => "SpareRefusedError",
            Self::RequestTimeout(_) => "RequestTimeoutError",
            Self::RangeNotSupported => "RangeNotSupportedError",
            Self::ExpectationFailed => "ExpectationFailedError",
            Self::NoTunnel => "NotImplementedError",
            Self::Misdirected(_) => "MisdirectedError",
            Self::SessionNotFound | Self::StreamEnded(_) => "SessionNotFoundError",
            Self::BadRoute | Self::MethodNotAllowed(_) => "BadRouteError",
            Self::StreamStarted => "StreamStartedError",
            Self::Receipt(_) => "ReceiptError",
            Self::Stopping => "StoppingError",
            Self::Unauthorized => "UnauthorizedError",
            Self::Token(failure) => failure.name(),
            Self::Creation(failure) => failure.name(),
            Self::BadSignature(_) => "SignatureError",
            Self::Denied(_) | Self::AgentForbidden => "ForbiddenError",
            Self::AlreadyConnected(_) | Self::PathTaken(_) => "AlreadyConnectedError",
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

    /// Returns a description of the error, for people.
    pub fn message(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Rejected(reject) => reject.message(),
            Self::BadFraming(error) => error.message(),
            Self::InvalidBody(message)
            | Self::BadSignature(message)
            | Self::BadPathRequest(message) => message,
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
            Self::CallTooLarge(most) => return Cow::Owned(call_too_large(*most)),
            Self::AgentBroke(clause) => {
                return Cow::Owned(format!("The agent returned an invalid response: {clause}"));
            }
            Self::BodyBroken => "The request body ended before its announced end",
            Self::RequestTimeout(why) | Self::BadUpgrade(why) | Self::Receipt(why) => why,
            Self::TooBusy(busy) => busy.message(),
            Self::RangeNotSupported => RANGE_NOT_SUPPORTED,
            Self::ExpectationFailed => "The only supported expectation is 100-continue",
            Self::RequestIdInvalid => REQUEST_ID_INVALID,
            Self::NoTunnel => "CONNECT is not supported; this relay is not a proxy",
            Self::Misdirected(misdirected) => return Cow::Owned(misdirected.message()),
            Self::SessionNotFound | Self::StreamEnded(_) => {
                "The specified session id does not exist"
            }
            Self::BadRoute | Self::MethodNotAllowed(_) => {
                "No endpoint exists for the specified method and/or route"
            }
            Self::StreamStarted => "The specified session has already started streaming",
            Self::Stopping => "The relay is shutting down, which cannot be taken back",
            Self::Unauthorized => "Send the token of this source: 'Authorization: Bearer TOKEN'",
            Self::AgentNotFound => "No agent with this name or connection id is connected",
            Self::AgentGone => "The agent disconnected before its response was complete",
            Self::AgentTimeout => "The agent did not respond in time",
            Self::AgentQueueTimeout => "The agent did not complete earlier responses in time",
            Self::AgentCancelled => "The agent aborted its response",
            Self::NotText => "This agent accepts text only; send a UTF-8 body",
            Self::UnknownCoding => "Send the body in one of gzip, deflate and zstd, or unencoded",
            Self::UpgradeRequired => UPGRADE_REQUIRED,
            Self::Token(failure) => return failure.message(),
            Self::Creation(failure) => failure.message(),
            Self::AgentForbidden => "This token is not valid for the requested name",
            Self::NoSuchApi => "This relay has no API for agents; see --socket-api",
            Self::SpareRefused => SPARE_REFUSED,
            Self::Denied(denied) => denied.message(),
            Self::AlreadyConnected(side) => {
                return Cow::Owned(format!(
                    "A client has already connected to the {} side of this stream",
                    side.name()
                ));
            }
            Self::PathTaken(side) => path_taken(*side),
            Self::Disconnected(Side::Source) => "Stream source closed unexpectedly",
            Self::Disconnected(Side::Destination) => "Stream destination closed unexpectedly",
            Self::Failed(Side::Source) => "Stream source raised an error",
            Self::Failed(Side::Destination) => "Stream destination raised an error",
            Self::SessionTimeout => "The specified session expired before both sides connected",
            Self::Reported(report) => &report.message,
        })
    }

    /// Whether a later retry can succeed; the response then has `Retry-After` (RFC 9110 10.2.3).
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::TooBusy(_)) || matches!(self.status(), 429 | 503)
    }

    /// Returns the methods of the path, for `Allow` (RFC 9110 10.2.1).
    pub fn allow(&self) -> Option<&'static str> {
        if let Self::MethodNotAllowed(allow) = self { Some(allow) } else { None }
    }

    /// Returns the URL that the client is redirected to (RFC 9110 10.2.2).
    pub fn location(&self) -> Option<&str> {
        if let Self::Misdirected(misdirected) = self { misdirected.location() } else { None }
    }

    /// Returns the value of [`ERROR_FIELD`]: the name, unless it is a report's and does not fit.
    pub fn field_value(&self) -> &str {
        let name = self.name();
        let fits = name.len() <= FIELD_MAX_BYTES && is_token(name.as_bytes());
        if fits { name } else { "Error" }
    }

    /// Returns the challenges, one for each `WWW-Authenticate` (RFC 9110 11.6.1, RFC 6750 3, RFC 7617
    /// 2): not every client finds its scheme in a list.
    pub fn challenges(&self) -> &'static [&'static str] {
        if let Self::Token(failure) = self {
            failure.challenges()
        } else if let Self::Unauthorized = self {
            &["Bearer"]
        } else {
            &[]
        }
    }

    /// Returns the fixed fields of this kind of response: `Upgrade` and its companions (RFC 9110
    /// 7.8 and 15.5.22, RFC 6455 4.4), that ranges are not supported (RFC 9110 14.3), or the
    /// supported content codings (RFC 9110 15.5.16).
    pub fn fields(&self) -> &'static [(&'static str, &'static str)] {
        const WEBSOCKET: [(&str, &str); 3] =
            [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
        if matches!(self, Self::UpgradeRequired) {
            &WEBSOCKET
        } else if matches!(self, Self::RangeNotSupported) {
            &[("Accept-Ranges", "none")]
        } else if matches!(self, Self::UnknownCoding) {
            &[("Accept-Encoding", "gzip, deflate, zstd")]
        } else {
            &[]
        }
    }

    /// Returns the outcome of the requested stream, if it has ended.
    fn fate(&self) -> Option<String> {
        if let Self::StreamEnded(ended) = self { Some(ended.reason()) } else { None }
    }

    /// Returns the body: one JSON object or one line of text, ending with a newline.
    pub fn body(&self, text: bool) -> String {
        if text {
            let message = self.message();
            let fate = self.fate().map_or(String::new(), |fate| format!(" ({fate})"));
            let line = format!("{}: {message}{fate}", self.name());
            return line.replace(|c: char| c.is_control(), " ") + "\n";
        }
        let mut body = json!({ "name": self.name(), "message": self.message() });
        if let Some(fate) = self.fate() {
            body["reason"] = fate.into();
        }
        format!("{body}\n")
    }
}

fn call_too_large(most: usize) -> String {
    format!("This agent takes requests of {most} bytes at most, head and body together")
}

fn path_taken(side: Side) -> &'static str {
    match side {
        Side::Source => {
            "Another sender is connected to this path; retry after its transfer, or use another path"
        }
        Side::Destination => {
            "Another receiver is connected to this path; retry after its transfer, or use another \
             path"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::permission::Scope;

    #[test]
    fn a_range_request_is_refused_with_a_hint() {
        let failure = Failure::RangeNotSupported;
        assert_eq!((failure.status(), failure.name()), (416, "RangeNotSupportedError"));
        assert!(failure.message().contains("retry without Range"), "{}", failure.message());
        assert_eq!(failure.fields(), [("Accept-Ranges", "none")]);
        assert!(!failure.may_pass(), "the same request fails again");
    }

    #[test]
    fn every_failure_of_agents_has_its_status_name_and_message() {
        for (failure, status, name, part) in [
            (Failure::AgentNotFound, 404, "AgentNotFoundError", "No agent"),
            (Failure::AgentGone, 502, "AgentGoneError", "disconnected"),
            (Failure::AgentTimeout, 504, "AgentTimeoutError", "in time"),
            (Failure::AgentQueueTimeout, 504, "AgentTimeoutError", "earlier responses"),
            (Failure::AgentBroke("it is a poem"), 502, "AgentBrokeError", "response: it is a poem"),
            (Failure::AgentCancelled, 502, "AgentCancelledError", "aborted"),
            (Failure::NotText, 415, "UnsupportedMediaTypeError", "UTF-8"),
            (Failure::CallTooLarge(4096), 413, "ContentTooLargeError", "4096 bytes"),
            (Failure::UpgradeRequired, 426, "UpgradeRequiredError", "WebSocket"),
            (Failure::BadUpgrade("Send a key"), 400, "BadRequestError", "Send a key"),
            (
                Failure::Token(TokenFailure::Needed(Scope::Agent)),
                401,
                "UnauthorizedError",
                "the metadata",
            ),
            (Failure::AgentForbidden, 403, "ForbiddenError", "name"),
            (Failure::Denied(Denied::Agents), 403, "ForbiddenError", "rdv ctl agents"),
            (Failure::NoSuchApi, 404, "NoSuchApiError", "--socket-api"),
            (Failure::SpareRefused, 403, "SpareRefusedError", "secret"),
            (Failure::TooBusy(Busy::Agents), 503, "TooBusyError", "max-agents"),
            (Failure::TooBusy(Busy::AgentRequests), 503, "TooBusyError", "max-agent-requests"),
        ] {
            assert_eq!((failure.status(), failure.name()), (status, name), "{failure:?}");
            let message = failure.message();
            assert!(message.contains(part), "{failure:?}: {message}");
            assert!(!message.contains("  ") && !message.ends_with('.'), "{failure:?}: {message}");
            assert_eq!(failure.may_pass(), status == 503, "{failure:?}");
            assert_eq!(!failure.challenges().is_empty(), status == 401, "{failure:?}");
            assert_eq!(!failure.fields().is_empty(), status == 426, "{failure:?}");
        }
    }
}
