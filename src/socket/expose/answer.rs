//! The response of the API: its head, and its body as it is received.

use super::incoming::Incoming;
use super::pool::Pool;
use super::refusal::Refusal;
use super::sending::Sending;
use super::wire::ApiReader;
use crate::http::answer::{AnswerFraming, AnswerHead};
use crate::http::framing::Framing;
use crate::socket::{Body, hop};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use std::io::{self, Read};
use std::sync::Arc;

/// Maximum bytes per read of a head.
const HEAD_BYTES: usize = 8 << 10;

/// The body of a response. At its end, the connection is kept for another request; if it is dropped
/// earlier, the connection is closed, which also ends the sending of the request.
#[derive(Debug)]
pub(super) struct AnswerBody {
    /// `None` once the body is complete.
    incoming: Option<Incoming>,
    length_bytes: Option<u64>,
    /// Whether the fields declare a length that is not that of this body.
    told_length: bool,
    sending: Sending,
    pool: Arc<Pool>,
    keep_alive: bool,
}

/// Reads the head of the final response, skipping interim ones (RFC 9110, section 15.2).
pub(super) fn read_head(wire: &mut ApiReader) -> Result<AnswerHead, Refusal> {
    let mut silent = true;
    loop {
        let parsed = AnswerHead::parse(wire.buffered());
        let parsed = parsed.map_err(|why| Refusal::Broken(format!("was not understood: {why}")))?;
        match parsed {
            Some(head) if head.is_interim() => {
                wire.buffered().drain(..head.len);
                silent = false;
            }
            Some(head) => {
                wire.buffered().drain(..head.len);
                return Ok(head);
            }
            None => match wire.read_ahead(HEAD_BYTES) {
                Ok(0) if silent && wire.buffered().is_empty() => return Err(Refusal::Silent),
                Ok(0) => return Err(Refusal::Broken("aborted its response".into())),
                Ok(_) => {}
                Err(error) if is_lost(&error) && silent && wire.buffered().is_empty() => {
                    return Err(Refusal::Silent);
                }
                Err(error) => return Err(Refusal::of(&error)),
            },
        }
    }
}

fn is_lost(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Creates the response for this head; its body is next on the connection.
pub(super) fn begin(
    head: &AnswerHead,
    method: &Method,
    wire: ApiReader,
    (sending, pool): (Sending, Arc<Pool>),
) -> Result<Response<AnswerBody>, Refusal> {
    let status = match StatusCode::from_u16(head.status) {
        Ok(StatusCode::SWITCHING_PROTOCOLS) | Err(_) => {
            return Err(Refusal::Broken("switched protocols without a request".into()));
        }
        Ok(status) => status,
    };
    let framing = head.framing().map_err(|why| Refusal::Broken(format!("failed: {why}")))?;
    let bodiless = method == Method::HEAD || matches!(head.status, 204 | 304);
    let framing = if bodiless { AnswerFraming::Framed(Framing::Length(0)) } else { framing };
    let received = fields(head);
    let mut fields = hop::passed(&received, &[CONTENT_LENGTH]);
    let length = received.get(CONTENT_LENGTH).filter(|_| bodiless && head.status != 204);
    let told_length = length.is_some();
    if let Some(length) = length {
        // Of the body that a GET would have returned (RFC 9110, section 8.6).
        fields.insert(CONTENT_LENGTH, length.clone());
    }
    let (incoming, length_bytes) = incoming(wire, framing);
    let mut body = AnswerBody {
        incoming: Some(incoming),
        length_bytes,
        told_length,
        sending,
        pool,
        keep_alive: head.keeps_alive(),
    };
    body.settle();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = fields;
    Ok(answer)
}

/// Returns the body that follows, and its length, if known.
fn incoming(wire: ApiReader, framing: AnswerFraming) -> (Incoming, Option<u64>) {
    match framing {
        AnswerFraming::Framed(Framing::Length(bytes)) => {
            (Incoming::framed(wire, Framing::Length(bytes)), Some(bytes))
        }
        AnswerFraming::Framed(Framing::Chunked) => (Incoming::framed(wire, Framing::Chunked), None),
        AnswerFraming::UntilClose => (Incoming::until_close(wire), None),
    }
}

fn fields(head: &AnswerHead) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(head.fields.len());
    for (name, value) in &head.fields {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    fields
}

impl AnswerBody {
    /// Returns the length of the body, if known.
    pub(super) fn length_bytes(&self) -> Option<u64> {
        self.length_bytes
    }

    /// Returns the incoming body, while it is incomplete.
    pub(super) fn incoming(&self) -> Option<&Incoming> {
        self.incoming.as_ref()
    }

    /// Records that `count` bytes of a run were spliced past this reader.
    pub(super) fn took(&mut self, count: usize) {
        if let Some(incoming) = &mut self.incoming {
            incoming.took(count);
        }
        self.settle();
    }

    /// Converts it to a [`Body`].
    pub(super) fn into_body(self) -> Body {
        match self.length_bytes {
            Some(bytes) if !self.told_length => Body::sized(self, bytes),
            Some(_) | None => Body::from_reader(self),
        }
    }

    /// Returns the connection to the pool once the response is complete. If the request is still
    /// incomplete then, the API did not want the rest: the connection cannot be reused.
    fn settle(&mut self) {
        let Some(incoming) = self.incoming.take_if(|incoming| incoming.is_over()) else { return };
        let wire = incoming.into_wire();
        if self.keep_alive && self.sending.is_whole() {
            self.pool.put(wire);
        } else {
            wire.end();
        }
    }
}

impl Read for AnswerBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(incoming) = &mut self.incoming else { return Ok(0) };
        let count = incoming.read(buffer)?;
        self.settle();
        Ok(count)
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(incoming) = &self.incoming {
            incoming.wire().end();
        }
    }
}
