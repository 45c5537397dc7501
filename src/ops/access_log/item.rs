//! One value of a line: the common part of verbs in text lines and types of JSON fields.

use super::entry::{Capture, Entry, StreamEnd};
use super::layout::Layout;
use super::shorten::shown;
use crate::rendezvous::Side;
use jiff::tz::TimeZone;
use std::io::Write as _;
use std::time::Duration;

/// A value of a line.
#[derive(Clone, Debug)]
pub enum Item {
    /// Fixed text.
    Literal(Box<str>),
    /// Body bytes sent.
    Bytes {
        /// Whether zero is written as `0`, not `-`.
        zero: bool,
    },
    /// How long the request took.
    Elapsed(Unit),
    /// Address and port of the client.
    Remote,
    /// Address of the client without the port.
    Address,
    /// A header field, by its name; its index is set once the complete format is known.
    Header {
        /// The name as the operator wrote it.
        name: Box<str>,
        /// The index among the captured names.
        place: usize,
    },
    /// The method.
    Method,
    /// The query.
    Query {
        /// Whether its question mark is written: `?a=b`, not `a=b`.
        marked: bool,
    },
    /// Method, target and version.
    RequestLine,
    /// The status.
    Status {
        /// Whether a client that disconnected before the response has status 499, not `-`.
        numeric: bool,
    },
    /// When the request was received.
    Received(Layout),
    /// The user of the client's machine (RFC 1413): always unknown.
    Ident,
    /// The name of the request's token.
    User,
    /// The path.
    Path,
    /// Another value known to the relay.
    Context(Key),
    /// The configured name of this relay.
    InstanceId,
}

/// The unit of a duration, which is rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
}

/// A value beyond the request and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The id of the request.
    RequestId,
    /// The stream it concerned.
    Stream,
    /// The side it requested.
    Side,
    /// The final state of its stream.
    Outcome,
    /// Body bytes relayed by the stream.
    BytesTransferred,
    /// How long the stream's first side waited.
    WaitMs,
    /// How long the transfer took.
    TransferMs,
    /// The version of TLS of its client, here or at a proxy.
    TlsVersion,
    /// The subject of the client's certificate; from a proxy, its common name.
    TlsClient,
}

/// All keys by name.
pub const KEYS: [(&str, Key); 9] = [
    ("request_id", Key::RequestId),
    ("stream", Key::Stream),
    ("side", Key::Side),
    ("outcome", Key::Outcome),
    ("bytes_transferred", Key::BytesTransferred),
    ("wait_ms", Key::WaitMs),
    ("transfer_ms", Key::TransferMs),
    ("tls_version", Key::TlsVersion),
    ("tls_client", Key::TlsClient),
];

/// The status that nginx logs if the client disconnected before the response; parsers of access logs
/// refuse a line without a number.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Everything that values depend on besides the request.
#[derive(Clone, Debug)]
pub struct LogContext {
    /// The time zone of the log.
    pub zone: TimeZone,
    /// The configured name of this relay.
    pub instance_id: Box<str>,
    /// Whether stream identifiers are written in full.
    pub full_ids: bool,
}

impl Key {
    /// Returns the key with this name.
    ///
    /// # Errors
    /// One line that lists all keys.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = KEYS.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
        found.ok_or_else(|| {
            let names: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
            format!("no value is called '{name}'; there are {}", names.join(", "))
        })
    }
}

impl Item {
    /// Appends the unescaped value; returns whether one exists.
    pub fn write(&self, entry: &Entry<'_>, around: &LogContext, out: &mut Vec<u8>) -> bool {
        let bytes = match self {
            Self::Literal(text) => Some(text.as_bytes()),
            Self::InstanceId => Some(around.instance_id.as_bytes()).filter(|id| !id.is_empty()),
            Self::Header { place, .. } => entry.request.and_then(|head| head.header(*place)),
            Self::Method => entry.request.map(Capture::method),
            Self::Query { marked } => {
                let query = entry.request.map_or(&b""[..], |head| head.query());
                Some(if *marked { query } else { query.strip_prefix(b"?").unwrap_or(query) })
            }
            Self::RequestLine => entry.request.map(Capture::line),
            Self::Path => entry.request.map(Capture::path),
            Self::Ident => None,
            Self::User => entry.token.map(str::as_bytes),
            Self::Bytes { zero } => return number(Some(entry.body_bytes), *zero, out),
            Self::Elapsed(unit) => return number(Some(in_units(entry.elapsed, *unit)), true, out),
            Self::Remote => return write!(out, "{}", entry.peer).is_ok(),
            Self::Address => return write!(out, "{}", entry.peer.ip().to_canonical()).is_ok(),
            Self::Status { numeric } => {
                let status = entry.status.or(numeric.then_some(CLIENT_CLOSED_REQUEST));
                return number(status.map(u64::from), true, out);
            }
            Self::Received(layout) => {
                layout.write(entry.received_ms, &around.zone, out);
                return true;
            }
            Self::Context(key) => return key.write(entry, around, out),
        };
        out.extend_from_slice(bytes.unwrap_or_default());
        bytes.is_some()
    }

    /// Whether an unknown value is written as an empty string in JSON instead of a hyphen.
    pub fn may_be_empty(&self) -> bool {
        matches!(self, Self::Header { .. } | Self::Context(_) | Self::InstanceId)
    }
}

impl Key {
    fn write(self, entry: &Entry<'_>, around: &LogContext, out: &mut Vec<u8>) -> bool {
        let ended: Option<StreamEnd> = entry.stream.and_then(|part| part.ended);
        let ms = |span: Duration| in_units(span, Unit::Milliseconds);
        let text = match self {
            Self::RequestId => entry.request_id,
            Self::TlsVersion => entry.tls_version,
            Self::TlsClient => entry.tls_client,
            Self::Side => entry.stream.and_then(|part| part.side).map(Side::name),
            Self::Outcome => ended.map(|ended| ended.outcome.name()),
            Self::Stream => {
                let Some(part) = entry.stream else { return false };
                return stream_id(part.stream, around.full_ids, out);
            }
            Self::BytesTransferred => {
                return number(ended.map(|ended| ended.bytes_transferred), true, out);
            }
            Self::WaitMs => return number(ended.and_then(|ended| ended.waited).map(ms), true, out),
            Self::TransferMs => {
                return number(ended.and_then(|ended| ended.transferred_in).map(ms), true, out);
            }
        };
        out.extend_from_slice(text.unwrap_or_default().as_bytes());
        text.is_some()
    }
}

/// Appends a stream identifier, shortened unless `full`.
pub fn stream_id(stream: uuid::Uuid, full: bool, out: &mut Vec<u8>) -> bool {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = stream.hyphenated().encode_lower(&mut text);
    out.extend_from_slice(if full { text } else { &text[..shown(text.as_bytes())] }.as_bytes());
    true
}

/// Converts a duration to units, rounded down.
pub fn in_units(span: Duration, unit: Unit) -> u64 {
    let units = match unit {
        Unit::Seconds => u128::from(span.as_secs()),
        Unit::Milliseconds => span.as_millis(),
        Unit::Microseconds => span.as_micros(),
    };
    u64::try_from(units).unwrap_or(u64::MAX)
}

fn number(number: Option<u64>, zero: bool, out: &mut Vec<u8>) -> bool {
    number
        .filter(|&number| zero || number > 0)
        .is_some_and(|number| write!(out, "{number}").is_ok())
}
