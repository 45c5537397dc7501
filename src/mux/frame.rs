//! The messages of `rdv.socket.v1` after the handshake, each one binary message of WebSocket:
//!
//! ```text
//! kind u8 | flags u8 | number u32, big endian | payload
//! ```
//!
//! The number identifies an exchange: one request and its response. The dialling end uses odd
//! numbers, the accepting end even ones, each in ascending order, so the two never collide. Flag 1
//! (END) marks the last message of a body.

use crate::http::head::FIELDS_MAX;
use std::fmt;
use tungstenite::Bytes;

/// Header size in bytes.
pub const HEADER_BYTES: usize = 6;

/// Maximum body bytes per message: small enough that messages of other exchanges are not delayed
/// for long, large enough that the header and mask cost little.
pub const DATA_MAX_BYTES: usize = 64 << 10;

/// Longest head of a request or response, in bytes.
pub const HEAD_MAX_BYTES: usize = 64 << 10;

/// Longest message, in bytes.
pub const MESSAGE_MAX_BYTES: usize = HEADER_BYTES + HEAD_MAX_BYTES;

/// Longest text of a cancellation reason, in bytes.
const REASON_MAX_BYTES: usize = 200;

/// Flag: the body ends with this message.
const END: u8 = 1;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The head of a request: request line, fields, empty line.
    Request {
        /// The exchange that begins.
        number: u32,
        /// As in HTTP/1.1, without `Transfer-Encoding`.
        head: Bytes,
        /// Whether there is no body.
        end: bool,
    },
    /// The head of a response: status line, fields, empty line.
    Response {
        /// The exchange it belongs to.
        number: u32,
        /// As in HTTP/1.1, without `Transfer-Encoding`.
        head: Bytes,
        /// Whether there is no body.
        end: bool,
    },
    /// The next bytes of a body: the request's if sent by the requester, else the response's.
    Data {
        /// The exchange they belong to.
        number: u32,
        /// At most [`DATA_MAX_BYTES`].
        bytes: Bytes,
        /// Whether these are the last ones.
        end: bool,
    },
    /// Allows the peer to send `bytes` more body bytes.
    Window {
        /// The exchange it applies to.
        number: u32,
        /// Number of additional bytes.
        bytes: u32,
    },
    /// Ends an exchange early; both ends forget it.
    Cancel {
        /// The exchange that ends.
        number: u32,
        /// Why.
        why: CancelReason,
    },
    /// No new requests: the sender closes the connection once the current exchanges are over.
    Drain,
}

/// Why an exchange was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// No error: the response is complete, and the rest of the request is not needed.
    Done,
    /// The requester or the responder disconnected.
    Gone,
    /// The exchange timed out.
    Late,
    /// The limit on concurrent exchanges is reached.
    Busy,
    /// The exchange failed, for this reason.
    Broke(String),
}

/// Why a message is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Shorter than its kind requires.
    Short,
    /// An unknown kind.
    Kind(u8),
    /// An undefined flag.
    Flags(u8),
    /// A length not valid for its kind.
    Length,
    /// A reason with an unknown code, or text that is too long or not UTF-8.
    Reason,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("a message that is too short"),
            Self::Kind(kind) => write!(f, "a message of unknown kind {kind}"),
            Self::Flags(flags) => write!(f, "a message with unknown flags {flags:#x}"),
            Self::Length => f.write_str("a message of the wrong length"),
            Self::Reason => f.write_str("a cancellation without a reason"),
        }
    }
}

impl std::error::Error for FrameError {}

