//! Incremental parser of the text dialect: HTTP/1.1 messages (RFC 9112), split into text messages
//! anywhere. HTTP messages follow each other, requests and responses in the order in which the peer
//! sends them.

use crate::http::answer::{AnswerError, AnswerFraming, AnswerHead};
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use crate::http::head::{self, FieldSlots, HeadLimits, Method};
use crate::http::reject::Reject;
use tungstenite::Bytes;

use super::frame::HEAD_MAX_BYTES;

/// The field that joins a response to its request.
pub const CORRELATION_ID: &str = "X-Correlation-Id";

/// Maximum interim responses (RFC 9110, section 15.2) before a response. A server sends one or two.
const INTERIM_MAX: u8 = 16;

/// The start of a response.
const START: &[u8] = b"HTTP/";

/// The start of a message with which dropping ends.
const STATUS_LINE: &[u8] = b"HTTP/1.";

const LIMITS: HeadLimits = HeadLimits { bytes: HEAD_MAX_BYTES, target_bytes: HEAD_MAX_BYTES / 2 };

/// A part of the peer's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessagePart {
    /// The start of a request.
    Request {
        /// Its head, as received.
        head: Bytes,
        /// Its correlation id.
        correlation: Option<String>,
        /// Whether it has no body.
        over: bool,
    },
    /// The start of a response.
    Response {
        /// Its head, as received.
        head: Bytes,
        /// Its correlation id.
        correlation: Option<String>,
        /// Whether it has no body.
        over: bool,
    },
    /// More of the body of the current message.
    Body {
        /// The bytes, without framing.
        bytes: Bytes,
        /// Whether these are the last ones.
        over: bool,
    },
    /// The current response is invalid, as described: the rest of it is dropped.
    Invalid(&'static str),
}

/// The parser state.
#[derive(Debug, Default)]
pub struct Reader {
    /// The received part of an incomplete head.
    unread: Vec<u8>,
    body: Body,
    /// Whether the last head was that of a request.
    is_request: bool,
    /// Interim responses since the last final head.
    interim: u8,
    /// Whether a message has begun and not ended.
    in_message: bool,
    /// Whether a head was incomplete when that message began.
    continues_head: bool,
}

#[derive(Debug, Default)]
enum Body {
    /// Between HTTP messages, or in a head.
    #[default]
    None,
    /// Delimited by its framing.
    Framed(BodyDecoder),
    /// Until the end of the current text message.
    Rest,
    /// Dropped, up to a message that begins with a status line.
    Dropped,
}

