//! HTTP/1.x messages: bytes to values and back, strictly by RFC 9110 and RFC 9112. PURE: no socket,
//! no clock.

pub mod answer;
pub mod answer_reader;
pub mod body;
pub mod chunked;
pub mod content_type;
pub mod date;
pub mod digest;
pub mod disposition;
pub mod fields;
pub mod first_part;
pub mod forwarded;
pub mod framing;
pub mod head;
pub mod hop;
pub mod host;
pub mod identity;
pub mod multipart;
pub mod negotiate;
pub mod origin;
pub mod range;
pub mod reject;
pub mod repr_digest;
pub mod response;
pub mod sse;
pub mod target;
