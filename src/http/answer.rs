//! Response heads as a client parses them (RFC 9112, sections 4 and 6.3): strict where a lenient
//! reading could mistake a truncated body for a complete one.

use super::fields::{members, trim};
use super::framing::{Framing, parse_length};
use super::head::{FIELDS_MAX, Version};
use std::fmt;

/// Longest accepted head, in bytes; most servers send less than 1 KiB.
pub const ANSWER_HEAD_MAX_BYTES: usize = 64 << 10;

/// The head of a response, copied out of the receive buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// The status code, three digits.
    pub status: u16,
    /// The version of the status line.
    pub version: Version,
    /// The fields, in the order of the wire: names as received, values trimmed.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The length of the head in the buffer, including its empty line, in bytes.
    pub len: usize,
}

/// Where the body of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFraming {
    /// At its length, or with its last chunk.
    Framed(Framing),
    /// With the connection.
    UntilClose,
}

/// Why a response is not valid HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The bytes are not an HTTP/1.x response head.
    NotHttp,
    /// The head is longer than [`ANSWER_HEAD_MAX_BYTES`] or has more than 100 fields.
    TooLarge,
    /// The connection ended within the head.
    Incomplete,
    /// There are more than 16 interim responses before the final one.
    Interim,
    /// `Content-Length` is not a number, or there are several that differ.
    Length,
    /// A transfer coding other than chunked, or one alongside a `Content-Length`.
    Coding,
}

