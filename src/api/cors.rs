//! Responses to web pages of other origins (Fetch Standard, section 3.2): which pages may read
//! them, and the fields that permit it. Never with credentials: the relay has none.

use super::access::AllowedOrigin;
use crate::http::fields::{is_token, members, split_field};
use crate::http::head::{Method, RequestHead};
use crate::http::origin::Origin;
use crate::http::response::HeadWriter;

/// The field that permits pages of an origin to read a response.
pub const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";

/// Fields of responses that pages can read besides the safelisted ones: those of the relay, and
/// with `*` also the request id and what the creator of a stream added.
const EXPOSED: &[u8] =
    b"Location, Rdv-Error, Retry-After, Allow, Content-Disposition, X-Correlation-Id, traceparent, *";

/// Time for which browsers keep the result of a preflight, in seconds; Chromium's maximum.
const MAX_AGE_S: &[u8] = b"7200";

/// Maximum bytes of the names of header fields that one preflight is permitted.
const HEADERS_MAX_BYTES: usize = 1024;

/// Whether pages of other origins can read the response to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// Never: no origin is allowed, or not for this route.
    #[default]
    Off,
    /// No page, but the response to another `Origin` would differ, which caches must know.
    Varies,
    /// Pages of any origin.
    Any,
    /// Pages of this origin, as received.
    One(Box<str>),
}

impl Cors {
    /// Returns what applies to a request with these values of `Origin`.
    pub fn of<'v>(mut values: impl Iterator<Item = &'v [u8]>, allowed: &[AllowedOrigin]) -> Self {
        if allowed.is_empty() {
            return Self::Off;
        }
        let (Some(value), None) = (values.next(), values.next()) else { return Self::Varies };
        if allowed.contains(&AllowedOrigin::Any) {
            return Self::Any;
        }
        let Ok(text) = str::from_utf8(value) else { return Self::Varies };
        match Origin::parse(text).map(AllowedOrigin::One) {
            Some(origin) if allowed.contains(&origin) => Self::One(text.into()),
            Some(_) | None => Self::Varies,
        }
    }

    /// Returns the same for a head that is incomplete or invalid, as far as it was received.
    pub fn of_received(received: &[u8], allowed: &[AllowedOrigin]) -> Self {
        let lines = received.split_inclusive(|&byte| byte == b'\n');
        let complete = lines.filter(|line| line.ends_with(b"\n")).map(<[u8]>::trim_ascii_end);
        let fields = complete.skip_while(|line| line.is_empty()).skip(1);
        let fields = fields.take_while(|line| !line.is_empty()).filter_map(split_field);
        let origins = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"Origin"));
        Self::of(origins.map(|(_, value)| value), allowed)
    }

    /// Whether a page can read the response.
    pub fn permits(&self) -> bool {
        match self {
            Self::Off | Self::Varies => false,
            Self::Any | Self::One(_) => true,
        }
    }

    /// Writes the fields of a response.
    // Most relays allow no other origin, and then it is a comparison.
    #[inline]
    pub fn fields<'o>(&self, head: HeadWriter<'o>) -> HeadWriter<'o> {
        let head = match self {
            Self::Off => return head,
            Self::Varies => return head.field("Vary", b"Origin"),
            Self::Any => head.field(ALLOW_ORIGIN, b"*"),
            Self::One(origin) => {
                head.field(ALLOW_ORIGIN, origin.as_bytes()).field("Vary", b"Origin")
            }
        };
        head.field("Access-Control-Expose-Headers", EXPOSED)
    }
}

/// A browser's request whether a page may send another one (Fetch Standard, section 3.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The names of the fields that the page would send; empty if they are invalid or too many.
    headers: Vec<u8>,
    /// The page is in a less private network than the relay (Private Network Access, section 3.1).
    private_network: bool,
}

impl Preflight {
    /// Returns the preflight, if a request is one.
    pub fn of(head: &RequestHead<'_, '_>) -> Option<Self> {
        let fields = head.fields;
        let asks = |name| fields.get(name).is_some();
        if head.method != Method::Options || !asks("Access-Control-Request-Method") {
            return None;
        }
        let names = fields.all("Access-Control-Request-Headers").flat_map(members);
        let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        let headers = names.join(&b", "[..]);
        let valid = headers.len() <= HEADERS_MAX_BYTES && names.iter().all(|name| is_token(name));
        let private_network =
            fields.get("Access-Control-Request-Private-Network") == Some(&b"true"[..]);
        Some(Self { headers: if valid { headers } else { Vec::new() }, private_network })
    }

    /// Writes the fields of its response, for a path with these methods.
    pub fn fields<'o>(&self, mut head: HeadWriter<'o>, methods: &str) -> HeadWriter<'o> {
        head = head.field("Access-Control-Allow-Methods", methods.as_bytes());
        if !self.headers.is_empty() {
            head = head.field("Access-Control-Allow-Headers", &self.headers);
        }
        if self.private_network {
            head = head.field("Access-Control-Allow-Private-Network", b"true");
        }
        head.field("Access-Control-Max-Age", MAX_AGE_S)
    }
}

#[cfg(test)]
mod tests;
