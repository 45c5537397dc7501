//! What a connection tells whoever drives it, and how it ends.

use crate::mux::frame::CancelReason;
use crate::mux::handshake::{Metadata, Welcome};
use tungstenite::Bytes;

/// Close codes (RFC 6455, section 7.4.1, and the range for private use).
pub mod close {
    /// All is done.
    pub const NORMAL: u16 = 1000;
    /// This end goes away; another try reaches its successor.
    pub const GOING_AWAY: u16 = 1001;
    /// A message that the protocol does not have.
    pub const PROTOCOL: u16 = 1002;
    /// What was asked for is not allowed; the reason says why.
    pub const POLICY: u16 = 1008;
    /// This end failed.
    pub const FAILED: u16 = 1011;
    /// This end has no room now; another try may find some.
    pub const BUSY: u16 = 1013;
    /// Another connection has taken over its name.
    pub const REPLACED: u16 = 4001;
    /// The name is somebody else's.
    pub const NAME_TAKEN: u16 = 4009;
}

/// What happened.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Who dialled says what it is. The answer is [`Session::welcome`](super::Session::welcome) or [`Session::close`](super::Session::close).
    Introduced(Metadata),
    /// The handshake is complete; who dialled is told its connection.
    Open(Option<Welcome>),
    /// The other end asks.
    Request {
        /// Names the exchange from now on.
        number: u32,
        /// Request line, fields and empty line.
        head: Bytes,
        /// There is no body.
        over: bool,
    },
    /// The other end answers.
    Response {
        /// Which request.
        number: u32,
        /// Status line, fields and empty line.
        head: Bytes,
        /// There is no body.
        over: bool,
    },
    /// The next bytes of the other end's body. What was made of them is to be told with
    /// [`Session::used`](super::Session::used).
    Body {
        /// Of which exchange.
        number: u32,
        /// Without framing.
        bytes: Bytes,
        /// They are the last ones.
        over: bool,
    },
    /// More can be sent of this exchange than before.
    Room(u32),
    /// The exchange is over before its end.
    Cancelled(u32, Cancelled),
    /// The other end wants no new requests.
    Draining,
    /// No more will come, and all exchanges are over. What is in the output may still be sent.
    Closed(Closed),
}

/// Why an exchange ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The other end says so.
    There(CancelReason),
    /// The other end sent more interim responses (1xx) than it may.
    Interim,
    /// A body is not UTF-8, and the text dialect has nothing else.
    NotText,
    /// A head has more than [`HEAD_MAX_BYTES`](crate::mux::frame::HEAD_MAX_BYTES), or a request more
    /// than [`TEXT_MAX_BYTES`](super::TEXT_MAX_BYTES), which the text dialect sends as one message.
    TooLarge,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The other end said so, with this code and reason.
    There(u16, String),
    /// This end said so before.
    Here,
    /// The other end broke the protocol, and was told so.
    Broken(String),
    /// The other end was silent for too long, or did not finish the handshake.
    Silent,
    /// The other end's connection ended without a word.
    Lost,
}

impl Event {
    /// The exchange it is about.
    pub(super) fn number(&self) -> Option<u32> {
        match self {
            Self::Request { number, .. }
            | Self::Response { number, .. }
            | Self::Body { number, .. }
            | Self::Room(number)
            | Self::Cancelled(number, _) => Some(*number),
            Self::Introduced(_) | Self::Open(_) | Self::Draining | Self::Closed(_) => None,
        }
    }
}
