//! The response of the API: its head, and its body as it is received.

use super::pool::Pool;
use super::refusal::Refusal;
use super::sending::Sending;
use crate::client;
use crate::client::Error;
use crate::client::connection::Connection;
use crate::client::mover::{Mover, Progress, Sink};
use crate::socket::spelling::received;
use crate::socket::{Body, OnCancel, hop};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, UPGRADE};
use http::{Extensions, Response, StatusCode};
use std::io::{self, Read};
use std::sync::Arc;

/// The body of a response. At its end, the connection is kept for another request; if it is dropped
/// earlier, the connection is closed, which also ends the sending of the request.
#[derive(Debug)]
pub(super) struct AnswerBody {
    /// `None` once the body is complete.
    body: Option<client::Body>,
    length_bytes: Option<u64>,
    /// Whether the fields declare a length that is not that of this body.
    told_length: bool,
    exchange: Exchange,
}

/// The other parts of an exchange with the API.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) sending: Sending,
    pub(super) pool: Arc<Pool>,
    /// Ends the connection when the request is cancelled.
    pub(super) on_cancel: Option<OnCancel>,
}

impl Exchange {
    /// Whether the request was cancelled, so that the end of the connection means nothing.
    pub(super) fn is_cancelled(&self) -> bool {
        self.on_cancel.as_ref().is_some_and(OnCancel::is_done)
    }
}

/// Creates the response for the API's. `upgrades`: it accepts an upgrade, and its connection is kept for
/// that.
pub(super) fn begin(
    response: client::Response,
    is_head: bool,
    upgrades: bool,
    exchange: Exchange,
) -> Result<Response<AnswerBody>, Refusal> {
    let status = match StatusCode::from_u16(response.status()) {
        Ok(status) if upgrades || status != StatusCode::SWITCHING_PROTOCOLS => status,
        Ok(_) | Err(_) => {
            return Err(Refusal::Broken("switched protocols without a request".into()));
        }
    };
    let bodiless = is_head || matches!(response.status(), 204 | 304);
    let mut extensions = Extensions::new();
    let received = received(response.fields(), &mut extensions)
        .map_err(|why| Refusal::Broken(format!("was not understood: {why}")))?;
    let mut fields = hop::passed(&received, &[CONTENT_LENGTH]);
    let length = received.get(CONTENT_LENGTH).filter(|_| bodiless && status != 204);
    let told_length = length.is_some();
    if let Some(length) = length {
        // Of the body that a GET would have returned (RFC 9110, section 8.6).
        fields.insert(CONTENT_LENGTH, length.clone());
    }
    if upgrades {
        fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        for protocols in received.get_all(UPGRADE) {
            fields.append(UPGRADE, protocols.clone());
        }
    }
    let length_bytes = if bodiless { Some(0) } else { response.declared_bytes() };
    let body = Some(response.into_body());
    let mut body = AnswerBody { body, length_bytes, told_length, exchange };
    if !upgrades {
        body.settle();
    }
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = fields;
    *answer.extensions_mut() = extensions;
    Ok(answer)
}

impl AnswerBody {
    /// Returns the length of the body, if known.
    pub(super) fn length_bytes(&self) -> Option<u64> {
        self.length_bytes
    }

    /// Moves the rest of the body to a sink.
    ///
    /// # Errors
    /// The body is interrupted, or the sink failed.
    pub(super) fn forward(
        &mut self,
        mover: &mut Mover,
        sink: &mut dyn Sink,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        if let Some(body) = &mut self.body {
            mover.run(body, sink, progress)?;
        }
        self.settle();
        Ok(())
    }

    /// Returns the connection after an upgrade, with what was received after the head.
    pub(super) fn into_connection(mut self) -> Option<Connection> {
        self.body.take().and_then(client::Body::into_connection)
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
        let Some(body) = self.body.take_if(|body| body.is_over()) else { return };
        let wire = body.connection().shared_wire();
        let connection = body.into_connection().filter(|_| self.exchange.sending.is_whole());
        self.exchange.on_cancel = None;
        match connection {
            Some(connection) => self.exchange.pool.put(connection),
            None => wire.end(),
        }
    }
}

impl Read for AnswerBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(body) = &mut self.body else { return Ok(0) };
        let count = body.read(buffer)?;
        if self.exchange.is_cancelled() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.settle();
        Ok(count)
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(body) = &self.body {
            body.connection().shared_wire().end();
        }
    }
}
