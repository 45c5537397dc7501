//! Why a request head is refused: one flat value with the status, name and message of the response.
//! It contains none of the refused bytes, so it is safe to log.

use std::error::Error;
use std::fmt;

/// A refused request head. The connection closes after the response, because the start of the next
/// request is unknown (RFC 9112, section 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reject {
    /// More empty lines before the request line than are skipped (RFC 9112, section 2.2).
    TooManyEmptyLines,
    /// A line ends with LF alone, or a CR without LF (RFC 9112, section 2.2).
    LineEnding,
    /// The request line does not begin with a token and one space (RFC 9112, section 3).
    Method,
    /// The target is empty, or holds a byte that is invalid in a target (RFC 9112, 3.2).
    TargetBytes,
    /// The target has none of the four forms, or one invalid for its method (RFC 9112, 3.2).
    TargetForm,
    /// The target has an invalid authority, or one with user information (RFC 9110, 4.2.4).
    TargetAuthority,
    /// The target is longer than the limit.
    TargetTooLong,
    /// The request line does not end with `HTTP/` and a version (RFC 9112, section 2.3).
    Version,
    /// A well-formed version, neither 1.0 nor 1.1.
    VersionUnsupported,
    /// A field line whose name is not a token directly followed by a colon (RFC 9112, section 5.1).
    FieldName,
    /// A control byte in a field value (RFC 9110, section 5.5).
    FieldValue,
    /// More field lines than the limit.
    TooManyFields,
    /// The head is longer than the limit.
    HeadTooLong,
    /// HTTP/1.1 without a Host field (RFC 9112, section 3.2).
    HostMissing,
    /// More than one Host field (RFC 9112, section 3.2).
    HostRepeated,
    /// A Host that is not a host with an optional port (RFC 9110, section 7.2).
    HostInvalid,
    /// A Content-Length that is not a number below 2^63 (RFC 9110, section 8.6).
    LengthInvalid,
    /// Two lengths that differ (RFC 9112, section 6.3).
    LengthsDiffer,
    /// Both Content-Length and Transfer-Encoding (RFC 9112, section 6.3).
    LengthAndCoding,
    /// Transfer-Encoding in HTTP/1.0 (RFC 9112, section 6.1).
    CodingInHttp10,
    /// A Transfer-Encoding that does not end with exactly one `chunked` (RFC 9112, section 6.3).
    CodingInvalid,
    /// A coding besides `chunked` (RFC 9112, section 6.1).
    CodingUnsupported,
}

impl Reject {
    /// Returns the status code of the response.
    pub const fn status(self) -> u16 {
        match self {
            Self::TooManyEmptyLines
            | Self::LineEnding
            | Self::Method
            | Self::TargetBytes
            | Self::TargetForm
            | Self::TargetAuthority
            | Self::Version
            | Self::FieldName
            | Self::FieldValue
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::LengthInvalid
            | Self::LengthsDiffer
            | Self::LengthAndCoding
            | Self::CodingInHttp10
            | Self::CodingInvalid => 400,
            Self::TargetTooLong => 414,
            Self::TooManyFields | Self::HeadTooLong => 431,
            Self::CodingUnsupported => 501,
            Self::VersionUnsupported => 505,
        }
    }

    /// Returns the `name` of the error body.
    pub const fn name(self) -> &'static str {
        match self.status() {
            414 => "UriTooLongError",
            431 => "HeaderFieldsTooLargeError",
            501 => "NotImplementedError",
            505 => "HttpVersionNotSupportedError",
            _ => "BadRequestError",
        }
    }

    /// Returns the `message` of the error body: what is wrong, and what to do.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooManyEmptyLines => "Too many empty lines before the request line; send none",
            Self::LineEnding => "A line does not end with CR LF; end every line with both",
            Self::Method => "The request line must begin with a method and one space",
            Self::TargetBytes => {
                "The request target is empty or holds a byte that is not allowed; percent-encode it"
            }
            Self::TargetForm => {
                "The request target does not fit its method; send a path that begins with '/'"
            }
            Self::TargetAuthority => {
                "The request target needs a valid host (and a port for CONNECT), no user name"
            }
            Self::TargetTooLong => "The request target is too long; shorten the path or the query",
            Self::Version => "The request line must end with one space and HTTP/1.1 or HTTP/1.0",
            Self::VersionUnsupported => "This HTTP version is not supported; use HTTP/1.1",
            Self::FieldName => {
                "A header line is not a name and a colon; send no spaces in or before the name"
            }
            Self::FieldValue => "A header value holds a control character; remove it",
            Self::TooManyFields => "Too many header fields; send fewer",
            Self::HeadTooLong => "The request head is too large; send fewer or shorter headers",
            Self::HostMissing => "HTTP/1.1 needs a Host header; add one",
            Self::HostRepeated => "More than one Host header; send exactly one",
            Self::HostInvalid => "The Host header is not a host with an optional port; correct it",
            Self::LengthInvalid => "Content-Length is not a decimal number below 2^63; correct it",
            Self::LengthsDiffer => "Several Content-Length values that differ; send exactly one",
            Self::LengthAndCoding => {
                "Both Content-Length and Transfer-Encoding; send only one of them"
            }
            Self::CodingInHttp10 => {
                "Transfer-Encoding is not part of HTTP/1.0; send Content-Length or use HTTP/1.1"
            }
            Self::CodingInvalid => {
                "Transfer-Encoding must end with exactly one chunked; send it alone"
            }
            Self::CodingUnsupported => {
                "Only the transfer coding chunked is supported; send it alone"
            }
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for Reject {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_name() {
        for (reject, status, name) in [
            (Reject::FieldName, 400, "BadRequestError"),
            (Reject::TargetTooLong, 414, "UriTooLongError"),
            (Reject::HeadTooLong, 431, "HeaderFieldsTooLargeError"),
            (Reject::TooManyFields, 431, "HeaderFieldsTooLargeError"),
            (Reject::CodingUnsupported, 501, "NotImplementedError"),
            (Reject::VersionUnsupported, 505, "HttpVersionNotSupportedError"),
        ] {
            assert_eq!((reject.status(), reject.name()), (status, name), "{reject:?}");
            assert_eq!(reject.to_string(), reject.message());
        }
    }
}