impl CancelReason {
    fn code(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Gone => 1,
            Self::Late => 2,
            Self::Busy => 3,
            Self::Broke(_) => 4,
        }
    }

    fn parse(payload: &[u8]) -> Result<Self, FrameError> {
        let (code, text) = payload.split_first().ok_or(FrameError::Short)?;
        let text = str::from_utf8(text).map_err(|_| FrameError::Reason)?;
        match code {
            0 => Ok(Self::Done),
            1 => Ok(Self::Gone),
            2 => Ok(Self::Late),
            3 => Ok(Self::Busy),
            4 if text.len() <= REASON_MAX_BYTES => Ok(Self::Broke(text.to_owned())),
            _ => Err(FrameError::Reason),
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "the rest is not wanted",
            Self::Gone => "the peer disconnected",
            Self::Late => "it took too long",
            Self::Busy => "too many requests are being served",
            Self::Broke(reason) => reason,
        })
    }
}

impl Frame {
    /// Parses one message.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(message: &Bytes) -> Result<Self, FrameError> {
        let Some((header, payload)) = message.split_first_chunk::<HEADER_BYTES>() else {
            return Err(FrameError::Short);
        };
        let [kind, flags, number @ ..] = *header;
        let number = u32::from_be_bytes(number);
        if flags & !END != 0 || (flags & END != 0 && kind > 3) {
            return Err(FrameError::Flags(flags));
        }
        let end = flags & END != 0;
        let rest = || message.slice(HEADER_BYTES..);
        match kind {
            1 if payload.len() <= HEAD_MAX_BYTES => Ok(Self::Request { number, head: rest(), end }),
            2 if payload.len() <= HEAD_MAX_BYTES => {
                Ok(Self::Response { number, head: rest(), end })
            }
            3 if payload.len() <= DATA_MAX_BYTES => Ok(Self::Data { number, bytes: rest(), end }),
            4 => {
                let bytes = payload.try_into().map_err(|_| FrameError::Length)?;
                Ok(Self::Window { number, bytes: u32::from_be_bytes(bytes) })
            }
            5 => Ok(Self::Cancel { number, why: CancelReason::parse(payload)? }),
            6 if payload.is_empty() => Ok(Self::Drain),
            1..=3 | 6 => Err(FrameError::Length),
            other => Err(FrameError::Kind(other)),
        }
    }

    /// Serializes one message.
    pub fn to_message(&self) -> Vec<u8> {
        match self {
            Self::Request { number, head, end } => message(1, *end, *number, head),
            Self::Response { number, head, end } => message(2, *end, *number, head),
            Self::Data { number, bytes, end } => message(3, *end, *number, bytes),
            Self::Window { number, bytes } => message(4, false, *number, &bytes.to_be_bytes()),
            Self::Cancel { number, why } => {
                let mut payload = vec![why.code()];
                if let CancelReason::Broke(reason) = why {
                    let end = reason.floor_char_boundary(REASON_MAX_BYTES);
                    payload.extend_from_slice(&reason.as_bytes()[..end]);
                }
                message(5, false, *number, &payload)
            }
            Self::Drain => message(6, false, 0, &[]),
        }
    }
}

/// Whether the peer accepts this head after `bytes_added` and `fields_added`: a head has at most
/// [`HEAD_MAX_BYTES`], half of them in its first line, and [`FIELDS_MAX`] fields.
pub fn head_fits(head: &[u8], (bytes_added, fields_added): (usize, usize)) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n');
    let first_line = lines.next().map_or(0, <[u8]>::len);
    // The empty line and the text after the final line end are not fields.
    let fields = lines.count().saturating_sub(2);
    head.len() + bytes_added <= HEAD_MAX_BYTES
        && first_line <= HEAD_MAX_BYTES / 2
        && fields + fields_added <= FIELDS_MAX
}

/// Returns a message of body bytes from another buffer: they are copied once.
pub fn data(number: u32, bytes: &[u8], end: bool) -> Vec<u8> {
    message(3, end, number, bytes)
}

