//! A response: status, header fields, and a body that is read as it arrives.

use super::connection::Connection;
use super::{Error, mover};
use crate::http::answer::{AnswerFraming, AnswerHead};
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;

/// Bytes per read of framing and small chunks.
const READ_BYTES: usize = 64 << 10;

/// The response of a server.
#[derive(Debug)]
pub struct Response {
    head: AnswerHead,
    body: Body,
    early: bool,
}

impl Response {
    pub(crate) fn new(head: AnswerHead, connection: Connection) -> Result<Self, Error> {
        let nothing = AnswerFraming::Framed(Framing::Length(0));
        let framing = if connection.is_bodiless() { nothing } else { head.framing()? };
        let body = Body::new(framing, head.keeps_alive(), connection);
        Ok(Self { head, body, early: false })
    }

    /// Marks the response as received before the request was complete: the server still expects
    /// the rest of that, so no other can follow.
    pub(super) fn early(mut self) -> Self {
        self.body.keep_alive = false;
        Self { early: true, ..self }
    }

    /// Whether the response was received before everything was sent; the rest was not sent,
    /// whatever the status.
    pub fn is_early(&self) -> bool {
        self.early
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// Whether the status is 2xx (RFC 9110, section 15.3).
    pub fn is_success(&self) -> bool {
        matches!(self.head.status, 200..=299)
    }

    /// Returns the fields in wire order, with names as received.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Returns the value of the first field of this name, ignoring case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.field(name)
    }

    /// Returns the value as text, if it is valid UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.head.text(name)
    }

    /// Returns its `Content-Length` in bytes, whether or not a body follows.
    pub(crate) fn declared_bytes(&self) -> Option<u64> {
        self.head.length().ok().flatten()
    }

    /// Returns the body.
    pub fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Returns the body alone.
    pub fn into_body(self) -> Body {
        self.body
    }
}

/// The body of a response, read as it arrives. A read fails with `UnexpectedEof` if the body is
/// truncated: the data read until then is incomplete.
#[derive(Debug)]
pub struct Body {
    pub(super) connection: Connection,
    pub(super) rest: RemainingBody,
    /// Bytes read, including framing, up to the end of the last of `pieces`.
    inbox: Vec<u8>,
    /// The ranges of `inbox` that are body.
    pieces: VecDeque<Range<usize>>,
    received_bytes: u64,
    ends_with_connection: bool,
    /// Whether another request can follow on the connection.
    keep_alive: bool,
}

/// The rest of the body.
#[derive(Debug)]
pub(super) enum RemainingBody {
    /// Delimited by the framing.
    Framed(BodyDecoder),
    /// Everything until the connection ends.
    UntilClose,
    /// Nothing.
    Over,
}

impl Body {
    fn new(framing: AnswerFraming, keep_alive: bool, mut connection: Connection) -> Self {
        let rest = match framing {
            AnswerFraming::Framed(framing) => RemainingBody::Framed(BodyDecoder::new(framing)),
            AnswerFraming::UntilClose => RemainingBody::UntilClose,
        };
        let inbox = connection.take_inbox();
        let ends_with_connection = matches!(framing, AnswerFraming::UntilClose);
        let mut body = Self {
            connection,
            rest,
            inbox,
            pieces: VecDeque::new(),
            received_bytes: 0,
            ends_with_connection,
            keep_alive,
        };
        // A framing error is repeated on the next read.
        let _ = body.sort();
        body
    }

    /// Creates the body of a request that was received on this connection.
    #[cfg(feature = "socket")]
    pub(crate) fn of_request(framing: Framing, connection: Connection) -> Self {
        Self::new(AnswerFraming::Framed(framing), true, connection)
    }

    /// Returns the connection that it is received on.
    #[cfg(feature = "socket")]
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the total length of the body, if known.
    pub fn len_bytes(&self) -> Option<u64> {
        let buffered: usize = self.pieces.iter().map(ExactSizeIterator::len).sum();
        let to_come = match &self.rest {
            RemainingBody::Framed(decoder) => decoder.still_to_come()?,
            RemainingBody::UntilClose => return None,
            RemainingBody::Over => 0,
        };
        Some(self.received_bytes + buffered as u64 + to_come)
    }

    /// Whether the body is delimited by the end of the connection only, so that cutting the
    /// connection truncates the body undetected.
    pub fn ends_with_connection(&self) -> bool {
        self.ends_with_connection
    }

