//! The head of an agent's response on its way to the client.

use super::{CORRELATION_ID, Origin, Upgrade, sole_correlation_id};
use crate::api::Failure;
use crate::http::answer::{AnswerError, AnswerFraming, AnswerHead};
use crate::http::date::HttpDate;
use crate::http::fields::{is_field_value, is_token};
use crate::http::framing::Framing;
use crate::http::head::{Method, Version};
use crate::http::hop::{HopByHop, commands_proxy};
use crate::http::response::HeadWriter;
use crate::rendezvous::transfer::Delimiter;

/// Where the body of an agent's response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerBody {
    /// With the head.
    Absent {
        /// The length it would have had, in bytes (RFC 9110, section 8.6).
        length: Option<u64>,
    },
    /// After this many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection, or with the frames that carry it.
    UntilClose,
    /// There is none: another protocol follows the head (101).
    Upgraded,
}

impl AnswerBody {
    /// Returns the delimiter for a client of this version; `None` if there is no body.
    pub fn delimiter(self, version: Version) -> Option<Delimiter> {
        match (self, version) {
            (Self::Absent { .. }, _) => None,
            (Self::Length(_), _) => Some(Delimiter::Length),
            (Self::Chunked | Self::UntilClose, Version::Http11) => Some(Delimiter::Chunks),
            (Self::Chunked | Self::UntilClose, Version::Http10) | (Self::Upgraded, _) => {
                Some(Delimiter::Close)
            }
        }
    }
}

/// The policy of responses in the relay's own origin (CSP 3, section 6.3.3): a page runs in an origin
/// of its own, and so cannot act as one of the relay or of another agent. Policies of the agent are
/// valid in addition.
const SANDBOX: &[u8] = b"sandbox allow-scripts allow-forms allow-popups allow-downloads";

/// Properties of a response besides its head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext<'r> {
    /// Where the body ends, by [`answer_framing`].
    pub body: AnswerBody,
    /// The client's HTTP version.
    pub version: Version,
    /// Whether the client's connection is kept open. Ignored where the body ends with the
    /// connection.
    pub keep_alive: bool,
    /// The current time, for a response without a `Date`.
    pub date: &'r HttpDate,
    /// The origin of the response: a policy separates it from the relay's.
    pub origin: Origin<'r>,
    /// The correlation id sent with the request.
    pub correlation_id: &'r str,
    /// The name and the value of the request id, if requests have one.
    pub request_id: Option<(&'r str, &'r str)>,
}

/// Returns where the body of a response to such a request ends (RFC 9112, section 6.3). `offered`: the
/// upgrade that the response may accept.
///
/// # Errors
/// [`Failure::AgentBroke`] if the end is ambiguous, or the response is not final (1xx).
pub fn answer_framing(
    answer: &AnswerHead,
    asked: Method,
    offered: Option<&Upgrade>,
) -> Result<AnswerBody, Failure> {
    if offered.is_some_and(|upgrade| upgrade.is_accepted_by(answer)) {
        return Ok(AnswerBody::Upgraded);
    }
    if answer.status == 101 {
        return Err(Failure::AgentBroke("it switches to a protocol that was not requested"));
    }
    if answer.is_interim() {
        return Err(Failure::AgentBroke("an interim response instead of the final one"));
    }
    let broke = |error: AnswerError| Failure::AgentBroke(error.message());
    if answer.status == 204 {
        return Ok(AnswerBody::Absent { length: None });
    }
    if asked == Method::Head || answer.status == 304 {
        return Ok(AnswerBody::Absent { length: answer.length().map_err(broke)? });
    }
    Ok(match answer.framing().map_err(broke)? {
        AnswerFraming::Framed(Framing::Length(bytes)) => AnswerBody::Length(bytes),
        AnswerFraming::Framed(Framing::Chunked) => AnswerBody::Chunked,
        AnswerFraming::UntilClose => AnswerBody::UntilClose,
    })
}

/// Appends the head of the response for the client. See docs/protocol.md for the forwarded fields.
pub fn response(answer: &AnswerHead, to: &ResponseContext<'_>, out: &mut Vec<u8>) {
    let date = sole_date(answer).unwrap_or(to.date.as_bytes());
    let mut writer = HeadWriter::dated(out, answer.status, date);
    if let Some((name, id)) = to.request_id {
        writer = writer.sole(name, id.as_bytes());
    }
    let own_id = sole_correlation_id(answer.all(CORRELATION_ID));
    let hop = HopByHop::new(answer.all("Connection"));
    for (name, value) in &answer.fields {
        let passes = relayed(name, own_id).unwrap_or_else(|| !hop.ends(name));
        let value = to.origin.passed(name, value).filter(|_| passes && is_token(name.as_bytes()));
        if let Some(value) = value {
            writer = writer.field(name, &value);
        }
    }
    if own_id.is_none() {
        writer = writer.field(CORRELATION_ID, to.correlation_id.as_bytes());
    }
    let delimiter = to.body.delimiter(to.version);
    if to.body == AnswerBody::Upgraded {
        let protocols: Vec<_> = answer.all("Upgrade").collect();
        writer = writer.field("Connection", b"Upgrade");
        return writer.field("Upgrade", &protocols.join(&b", "[..])).end();
    }
    if matches!(to.origin, Origin::Shared { .. }) {
        writer = writer.field("Content-Security-Policy", SANDBOX);
    }
    let keep_alive = to.keep_alive && delimiter != Some(Delimiter::Close);
    framed(writer, to.body, delimiter).connection(keep_alive, to.version).end();
}

/// Returns the agent's `Date` if it is present exactly once; of two, neither can be trusted.
fn sole_date(answer: &AnswerHead) -> Option<&[u8]> {
    let mut dates = answer.all("Date");
    let date = dates.next().filter(|date| !date.is_empty() && is_field_value(date));
    if dates.next().is_some() { None } else { date }
}

/// Whether the agent's field is kept, for fields that the relay controls; `Connection` has no
/// effect.
fn relayed(name: &str, own_id: Option<&str>) -> Option<bool> {
    if name.eq_ignore_ascii_case(CORRELATION_ID) {
        return Some(own_id.is_some());
    }
    if commands_proxy(name) {
        return Some(false);
    }
    let written = ["Content-Length", "Date"];
    written.iter().any(|written| written.eq_ignore_ascii_case(name)).then_some(false)
}

fn framed(
    writer: HeadWriter<'_>,
    body: AnswerBody,
    delimiter: Option<Delimiter>,
) -> HeadWriter<'_> {
    match (delimiter, body) {
        (Some(Delimiter::Chunks), _) => writer.chunked(),
        (_, AnswerBody::Length(bytes) | AnswerBody::Absent { length: Some(bytes) }) => {
            writer.content_length(bytes)
        }
        (
            _,
            AnswerBody::Absent { length: None }
            | AnswerBody::Chunked
            | AnswerBody::UntilClose
            | AnswerBody::Upgraded,
        ) => writer,
    }
}

#[cfg(test)]
mod tests;