fn message(kind: u8, end: bool, number: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + payload.len());
    message.extend_from_slice(&[kind, u8::from(end)]);
    message.extend_from_slice(&number.to_be_bytes());
    message.extend_from_slice(payload);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_frame_is_read_back() {
        let head = Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n");
        let bytes = Bytes::from(vec![7; DATA_MAX_BYTES]);
        for frame in [
            Frame::Request { number: 1, head: head.clone(), end: true },
            Frame::Response { number: u32::MAX, head, end: false },
            Frame::Data { number: 2, bytes, end: true },
            Frame::Data { number: 2, bytes: Bytes::new(), end: true },
            Frame::Window { number: 3, bytes: u32::MAX },
            Frame::Cancel { number: 4, why: CancelReason::Done },
            Frame::Cancel { number: 4, why: CancelReason::Gone },
            Frame::Cancel { number: 4, why: CancelReason::Late },
            Frame::Cancel { number: 4, why: CancelReason::Busy },
            Frame::Cancel { number: 4, why: CancelReason::Broke("für nichts".into()) },
            Frame::Drain,
        ] {
            assert_eq!(Frame::parse(&frame.to_message().into()), Ok(frame));
        }
    }

    #[test]
    fn a_long_reason_is_truncated_at_a_character_boundary() {
        let why = CancelReason::Broke("ü".repeat(150));
        let message = Frame::Cancel { number: 1, why }.to_message();
        let cut = Frame::Cancel { number: 1, why: CancelReason::Broke("ü".repeat(100)) };
        assert_eq!(Frame::parse(&message.into()), Ok(cut));
    }

    #[test]
    fn heads_fit_up_to_their_bytes_and_fields() {
        let head = |fields: usize, bytes: usize| {
            let head = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(fields - 1));
            let rest = bytes - head.len() - "C: \r\n\r\n".len();
            format!("{head}C: {}\r\n\r\n", "x".repeat(rest)).into_bytes()
        };
        for (name, head, added, fits) in [
            ("the longest", head(2, HEAD_MAX_BYTES), (0, 0), true),
            ("longer", head(2, HEAD_MAX_BYTES + 1), (0, 0), false),
            ("with more", head(2, HEAD_MAX_BYTES - 9), (10, 0), false),
            ("most fields", head(FIELDS_MAX, 1000), (0, 0), true),
            ("more fields", head(FIELDS_MAX + 1, 1000), (0, 0), false),
            ("with another", head(FIELDS_MAX, 1000), (0, 1), false),
            (
                "a long target",
                [vec![b'a'; HEAD_MAX_BYTES / 2 + 1], head(2, 99)].concat(),
                (0, 0),
                false,
            ),
        ] {
            assert_eq!(head_fits(&head, added), fits, "{name}");
        }
    }

    #[test]
    fn an_invalid_message_is_refused() {
        for (name, message, error) in [
            ("nothing", &[][..], FrameError::Short),
            ("a cut header", &[1, 0, 0, 0, 0], FrameError::Short),
            ("kind 0", &[0, 0, 0, 0, 0, 1], FrameError::Kind(0)),
            ("kind 7", &[7, 0, 0, 0, 0, 1], FrameError::Kind(7)),
            ("an unknown flag", &[3, 2, 0, 0, 0, 1], FrameError::Flags(2)),
            ("an end that is none", &[4, 1, 0, 0, 0, 1, 0, 0, 0, 1], FrameError::Flags(1)),
            ("a short window", &[4, 0, 0, 0, 0, 1, 0, 0, 1], FrameError::Length),
            ("a drain with more", &[6, 0, 0, 0, 0, 0, 1], FrameError::Length),
            ("no reason", &[5, 0, 0, 0, 0, 1], FrameError::Short),
            ("an unknown reason", &[5, 0, 0, 0, 0, 1, 9], FrameError::Reason),
            ("a reason in Latin 1", &[5, 0, 0, 0, 0, 1, 4, 0xfc], FrameError::Reason),
        ] {
            assert_eq!(Frame::parse(&message.to_vec().into()), Err(error), "{name}");
        }
        let long = data(1, &vec![0; DATA_MAX_BYTES + 1], false);
        assert_eq!(Frame::parse(&long.into()), Err(FrameError::Length));
    }
}
