//! Extracts host, body framing and connection handling from the fields of a complete head, in one
//! pass.

use super::{Expect, Version};
use crate::http::fields::{Fields, members};
use crate::http::framing::FramingFields;
use crate::http::host::is_host_value;
use crate::http::reject::Reject;

/// The fields needed for every request, gathered in one pass.
pub(super) struct CommonFields {
    /// The framing declared by the length and coding fields.
    pub(super) claims: FramingFields,
    expect: Expect,
    has_host: bool,
    close: bool,
    keep_alive: bool,
}

impl CommonFields {
    /// Reads all fields. The length of a name distinguishes most of them without a comparison.
    pub(super) fn read(fields: Fields<'_, '_>) -> Result<Self, Reject> {
        let mut noted = Self {
            claims: FramingFields::default(),
            expect: Expect::None,
            has_host: false,
            close: false,
            keep_alive: false,
        };
        for (name, value) in fields.iter() {
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => noted.note_host(value)?,
                6 if name.eq_ignore_ascii_case("expect") => noted.note_expect(value),
                10 if name.eq_ignore_ascii_case("connection") => noted.note_connection(value),
                14 if name.eq_ignore_ascii_case("content-length") => {
                    noted.claims.note_length(value)?;
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    noted.claims.note_codings(value)?;
                }
                _ => {}
            }
        }
        Ok(noted)
    }

    fn note_host(&mut self, value: &[u8]) -> Result<(), Reject> {
        if std::mem::replace(&mut self.has_host, true) {
            return Err(Reject::HostRepeated);
        }
        if is_host_value(value) { Ok(()) } else { Err(Reject::HostInvalid) }
    }

    /// Adds an expectation. One unknown expectation outweighs any number of known ones.
    fn note_expect(&mut self, value: &[u8]) {
        for member in members(value).filter(|member| !member.is_empty()) {
            if !member.eq_ignore_ascii_case(b"100-continue") {
                self.expect = Expect::Unknown;
            } else if self.expect == Expect::None {
                self.expect = Expect::Continue;
            }
        }
    }

    fn note_connection(&mut self, value: &[u8]) {
        for member in members(value) {
            self.close |= member.eq_ignore_ascii_case(b"close");
            self.keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Checks that HTTP/1.1 has a `Host`; HTTP/1.0 does not require it (RFC 9112, section 3.2).
    pub(super) fn check_host(&self, version: Version) -> Result<(), Reject> {
        match version {
            Version::Http11 if !self.has_host => Err(Reject::HostMissing),
            Version::Http10 | Version::Http11 => Ok(()),
        }
    }

    /// Returns the expectation; HTTP/1.0 has none (RFC 9110, section 10.1.1).
    pub(super) fn expect(&self, version: Version) -> Expect {
        match version {
            Version::Http10 => Expect::None,
            Version::Http11 => self.expect,
        }
    }

    /// Whether the connection may serve a further request (RFC 9112, section 9.3).
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        match version {
            Version::Http10 => self.keep_alive && !self.close,
            Version::Http11 => !self.close,
        }
    }
}
