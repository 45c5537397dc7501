//! A request as far as it has been received, and reading its head. A head is read through one
//! shared buffer; only leftover bytes, or an incomplete head, stay with its connection.

use super::{answer, follow};
use crate::api::Failure;
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use crate::http::head::{self, FieldSlots, HeadLimits, RequestHead};
use crate::http::reject::Reject;
use crate::relay::io::{CloseMode, ConnId, Io};
use crate::splice::copy::Read;

/// A request whose head was read.
#[derive(Clone, Copy)]
pub struct Request<'r, 'b> {
    /// Its head.
    pub head: &'r RequestHead<'r, 'b>,
    /// The bytes received after its head.
    pub rest: &'r [u8],
}

impl Request<'_, '_> {
    /// Whether the complete body was received with the head, which declares its length.
    pub fn body_is_here(self) -> bool {
        matches!(self.head.framing, Framing::Length(bytes) if bytes <= self.rest.len() as u64)
    }

    /// Returns how many of the bytes after the head belong to an unwanted body, and whether that is
    /// all of it.
    pub fn without_body(self) -> (usize, bool) {
        let mut decoder = BodyDecoder::new(self.head.framing);
        let used = decoder.received(self.rest, &mut Vec::new()).unwrap_or(self.rest.len());
        (used, decoder.is_over())
    }

    /// Refuses it; returns how many bytes after its head are consumed.
    pub fn refuse(self, io: &mut Io, id: ConnId, failure: &Failure) -> usize {
        let (used, read) = self.without_body();
        answer::failure(io, id, failure, read);
        used
    }
}

/// Reads one head. Holds the connection's bytes until the head is handled, or suspended.
#[derive(Debug)]
pub struct HeadReader {
    pub(super) buffer: Vec<u8>,
    /// How many bytes were already parsed and found to be an incomplete head.
    pub(super) seen: usize,
    pub(super) limits: HeadLimits,
    pub(super) first_read: usize,
}

impl HeadReader {
    /// Whether [`HeadReader::parse`] may have a new result.
    pub fn is_worth_parsing(&self) -> bool {
        !self.buffer.is_empty() && head::worth_parsing(&self.buffer, self.seen, &self.limits)
    }

    /// Returns the head, once it is complete.
    ///
    /// # Errors
    /// Returns why it is refused.
    pub fn parse<'h, 'b>(
        &'b self,
        slots: &'h mut FieldSlots<'b>,
    ) -> Result<Option<RequestHead<'h, 'b>>, Reject> {
        head::parse(&self.buffer, slots, &self.limits)
    }

    /// Returns the bytes of the head so far, and those after it.
    pub fn received(&self) -> &[u8] {
        &self.buffer
    }

    /// Returns the bytes after the head.
    pub fn after_head(&self, head: &RequestHead<'_, '_>) -> &[u8] {
        &self.buffer[head.len..]
    }

    /// Reads more of the head, once; `false`: nothing is readable now. Closes a connection whose
    /// peer has ended it.
    pub fn read(&mut self, io: &mut Io, id: ConnId) -> bool {
        self.seen = self.buffer.len();
        let conn = &mut io.conns[id];
        if !conn.readable {
            return false;
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled + self.first_read.max(filled), 0);
        let wanted = self.buffer.len() - filled;
        let result = conn.read(&mut self.buffer[filled..]);
        let count = if let Ok(Read::Moved(count)) = result { count } else { 0 };
        self.buffer.truncate(filled + count);
        if count < wanted {
            conn.drained_of_input();
        }
        match result {
            Ok(Read::Moved(_)) => return true,
            Ok(Read::Blocked) => conn.readable = false,
            Ok(Read::Eof) => follow::close_idle(io, id),
            Err(_) => io.conns.close(id, CloseMode::Orderly),
        }
        false
    }
}
