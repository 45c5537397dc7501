//! The events that a connection reports to its driver, and how it ends.

use crate::mux::frame::CancelReason;
use crate::mux::handshake::{Metadata, Welcome};
use tungstenite::Bytes;

/// Close codes (RFC 6455, section 7.4.1, and the range for private use).
pub mod close {
    /// Normal closure.
    pub const NORMAL: u16 = 1000;
    /// This end is shutting down; a retry reaches its successor.
    pub const GOING_AWAY: u16 = 1001;
    /// A message that the protocol does not define.
    pub const PROTOCOL: u16 = 1002;
    /// The request is not allowed; the reason explains why.
    pub const POLICY: u16 = 1008;
    /// This end failed.
    pub const FAILED: u16 = 1011;
    /// This end is at capacity now; a retry may succeed.
    pub const BUSY: u16 = 1013;
    /// Another connection has taken over its name.
    pub const REPLACED: u16 = 4001;
    /// The name belongs to another client.
    pub const NAME_TAKEN: u16 = 4009;
}

/// An event of a connection.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The dialling end sent its metadata. Reply with [`Session::welcome`](super::Session::welcome)
    /// or [`Session::close`](super::Session::close).
    Introduced(Metadata),
    /// The handshake is complete; `Some` at the dialling end.
    Open(Option<Welcome>),
    /// A request from the peer.
    Request {
        /// The number of the new exchange.
        number: u32,
        /// Request line, fields and empty line.
        head: Bytes,
        /// Whether there is no body.
        over: bool,
    },
    /// A response from the peer.
    Response {
        /// The number of the request.
        number: u32,
        /// Status line, fields and empty line.
        head: Bytes,
        /// Whether there is no body.
        over: bool,
    },
    /// The next bytes of the peer's body. Report consumed bytes with
    /// [`Session::used`](super::Session::used).
    Body {
        /// The exchange they belong to.
        number: u32,
        /// The bytes, without framing.
        bytes: Bytes,
        /// Whether these are the last ones.
        over: bool,
    },
    /// More of this exchange can be sent than before.
    Room(u32),
    /// The text dialect: this request, which waited for its turn, was sent.
    Sent(u32),
    /// The exchange ended early.
    Cancelled(u32, Cancelled),
    /// A ping with this payload, which has been answered; see
    /// [`Session::reporting_pings`](super::Session::reporting_pings).
    Ping(Bytes),
    /// A pong with this payload.
    Pong(Bytes),
    /// The peer accepts no new requests.
    Draining,
    /// No more events follow, and all exchanges are over. The output may still be sent.
    Closed(Closed),
}

/// Why an exchange ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The peer cancelled it.
    There(CancelReason),
    /// The peer sent too many interim responses (1xx).
    Interim,
    /// The response is invalid, as described: only this exchange ends.
    Invalid(&'static str),
    /// A body is not UTF-8, and the text dialect carries nothing else.
    NotText,
    /// A head is longer than [`HEAD_MAX_BYTES`](crate::mux::frame::HEAD_MAX_BYTES), or a request
    /// longer than [`TEXT_MAX_BYTES`](super::TEXT_MAX_BYTES), which the text dialect sends as one
    /// message.
    TooLarge,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The peer closed it, with this code and reason.
    There(u16, String),
    /// This end closed it first.
    Here,
    /// The peer violated the protocol, and was sent a close frame.
    Broken(String),
    /// The peer was silent for too long, or did not finish the handshake.
    Silent,
    /// The peer's connection ended without a close frame.
    Lost,
}

impl Event {
    /// Returns the exchange that the event belongs to.
    pub(super) fn number(&self) -> Option<u32> {
        match self {
            Self::Request { number, .. }
            | Self::Response { number, .. }
            | Self::Body { number, .. }
            | Self::Room(number)
            | Self::Sent(number)
            | Self::Cancelled(number, _) => Some(*number),
            Self::Introduced(_)
            | Self::Open(_)
            | Self::Ping(_)
            | Self::Pong(_)
            | Self::Draining
            | Self::Closed(_) => None,
        }
    }
}