impl Reader {
    /// Parses the next bytes of a message, the last ones if `over`. `asks_for_head` is called once for
    /// each response, in order, and returns whether the request with this correlation id, or the
    /// awaited one if there is none, was a `HEAD`.
    ///
    /// # Errors
    /// A description of a request that is invalid; nothing more can be parsed from this peer, unless
    /// the [rest is dropped](Reader::drop_rest). An invalid response is [a part](MessagePart::Invalid).
    pub fn take(
        &mut self,
        mut bytes: Bytes,
        over: bool,
        mut asks_for_head: impl FnMut(Option<&str>) -> bool,
        parts: &mut Vec<MessagePart>,
    ) -> Result<(), &'static str> {
        if bytes.is_empty() && !over {
            return Ok(());
        }
        let begins = !std::mem::replace(&mut self.in_message, !over);
        if begins {
            self.continues_head = !self.unread.is_empty();
        }
        // What is wrong is noticed at the end of a message at the latest, however it is split.
        let is_due = over && !self.continues_head;
        if matches!(self.body, Body::Dropped) && !self.begins_response(&mut bytes, begins, over) {
            return Ok(());
        }
        if matches!(self.body, Body::None) && !is_due && !self.may_end_a_head(&bytes) {
            self.unread.extend_from_slice(&bytes);
            return Ok(());
        }
        let mut rest = join(std::mem::take(&mut self.unread), bytes);
        while !rest.is_empty() {
            let used = self.next((&rest, is_due), parts, &mut asks_for_head)?;
            rest = rest.slice(used..);
        }
        if over && matches!(self.body, Body::Rest) {
            self.body = Body::None;
            parts.push(MessagePart::Body { bytes: Bytes::new(), over: true });
        }
        Ok(())
    }

    /// Drops everything up to the next message that begins with a status line.
    pub fn drop_rest(&mut self) {
        self.body = Body::Dropped;
    }

    /// Parses the next part; returns how many bytes it has. An incomplete head is parsed only if
    /// that `is_due`.
    fn next(
        &mut self,
        (rest, is_due): (&Bytes, bool),
        parts: &mut Vec<MessagePart>,
        asks_for_head: &mut impl FnMut(Option<&str>) -> bool,
    ) -> Result<usize, &'static str> {
        match &mut self.body {
            Body::Dropped => Ok(rest.len()),
            Body::Rest => {
                parts.push(MessagePart::Body { bytes: rest.clone(), over: false });
                Ok(rest.len())
            }
            Body::Framed(decoder) => {
                let used = framed(decoder, rest, parts);
                let (over, of_request) = (decoder.is_over(), self.is_request);
                let used = used.or_else(|what| self.invalid(what, of_request, rest, parts))?;
                if over {
                    self.body = Body::None;
                }
                Ok(used)
            }
            Body::None if !is_due && !may_be_head(rest) => Ok(self.keep(rest)),
            Body::None if rest.starts_with(START) => self
                .response(rest, parts, asks_for_head)
                .or_else(|what| self.invalid(what, false, rest, parts)),
            Body::None => self.request(rest, parts),
        }
    }

    /// Drops the rest of a response that is invalid.
    fn invalid(
        &mut self,
        what: &'static str,
        is_request: bool,
        rest: &Bytes,
        parts: &mut Vec<MessagePart>,
    ) -> Result<usize, &'static str> {
        if is_request {
            return Err(what);
        }
        parts.push(MessagePart::Invalid(what));
        self.drop_rest();
        self.interim = 0;
        Ok(rest.len())
    }

    /// Whether dropping ends here: with a message that begins with a status line.
    fn begins_response(&mut self, bytes: &mut Bytes, begins: bool, over: bool) -> bool {
        if !begins && self.unread.is_empty() {
            return false;
        }
        *bytes = join(std::mem::take(&mut self.unread), std::mem::take(bytes));
        if bytes.starts_with(STATUS_LINE) {
            self.body = Body::None;
            return true;
        }
        if !over && STATUS_LINE.starts_with(bytes) {
            self.unread = bytes.to_vec();
        }
        false
    }

    /// Whether an incomplete head has to be parsed again: one that trickles in must not cost a
    /// parse for each byte or line. A head ends with an empty line.
    fn may_end_a_head(&self, text: &[u8]) -> bool {
        let mut tail = self.unread[self.unread.len().saturating_sub(2)..].to_vec();
        tail.extend_from_slice(text);
        may_be_head(&tail) || self.unread.len() + text.len() >= HEAD_MAX_BYTES
    }

    /// Keeps an incomplete head; returns its length.
    fn keep(&mut self, bytes: &Bytes) -> usize {
        self.unread = bytes.to_vec();
        bytes.len()
    }

    fn request(
        &mut self,
        bytes: &Bytes,
        parts: &mut Vec<MessagePart>,
    ) -> Result<usize, &'static str> {
        if START.starts_with(bytes) {
            return Ok(self.keep(bytes));
        }
        let mut slots = FieldSlots::new();
        let head = head::parse(bytes, &mut slots, &LIMITS).map_err(Reject::message)?;
        let Some(head) = head else { return Ok(self.keep(bytes)) };
        let over = head.framing == Framing::Length(0);
        let correlation = head.fields.all(CORRELATION_ID).next();
        let correlation = correlation.and_then(|id| str::from_utf8(id).ok()).map(str::to_owned);
        if head.method == Method::Connect {
            return Err("CONNECT makes no sense here");
        }
        self.is_request = true;
        self.begin(BodyDecoder::new(head.framing));
        parts.push(MessagePart::Request { head: bytes.slice(..head.len), correlation, over });
        Ok(head.len)
    }

    fn response(
        &mut self,
        bytes: &Bytes,
        parts: &mut Vec<MessagePart>,
        asks_for_head: &mut impl FnMut(Option<&str>) -> bool,
    ) -> Result<usize, &'static str> {
        let Some(head) = AnswerHead::parse(bytes).map_err(AnswerError::message)? else {
            return Ok(self.keep(bytes));
        };
        if head.is_interim() {
            self.interim += 1;
            let too_many = self.interim > INTERIM_MAX;
            return if too_many { Err("more than 16 interim responses") } else { Ok(head.len) };
        }
        (self.interim, self.is_request) = (0, false);
        let correlation = head.text(CORRELATION_ID).map(str::to_owned);
        let framing = if asks_for_head(correlation.as_deref()) {
            AnswerFraming::Framed(Framing::Length(0))
        } else {
            head.framing().map_err(AnswerError::message)?
        };
        let over = framing == AnswerFraming::Framed(Framing::Length(0));
        match framing {
            AnswerFraming::Framed(framing) => self.begin(BodyDecoder::new(framing)),
            AnswerFraming::UntilClose => self.body = Body::Rest,
        }
        parts.push(MessagePart::Response { head: bytes.slice(..head.len), correlation, over });
        Ok(head.len)
    }

    fn begin(&mut self, decoder: BodyDecoder) {
        self.body = if decoder.is_over() { Body::None } else { Body::Framed(decoder) };
    }
}

