//! Sends one request to the other end and receives its response.

use super::body::Body;
use super::connection::{Owner, SocketConnection};
use super::error::Error;
use super::heads;
use super::incoming::Incoming;
use super::sending::Stop;
use crate::client::clock;
use crate::mux::frame::{CancelReason, DATA_MAX_BYTES};
use crate::mux::session::WINDOW_BYTES;
use http::{Request, Response};
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Shared slot for the error of reading the request body.
type Failure = Arc<Mutex<Option<Error>>>;

pub(super) fn round_trip(
    connection: &SocketConnection,
    request: Request<Body>,
    limit: Option<Duration>,
) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let length = body.length_bytes().or_else(|| heads::stated_length(&head.headers));
    let host = connection.remote_addr().to_string();
    let bytes = heads::write_request(&head, length, &host)?;
    let link = connection.link();
    let number = link.request(&bytes, length == Some(0))?;
    let sender = Sender { owner: connection.owner(), number, failure: Failure::default() };
    let failure = Arc::clone(&sender.failure);
    // From here on, dropping the response early cancels the exchange.
    let mut incoming = Incoming::new(connection.owner(), number);
    sender.begin(body, length)?;
    let answer = link.answer(number, limit);
    if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    let (answer, over) = answer.inspect_err(|error| {
        if matches!(error, Error::Timeout(_) | Error::TurnTimeout(_)) {
            link.cancel(number, CancelReason::Late);
        }
    })?;
    let response = heads::read_response(&answer)?;
    let stated = heads::stated_length(response.headers());
    // The length of a response to HEAD is not that of its body.
    let length = if over { Some(0) } else { stated };
    incoming.expect(length);
    Ok(response.map(|()| match length {
        Some(length) => Body::sized(incoming, length),
        None => Body::from_reader(incoming),
    }))
}

/// Sends the body of a request.
struct Sender {
    owner: Arc<Owner>,
    number: u32,
    failure: Failure,
}

impl Sender {
    /// Sends the body, on another thread if sending may block.
    fn begin(self, body: Body, length: Option<u64>) -> Result<(), Error> {
        if length == Some(0) {
            self.owner.link().release(self.number);
            return Ok(());
        }
        if body.is_in_memory() && length.is_some_and(|bytes| bytes <= WINDOW_BYTES) {
            // It fits into the window: sending does not block.
            self.send(body, length);
            return Ok(());
        }
        let (owner, number) = (Arc::clone(&self.owner), self.number);
        let thread = std::thread::Builder::new().name("rdv-socket-body".into());
        let spawned = thread.spawn(move || self.send(body, length));
        spawned.map(drop).map_err(|error| {
            owner.link().release(number);
            Error::network("cannot start a thread for the body", error)
        })
    }

    fn send(self, body: Body, length: Option<u64>) {
        let (link, number) = (self.owner.link(), self.number);
        match self.copy(body, length) {
            Ok(()) => link.waits(number, Some(clock::now())),
            Err(Stop::Answered) => link.done(number),
            Err(Stop::Failed(error)) => {
                if let Error::Body(source) = &error {
                    let why = source.to_string();
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    link.panicked(number, why);
                }
            }
        }
        link.release(number);
    }

    fn copy(&self, body: Body, length: Option<u64>) -> Result<(), Stop> {
        let link = self.owner.link();
        let mut pieces = BodyPieces::new(body, length);
        loop {
            link.waits(self.number, None);
            let (piece, over) = pieces.next().map_err(|error| Stop::Failed(Error::Body(error)))?;
            link.send(self.number, piece, over)?;
            if over {
                return Ok(());
            }
        }
    }
}

/// Reads a body in pieces.
pub(super) struct BodyPieces {
    body: Body,
    buffer: Vec<u8>,
    left: Option<u64>,
}

impl BodyPieces {
    pub(super) fn new(body: Body, length: Option<u64>) -> Self {
        Self { body, buffer: vec![0; DATA_MAX_BYTES], left: length }
    }

    /// Returns the next piece, and whether it is the last one.
    ///
    /// # Errors
    /// The body cannot be read, or ends before its declared length.
    pub(super) fn next(&mut self) -> std::io::Result<(&[u8], bool)> {
        let most = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let most = most.min(self.buffer.len());
        let count = loop {
            match self.body.read(&mut self.buffer[..most]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if let Some(left) = &mut self.left {
            if count == 0 && *left > 0 {
                let why = format!("it ended {left} bytes before its length");
                return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, why));
            }
            *left -= count as u64;
        }
        Ok((&self.buffer[..count], self.left.map_or(count == 0, |left| left == 0)))
    }
}