    /// Returns the connection, if the body was read to its end and another request can follow.
    #[cfg(any(feature = "connector", feature = "socket"))]
    pub(crate) fn into_connection(self) -> Option<Connection> {
        let reusable = self.is_over() && self.keep_alive && !self.ends_with_connection;
        Some(self.connection).filter(|_| reusable)
    }

    /// Whether it was read to its end.
    #[cfg(any(feature = "connector", feature = "socket"))]
    pub(crate) fn is_over(&self) -> bool {
        self.pieces.is_empty() && self.run_bytes().is_none()
    }

    /// Returns the number of bytes handed out.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Returns the next bytes buffered in user memory; `None` if the buffer is empty.
    pub(super) fn buffered(&mut self) -> Option<&[u8]> {
        let piece = self.pieces.pop_front()?;
        self.received_bytes += piece.len() as u64;
        Some(&self.inbox[piece])
    }

    /// Returns the number of bytes that follow on the connection without framing; `None` once the
    /// body has ended. Buffered bytes precede them.
    pub(super) fn run_bytes(&self) -> Option<u64> {
        match &self.rest {
            RemainingBody::Framed(decoder) if decoder.is_over() => None,
            RemainingBody::Framed(decoder) => Some(decoder.payload_left()),
            RemainingBody::UntilClose => Some(u64::MAX),
            RemainingBody::Over => None,
        }
    }

    /// Records that `count` bytes of the run were read by other means.
    pub(super) fn took(&mut self, count: usize) {
        self.received_bytes += count as u64;
        match &mut self.rest {
            RemainingBody::Framed(decoder) => decoder.took(count),
            RemainingBody::UntilClose | RemainingBody::Over => {}
        }
    }

    /// Handles the end of the connection.
    pub(super) fn ended(&mut self) -> Result<(), Error> {
        match &self.rest {
            RemainingBody::Framed(_) => {
                Err(Error::Truncated { received_bytes: self.received_bytes })
            }
            RemainingBody::UntilClose | RemainingBody::Over => {
                self.rest = RemainingBody::Over;
                Ok(())
            }
        }
    }

    /// Reads more into the buffer; between large chunks only their framing.
    pub(super) fn fetch(&mut self) -> Result<(), Error> {
        let wanted = match &self.rest {
            RemainingBody::Framed(decoder) if mover::pays(decoder.chunk_bytes()) => {
                decoder.framing_hint()
            }
            RemainingBody::Framed(_) | RemainingBody::UntilClose => READ_BYTES,
            RemainingBody::Over => return Ok(()),
        };
        self.inbox.resize(wanted, 0);
        let count = self.connection.receive(&mut self.inbox)?;
        self.inbox.truncate(count);
        if count == 0 { self.ended() } else { self.sort() }
    }

    /// Separates body from framing in the bytes read.
    fn sort(&mut self) -> Result<(), Error> {
        debug_assert!(self.pieces.is_empty(), "what is buffered goes first");
        match &mut self.rest {
            RemainingBody::Framed(decoder) => {
                let mut pieces = Vec::new();
                let result = decoder.received(&self.inbox, &mut pieces);
                self.pieces.extend(pieces);
                let used = result.map_err(|error| {
                    let broken = io::Error::new(io::ErrorKind::InvalidData, error);
                    Error::network("cannot read the response", broken)
                })?;
                // What follows the body belongs to the next message.
                *self.connection.inbox() = self.inbox.split_off(used);
                Ok(())
            }
            RemainingBody::UntilClose if self.inbox.is_empty() => Ok(()),
            RemainingBody::UntilClose => {
                self.pieces.push_back(0..self.inbox.len());
                Ok(())
            }
            RemainingBody::Over => Ok(()),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(piece) = self.pieces.front_mut() {
                let count = buffer.len().min(piece.len());
                buffer[..count].copy_from_slice(&self.inbox[piece.start..piece.start + count]);
                piece.start += count;
                if piece.start == piece.end {
                    self.pieces.pop_front();
                }
                self.received_bytes += count as u64;
                return Ok(count);
            }
            let Some(run) = self.run_bytes() else { return Ok(0) };
            if run == 0 {
                self.fetch()?;
                continue;
            }
            let room = usize::try_from(run).unwrap_or(usize::MAX).min(buffer.len());
            match self.connection.receive(&mut buffer[..room])? {
                0 => self.ended()?,
                count => {
                    self.took(count);
                    return Ok(count);
                }
            }
        }
    }
}