impl AnswerError {
    /// Returns what is wrong, as one clause.
    pub fn message(self) -> &'static str {
        match self {
            Self::NotHttp => "not an HTTP/1.1 response",
            Self::TooLarge => "the head of the response is too large",
            Self::Incomplete => "the head of the response is incomplete",
            Self::Interim => "more than 16 interim responses",
            Self::Length => "the Content-Length of the response is not one number",
            Self::Coding => "the response is in a transfer coding other than chunked",
        }
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for AnswerError {}

impl AnswerHead {
    /// Parses the head at the start of `bytes`; `None` while it is incomplete.
    ///
    /// # Errors
    /// [`AnswerError::NotHttp`] and [`AnswerError::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, AnswerError> {
        let mut slots = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Response::new(&mut slots);
        let len = match head.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= ANSWER_HEAD_MAX_BYTES => len,
            Ok(httparse::Status::Partial) if bytes.len() < ANSWER_HEAD_MAX_BYTES => {
                return Ok(None);
            }
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(AnswerError::TooLarge),
            Err(_) => return Err(AnswerError::NotHttp),
        };
        let (Some(status @ 100..), Some(minor)) = (head.code, head.version) else {
            return Err(AnswerError::NotHttp);
        };
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let owned = |field: &httparse::Header<'_>| (field.name.into(), trim(field.value).into());
        Ok(Some(Self { status, version, fields: head.headers.iter().map(owned).collect(), len }))
    }

    /// Whether the response is interim and a final one follows (RFC 9110, section 15.2). `101` is
    /// not interim: it ends HTTP on the connection.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// Whether another request can follow on the connection (RFC 9112, section 9.3).
    pub fn keeps_alive(&self) -> bool {
        let close = self.lists("Connection", "close");
        match self.version {
            Version::Http11 => !close,
            Version::Http10 => self.lists("Connection", "keep-alive") && !close,
        }
    }

    /// Whether a list field of this name has this token as a member, in any case, on any of its
    /// lines (RFC 9110, sections 5.3 and 5.6.1).
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let mut members = self.all(name).flat_map(members);
        members.any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Returns the value of the first field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Returns the same as text, if it is visible ASCII with spaces.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.field(name).and_then(|value| str::from_utf8(value).ok())
    }

    /// Returns where the body ends, for a response to a method other than `HEAD` and `CONNECT`.
    ///
    /// # Errors
    /// [`AnswerError::Length`] and [`AnswerError::Coding`].
    pub fn framing(&self) -> Result<AnswerFraming, AnswerError> {
        let nothing = AnswerFraming::Framed(Framing::Length(0));
        if matches!(self.status, 100..=199 | 204 | 304) {
            return Ok(nothing);
        }
        let mut codings = self.all("Transfer-Encoding").flat_map(members);
        let length = self.length()?;
        match (codings.next(), codings.next(), length) {
            (None, _, None) => Ok(AnswerFraming::UntilClose),
            (None, _, Some(bytes)) => Ok(AnswerFraming::Framed(Framing::Length(bytes))),
            (Some(coding), None, None) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(AnswerFraming::Framed(Framing::Chunked))
            }
            (Some(_), _, _) => Err(AnswerError::Coding),
        }
    }

    /// Returns the values of all fields of this name, in the order of the wire.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let same = move |field: &&'a (String, Vec<u8>)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_slice())
    }

    /// Returns the `Content-Length` in bytes, whether or not a body follows.
    ///
    /// # Errors
    /// [`AnswerError::Length`].
    pub fn length(&self) -> Result<Option<u64>, AnswerError> {
        let mut length = None;
        for member in self.all("Content-Length").flat_map(members) {
            let bytes = parse_length(member).ok_or(AnswerError::Length)?;
            if length.is_some_and(|earlier| earlier != bytes) {
                return Err(AnswerError::Length);
            }
            length = Some(bytes);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> AnswerHead {
        AnswerHead::parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let text = "HTTP/1.1 404 Not Found\r\nA:  x \r\na: y\r\n\r\nbody";
        for cut in 0..text.len() - 4 {
            assert_eq!(AnswerHead::parse(&text.as_bytes()[..cut]), Ok(None), "{cut}");
        }
        let head = head(text);
        assert_eq!((head.status, head.version, head.len), (404, Version::Http11, text.len() - 4));
        assert_eq!((head.text("a"), head.field("b")), (Some("x"), None));
        assert_eq!(head.all("A").collect::<Vec<_>>(), [b"x", b"y"]);
    }

    #[test]
    fn an_invalid_response_is_refused() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(ANSWER_HEAD_MAX_BYTES));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        for (name, text, error) in [
            ("another protocol", "SSH-2.0-x\r\n\r\n", AnswerError::NotHttp),
            ("a request", "GET / HTTP/1.1\r\n\r\n", AnswerError::NotHttp),
            ("HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", AnswerError::NotHttp),
            ("a status of two digits", "HTTP/1.1 099 X\r\n\r\n", AnswerError::NotHttp),
            ("too long", &long, AnswerError::TooLarge),
            ("too many fields", &many, AnswerError::TooLarge),
        ] {
            assert_eq!(AnswerHead::parse(text.as_bytes()), Err(error), "{name}");
        }
    }

    #[test]
    fn only_1xx_except_101_is_interim() {
        for (status, interim) in [(100, true), (101, false), (103, true), (200, false)] {
            assert_eq!(head(&format!("HTTP/1.1 {status} X\r\n\r\n")).is_interim(), interim);
        }
    }

    #[test]
    fn the_end_of_a_body_is_never_guessed() {
        let framed = |framing| Ok(AnswerFraming::Framed(framing));
        for (name, fields, framing) in [
            ("nothing", "", Ok(AnswerFraming::UntilClose)),
            ("a length", "Content-Length: 7\r\n", framed(Framing::Length(7))),
            ("the same twice", "Content-Length: 7, 7\r\n", framed(Framing::Length(7))),
            ("chunks", "transfer-encoding: Chunked\r\n", framed(Framing::Chunked)),
            ("two lengths", "Content-Length: 7\r\nContent-Length: 8\r\n", Err(AnswerError::Length)),
            ("no number", "Content-Length: +7\r\n", Err(AnswerError::Length)),
            (
                "both",
                "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
                Err(AnswerError::Coding),
            ),
            ("another coding", "Transfer-Encoding: gzip, chunked\r\n", Err(AnswerError::Coding)),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert_eq!(head(&text).framing(), framing, "{name}");
        }
        let none = head("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n").framing();
        assert_eq!(none, framed(Framing::Length(0)));
    }
}
