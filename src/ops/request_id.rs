//! Request ids: taken from the client if valid, otherwise generated here. An id distinguishes the
//! log lines and responses of one request from others; it grants nothing.

use super::random_ids::RandomIds;
use crate::http::fields::{Fields, is_token};
use crate::http::identity::is_request_id;
use clap::{ArgAction, Args, ValueEnum};
use std::io;

/// Bytes of an id before it is encoded as text.
const ID_BYTES: usize = 16;

/// The settings of request ids.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Request ids")]
pub struct RequestIdSettings {
    /// Request identifiers, in responses and in the access log
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub request_id: bool,

    /// Encoding of new request identifiers: a UUID (version 4) with hyphens, or its bytes
    #[arg(long, value_name = "FORM", default_value = "rfc4122", ignore_case = true)]
    pub request_id_encoding: Encoding,

    /// Header field of request identifiers, in requests and responses
    #[arg(long, value_name = "NAME", default_value = "X-Request-Id", value_parser = header_name)]
    pub request_id_header: String,

    /// Refuse a request with an invalid identifier with 400, instead of replacing it
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub request_id_strict: bool,
}

/// How 16 random bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// 36 characters, `0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0` (RFC 9562, once RFC 4122).
    Rfc4122,
    /// 26 characters (RFC 4648, section 6), without padding.
    Base32,
    /// 22 characters (RFC 4648, section 5: safe in URLs), without padding.
    Base64,
}

/// Fields that frame the message or name its parties cannot be chosen.
const TAKEN: [&str; 20] = [
    "Allow",
    "Cache-Control",
    "Connection",
    "Content-Disposition",
    "Content-Length",
    "Content-Security-Policy",
    "Content-Type",
    "Date",
    "Expect",
    "Host",
    "Keep-Alive",
    "Location",
    "Rdv-Error",
    "Retry-After",
    "TE",
    "Transfer-Encoding",
    "Upgrade",
    "X-Accel-Buffering",
    "X-Content-Type-Options",
    "X-Robots-Tag",
];

fn header_name(text: &str) -> Result<String, String> {
    if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(text)) {
        return Err(format!("{text} has another meaning; choose a name such as X-Request-Id"));
    }
    let valid = is_token(text.as_bytes()).then(|| text.to_owned());
    valid.ok_or_else(|| "expected the name of a header, such as X-Request-Id".into())
}

/// The client's own id is invalid or repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRequestId;

/// The source of ids.
#[derive(Debug)]
pub struct RequestIds {
    header: Box<str>,
    encoding: Encoding,
    strict: bool,
    random: RandomIds,
}

impl RequestIds {
    /// Creates a source of ids, if they are enabled.
    ///
    /// # Errors
    /// If the kernel provides no random bytes.
    pub fn new(settings: &RequestIdSettings) -> io::Result<Option<Self>> {
        if !settings.request_id {
            return Ok(None);
        }
        Ok(Some(Self {
            header: settings.request_id_header.as_str().into(),
            encoding: settings.request_id_encoding,
            strict: settings.request_id_strict,
            random: RandomIds::new()?,
        }))
    }

    /// Returns the name of the header with the id.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// Returns the id of a request with these fields; without one, that of its connection.
    ///
    /// # Errors
    /// [`InvalidRequestId`] if the request's own id must not be used and strict mode is on.
    pub fn of(
        &mut self,
        fields: Fields<'_, '_>,
        connection: Option<&[u8]>,
    ) -> Result<Option<Box<str>>, InvalidRequestId> {
        let (first, repeated) = {
            let mut given = fields.all(&self.header);
            (given.next(), given.next().is_some())
        };
        match first.or(connection.filter(|id| is_request_id(id))) {
            Some(value) if !repeated && is_request_id(value) => {
                Ok(Some(String::from_utf8_lossy(value).into()))
            }
            Some(_) if self.strict => Err(InvalidRequestId),
            Some(_) | None => Ok(self.make()),
        }
    }

    /// Generates an id; `None`: the kernel provides no random bytes, and the request is served
    /// without one.
    pub fn make(&mut self) -> Option<Box<str>> {
        let id = self.random.make().ok()?;
        Some(encode(id.as_bytes(), self.encoding).into())
    }
}

fn encode(bytes: &[u8; ID_BYTES], encoding: Encoding) -> String {
    match encoding {
        Encoding::Rfc4122 => uuid::Uuid::from_bytes(*bytes).hyphenated().to_string(),
        Encoding::Base32 => digits(bytes, 5, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        Encoding::Base64 => {
            digits(bytes, 6, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        }
    }
}

/// Encodes groups of `bits` bits, from the first on; the last group is padded with zeros.
fn digits(bytes: &[u8; ID_BYTES], bits: u32, alphabet: &[u8]) -> String {
    let number = u128::from_be_bytes(*bytes);
    let digit = |at: u32| {
        let above = at * bits;
        let shifted = (number << above) >> (u128::BITS - bits);
        char::from(alphabet[shifted as usize & (alphabet.len() - 1)])
    };
    (0..u128::BITS.div_ceil(bits)).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse};

    fn ids(encoding: Encoding, strict: bool) -> RequestIds {
        let settings = RequestIdSettings {
            request_id: true,
            request_id_encoding: encoding,
            request_id_header: "X-Request-Id".into(),
            request_id_strict: strict,
        };
        RequestIds::new(&settings).unwrap().unwrap()
    }

    fn id_of(ids: &mut RequestIds, fields: &str) -> Result<String, InvalidRequestId> {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let limits = HeadLimits { bytes: 4096, target_bytes: 2048 };
        let mut slots = FieldSlots::new();
        let head = parse(head.as_bytes(), &mut slots, &limits).unwrap().unwrap();
        ids.of(head.fields, None).map(|id| id.unwrap().into())
    }

    #[test]
    fn sixteen_bytes_are_written_in_each_encoding() {
        let bytes: [u8; 16] = std::array::from_fn(|at| u8::try_from(at * 17).unwrap());
        for (encoding, expected) in [
            (Encoding::Rfc4122, "00112233-4455-6677-8899-aabbccddeeff"),
            (Encoding::Base32, "AAISEM2EKVTHPCEZVK54ZXPO74"),
            (Encoding::Base64, "ABEiM0RVZneImaq7zN3u_w"),
        ] {
            assert_eq!(encode(&bytes, encoding), expected);
        }
    }

    #[test]
    fn an_id_is_kept_only_if_valid_and_single() {
        for (name, fields, taken) in [
            ("plain", "X-Request-Id: abc-1\r\n", Some("abc-1")),
            ("in any case", "x-request-id: abc-1\r\n", Some("abc-1")),
            ("with a comma", "X-Request-Id: a,b\r\n", None),
            ("empty", "X-Request-Id:\r\n", None),
            ("twice", "X-Request-Id: a\r\nX-Request-Id: a\r\n", None),
        ] {
            let lenient = id_of(&mut ids(Encoding::Base64, false), fields).unwrap();
            let strict = id_of(&mut ids(Encoding::Base64, true), fields);
            match taken {
                Some(id) => {
                    assert_eq!((lenient.as_str(), strict.as_deref()), (id, Ok(id)), "{name}");
                }
                None => assert_eq!((lenient.len(), strict), (22, Err(InvalidRequestId)), "{name}"),
            }
        }
        assert!(id_of(&mut ids(Encoding::Base32, true), "").is_ok(), "none is no wrong one");
    }
}
