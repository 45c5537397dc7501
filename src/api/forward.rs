//! Forwarding of heads from one hop to the next: of the client's request to the agent, and of the
//! agent's response to the client. Hop-by-hop fields are removed (RFC 9110, section 7.6.1), the
//! body is reframed, and all other fields pass unchanged, in their order and case.

mod origin;
mod request;
mod response;
mod upgrade;

pub use origin::Origin;
pub use request::{BodyCarrier, Forwarding, correlation_id, request};
pub use response::{AnswerBody, ResponseContext, answer_framing, response};
pub use upgrade::Upgrade;

/// The field that links a response to its request.
const CORRELATION_ID: &str = "X-Correlation-Id";

/// Longest accepted value of [`CORRELATION_ID`], in bytes.
const CORRELATION_ID_MAX_BYTES: usize = 128;

/// Returns the correlation id if the field is present exactly once and plain: 1 to 128 bytes of
/// visible ASCII.
fn sole_correlation_id<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v str> {
    let value = values.next().filter(|value| (1..=CORRELATION_ID_MAX_BYTES).contains(&value.len()));
    let plain = value.filter(|value| value.iter().all(u8::is_ascii_graphic))?;
    if values.next().is_some() { None } else { str::from_utf8(plain).ok() }
}