/// Decodes body bytes; returns how many belong to the body, framing included.
fn framed(
    decoder: &mut BodyDecoder,
    bytes: &Bytes,
    parts: &mut Vec<MessagePart>,
) -> Result<usize, &'static str> {
    let mut pieces = Vec::new();
    let used = decoder.received(bytes, &mut pieces).map_err(|_| "a body with broken chunks");
    let first = parts.len();
    for piece in pieces {
        parts.push(MessagePart::Body { bytes: bytes.slice(piece), over: false });
    }
    let used = used?;
    if decoder.is_over() {
        match parts[first..].last_mut() {
            Some(MessagePart::Body { over, .. }) => *over = true,
            Some(
                MessagePart::Request { .. }
                | MessagePart::Response { .. }
                | MessagePart::Invalid(_),
            )
            | None => {
                parts.push(MessagePart::Body { bytes: Bytes::new(), over: true });
            }
        }
    }
    Ok(used)
}

fn join(mut unread: Vec<u8>, bytes: Bytes) -> Bytes {
    if unread.is_empty() {
        return bytes;
    }
    unread.extend_from_slice(&bytes);
    unread.into()
}

/// Whether a head has a field of this name.
pub fn has_field(head: &[u8], name: &str) -> bool {
    head.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let end = line.iter().position(|byte| *byte == b':');
        end.is_some_and(|end| line[..end].eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// Returns a complete head without its fields of this name.
pub fn without_field(head: &[u8], name: &str) -> Vec<u8> {
    let is_named = |line: &&[u8]| {
        let end = line.iter().position(|byte| *byte == b':');
        end.is_some_and(|end| line[..end].eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    lines.filter(|line| !is_named(line)).fold(first.to_vec(), |mut kept, line| {
        kept.extend_from_slice(line);
        kept
    })
}

/// Adds a field at the end of a complete head.
pub fn add_field(head: &mut Vec<u8>, name: &str, value: &str) {
    head.truncate(head.len() - 2);
    head.extend_from_slice(format!("{name}: {value}\r\n\r\n").as_bytes());
}

/// Whether this may hold a complete head: it has an empty line, or is too long.
fn may_be_head(bytes: &[u8]) -> bool {
    bytes.len() >= HEAD_MAX_BYTES
        || bytes.windows(2).any(|two| two == b"\n\n")
        || bytes.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders what was received, bodies concatenated: heads as text, bodies in brackets.
    fn shown(parts: &[MessagePart]) -> String {
        let mut shown = String::new();
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        for part in parts {
            match part {
                MessagePart::Request { head, correlation, over }
                | MessagePart::Response { head, correlation, over } => {
                    let head = text(head);
                    let line = head.lines().next().unwrap();
                    let id = correlation.as_deref().unwrap_or("-");
                    let end = if *over { "." } else { ":" };
                    shown.extend([line, " (", id, ")", end]);
                }
                MessagePart::Body { bytes, over } => {
                    shown.push_str(&text(bytes));
                    shown.push_str(if *over { "." } else { "" });
                }
                MessagePart::Invalid(what) => shown.extend(["!", what, "!"]),
            }
        }
        shown
    }

    /// Returns the parts of a message, or of the first bytes of one.
    fn taken(
        reader: &mut Reader,
        bytes: &[u8],
        over: bool,
    ) -> Result<Vec<MessagePart>, &'static str> {
        let mut parts = Vec::new();
        let bytes = Bytes::copy_from_slice(bytes);
        reader.take(bytes, over, |id| id == Some("head"), &mut parts).map(|()| parts)
    }

    const REQUESTS: &str = "GET /a HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1\r\n\r\n\
                            POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\
                            POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                            2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n";

    const RESPONSES: &str = "HTTP/1.1 100 Continue\r\n\r\n\
                             HTTP/1.1 200 OK\r\nX-Correlation-Id: 1\r\nContent-Length: 2\r\n\r\nok\
                             HTTP/1.1 204 No Content\r\nX-Correlation-Id: 2\r\n\r\n\
                             HTTP/1.1 200 OK\r\nX-Correlation-Id: head\r\nContent-Length: 9\r\n\r\n\
                             HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";

    #[test]
    fn messages_may_be_split_anywhere() {
        let requests = "GET /a HTTP/1.1 (1).POST /b HTTP/1.1 (-):hello.POST /c HTTP/1.1 (-):abcde.";
        let responses = "HTTP/1.1 200 OK (1):ok.HTTP/1.1 204 No Content (2).\
                         HTTP/1.1 200 OK (head).HTTP/1.1 200 OK (-):x.";
        for (text, expected) in [(REQUESTS, requests), (RESPONSES, responses)] {
            for cut in 0..=text.len() {
                let mut reader = Reader::default();
                let mut parts = Vec::new();
                // Cut into two messages, and into pieces of one.
                for over in [true, false] {
                    for part in [&text[..cut], &text[cut..]] {
                        parts.extend(taken(&mut reader, part.as_bytes(), over).unwrap());
                    }
                    assert_eq!(shown(&std::mem::take(&mut parts)), expected, "{cut}");
                }
            }
        }
    }

    #[test]
    fn a_response_without_a_length_ends_with_its_text_message() {
        let mut reader = Reader::default();
        let parts = taken(&mut reader, b"HTTP/1.1 200 OK\r\n\r\nto ", false).unwrap();
        assert_eq!(shown(&parts), "HTTP/1.1 200 OK (-):to ");
        assert_eq!(shown(&taken(&mut reader, b"the end", true).unwrap()), "the end.");
        let parts = taken(&mut reader, b"HTTP/1.1 200 OK\r\n\r\n", true).unwrap();
        assert_eq!(shown(&parts), "HTTP/1.1 200 OK (-):.", "an empty one");
        let parts = taken(&mut reader, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true).unwrap();
        assert_eq!(shown(&parts), "GET / HTTP/1.1 (-).");
    }

    #[test]
    fn the_rest_of_an_invalid_response_is_dropped_up_to_the_next_status_line() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nzz\r\n";
        for (name, invalid, kept) in [
            ("no status", "HTTP/1.1 x\r\n\r\n", "!not an HTTP/1.1 response!"),
            (
                "a bad length",
                "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                "!the Content-Length of the response is not one number!",
            ),
            ("bad chunks", chunked, "HTTP/1.1 200 OK (-):x!a body with broken chunks!"),
        ] {
            for cut in 0..5 {
                let mut reader = Reader::default();
                let first = format!("{invalid}HTTP/1.1 200 OK\r\n\r\nwithin the message");
                let parts = taken(&mut reader, first.as_bytes(), true).unwrap();
                assert_eq!(shown(&parts), kept, "{name}");
                for rest in ["more of it", "", "HTTP", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"] {
                    assert_eq!(taken(&mut reader, rest.as_bytes(), true), Ok(vec![]), "{name}");
                }
                let (start, end) = b"HTTP/1.1 204 None\r\n\r\n".split_at(cut);
                let mut parts = taken(&mut reader, start, false).unwrap();
                parts.extend(taken(&mut reader, end, true).unwrap());
                assert_eq!(shown(&parts), "HTTP/1.1 204 None (-).", "{name}, {cut}");
            }
        }
    }

    #[test]
    fn invalid_http_is_refused() {
        let long = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}", "x".repeat(HEAD_MAX_BYTES));
        for (name, text) in [
            ("chat", "hello there\r\n\r\n"),
            ("a tunnel", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
            ("two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 2\r\n\r\n"),
            (
                "bad chunks",
                "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            ),
            ("an endless head", &long),
        ] {
            assert!(taken(&mut Reader::default(), text.as_bytes(), true).is_err(), "{name}");
        }
    }

    #[test]
    fn fields_are_found_and_added() {
        let mut head = b"GET /x: HTTP/1.1\r\nHost: h\r\nx-correlation-ID: 7\r\n\r\n".to_vec();
        assert!(has_field(&head, CORRELATION_ID) && has_field(&head, "HOST"));
        assert!(!has_field(&head, "GET /x") && !has_field(&head, "Content-Length"));
        assert_eq!(without_field(&head, CORRELATION_ID), b"GET /x: HTTP/1.1\r\nHost: h\r\n\r\n");
        add_field(&mut head, "Content-Length", "3");
        assert!(head.ends_with(b"x-correlation-ID: 7\r\nContent-Length: 3\r\n\r\n"));
    }
}
