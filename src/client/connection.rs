//! One connection with one request at a time, full-duplex: an early response is noticed while the
//! request is being sent, so no client blocks on a server that has stopped reading.

use super::dial::{self, Dialled};
use super::outgoing::UNLIMITED;
use super::wire::{WaitFor, Wire};
use super::{Error, Options, Response, Url, clock};
use crate::http::answer::{AnswerError, AnswerHead};
use crate::http::answer_reader::AnswerReader;
use crate::splice::copy::{Read, Write};
use std::io;
#[cfg(feature = "socket")]
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes per read while waiting for a head.
const READ_BYTES: usize = 16 << 10;

/// The result of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Sent {
    /// Everything was passed to the kernel.
    All,
    /// The response was received, or the connection ended; send no more.
    Stopped,
}

/// A connection and its received, unread bytes.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Arc<Wire>,
    /// The request target: the path, or the complete URL for a proxy.
    target: String,
    /// `Proxy-Authorization`, for a proxy that reads the request itself.
    proxy_authorization: Option<String>,
    inbox: Vec<u8>,
    stall_timeout: Duration,
    /// The end of the current request, whatever moves, and its maximum time; only with a request
    /// that allows another one after it.
    limit: Option<(Instant, Duration)>,
    /// Whether the response has no body, whatever its head declares.
    bodiless: bool,
    reader: AnswerReader,
    /// The final head, once received.
    head: Option<AnswerHead>,
    /// Whether the server has closed its side.
    ended: bool,
    /// The connection that what is received is for: reads fail once its peer has disconnected.
    #[cfg(feature = "socket")]
    requester: Option<Arc<Wire>>,
}

impl Connection {
    /// Connects to the server of this URL.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Network`].
    pub(crate) fn open(url: &Url, options: &Options) -> Result<Self, Error> {
        let Dialled { wire, target, proxy_authorization } = dial::dial(url, options)?;
        Ok(Self {
            wire: Arc::new(wire),
            target,
            proxy_authorization,
            inbox: Vec::new(),
            stall_timeout: options.stall_timeout,
            limit: None,
            bodiless: false,
            reader: AnswerReader::waiting(),
            head: None,
            ended: false,
            #[cfg(feature = "socket")]
            requester: None,
        })
    }

    /// Begins another request; `bodiless`: its response has no body (RFC 9110, section 9.3.2).
    pub(crate) fn begin(&mut self, bodiless: bool) {
        self.bodiless = bodiless;
        self.reader = AnswerReader::waiting();
    }

    /// Returns the request target, and the value of `Proxy-Authorization`.
    pub(crate) fn target(&self) -> (&str, Option<&str>) {
        (&self.target, self.proxy_authorization.as_deref())
    }

    pub(super) fn is_bodiless(&self) -> bool {
        self.bodiless
    }

    /// Whether it can carry another request: it is idle, and the server has not closed it.
    #[cfg(any(feature = "connector", feature = "socket"))]
    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty() && !self.ended && !self.wire.is_readable()
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Returns the wire, to be used or ended by another thread as well.
    #[cfg(feature = "socket")]
    pub(crate) fn shared_wire(&self) -> Arc<Wire> {
        Arc::clone(&self.wire)
    }

    pub(crate) fn set_stall_timeout(&mut self, stall_timeout: Duration) {
        self.stall_timeout = stall_timeout.min(UNLIMITED);
    }

    /// Limits the next request to `timeout` from `start`; another one can follow it.
    pub(crate) fn limit_to(&mut self, start: Instant, timeout: Duration) {
        let end = start.checked_add(timeout);
        self.limit = end.map(|end| (end, timeout));
    }

    /// Ends the time of the current request.
    #[cfg(feature = "socket")]
    pub(crate) fn lift_limit(&mut self) {
        self.limit = None;
    }

    /// Fails reads from now on once the peer of `requester` has disconnected; with `None` they never
    /// do.
    #[cfg(feature = "socket")]
    pub(crate) fn read_on_behalf_of(&mut self, requester: Option<Arc<Wire>>) {
        self.requester = requester;
    }

    pub(super) fn keeps_alive(&self) -> bool {
        self.limit.is_some()
    }

    /// Waits for at most the stall timeout. Returns whether the given descriptor, or else the
    /// connection, is ready.
    ///
    /// # Errors
    /// [`Error::Network`] after the timeout.
    pub(super) fn wait(&self, until: WaitFor<'_>) -> Result<bool, Error> {
        let left = self.limit.map(|(end, _)| end.saturating_duration_since(clock::now()));
        let timeout = left.unwrap_or(self.stall_timeout).min(self.stall_timeout);
        self.wire.wait(self.watching(until), timeout).map_err(|error| {
            let doing = match (error.kind(), self.limit) {
                (io::ErrorKind::TimedOut, Some((_, timeout))) => {
                    format!("nothing within {timeout:?}")
                }
                (io::ErrorKind::TimedOut, None) => {
                    format!("nothing moved for {:?}", self.stall_timeout)
                }
                _ => "connection to the server failed".into(),
            };
            Error::network(doing, error)
        })
    }

    /// Returns what to wait for, with the requester if there is one.
    fn watching<'f>(&'f self, until: WaitFor<'f>) -> WaitFor<'f> {
        #[cfg(feature = "socket")]
        if let (WaitFor::Readable, Some(requester)) = (until, &self.requester) {
            return WaitFor::ReadableFor(requester.as_fd());
        }
        until
    }

    /// Sends all of these bytes; with `more` they can be held back until the next ones.
    pub(crate) fn send(&mut self, mut bytes: &[u8], more: bool) -> Result<Sent, Error> {
        while !bytes.is_empty() {
            match self.wire.write(bytes, more) {
                Ok(Write::Moved(count)) => bytes = &bytes[count..],
                Ok(Write::Blocked) => {
                    if self.wait_for_room()? == Sent::Stopped {
                        return Ok(Sent::Stopped);
                    }
                }
                Err(error) => return self.cut_off(error),
            }
        }
        if more { Ok(Sent::All) } else { self.flush() }
    }

    /// Sends what is buffered in user memory: with a slow caller it would otherwise stay there.
    fn flush(&mut self) -> Result<Sent, Error> {
        loop {
            match self.wire.flush() {
                Ok(true) => return Ok(Sent::All),
                Ok(false) => {
                    if self.wait_for_room()? == Sent::Stopped {
                        return Ok(Sent::Stopped);
                    }
                }
                Err(error) => return self.cut_off(error),
            }
        }
    }

    /// Waits until the connection is writable, or the response is received.
    pub(super) fn wait_for_room(&mut self) -> Result<Sent, Error> {
        self.wait(WaitFor::Writable)?;
        self.listen()
    }

    /// Handles a failed send: often the response with the reason has already been received.
    pub(super) fn cut_off(&mut self, error: impl Into<io::Error>) -> Result<Sent, Error> {
        match self.listen() {
            Ok(Sent::Stopped) if self.head.is_some() => Ok(Sent::Stopped),
            Err(error @ Error::Answer(_)) => Err(error),
            Ok(_) | Err(_) => Err(Error::network("cannot send the request", error)),
        }
    }

    /// Reads the available bytes without blocking.
    pub(super) fn listen(&mut self) -> Result<Sent, Error> {
        while self.head.is_none() && !self.ended {
            let mut buffer = [0; READ_BYTES];
            match self.wire.read(&mut buffer) {
                Ok(Read::Moved(count)) => {
                    self.inbox.extend_from_slice(&buffer[..count]);
                    self.head = self.reader.take(&mut self.inbox)?;
                    // A server that sends interim responses without a pause is never waited for.
                    if let Some((end, timeout)) = self.limit
                        && self.head.is_none()
                        && clock::now() >= end
                    {
                        let doing = format!("nothing within {timeout:?}");
                        return Err(Error::network(doing, io::ErrorKind::TimedOut));
                    }
                }
                Ok(Read::Eof) => self.ended = true,
                Ok(Read::Blocked) => return Ok(Sent::All),
                Err(error) => return Err(Error::network("cannot read the answer", error)),
            }
        }
        Ok(Sent::Stopped)
    }

    /// Waits until the server requests the body, or responds instead.
    pub(super) fn await_continue(&mut self) -> Result<Sent, Error> {
        while !self.reader.continued() {
            if self.listen()? == Sent::Stopped {
                return Ok(Sent::Stopped);
            }
            if !self.reader.continued() {
                self.wait(WaitFor::Readable)?;
            }
        }
        Ok(Sent::All)
    }

    /// Waits for the response.
    ///
    /// # Errors
    /// [`Error::Network`] if the connection ends before it.
    pub(super) fn answer(mut self) -> Result<Response, Error> {
        let head = self.head()?;
        Response::new(head, self)
    }

    /// Waits for the head of the response.
    ///
    /// # Errors
    /// [`Error::Network`] if the connection ends before it.
    pub(crate) fn head(&mut self) -> Result<AnswerHead, Error> {
        while self.listen()? == Sent::All {
            self.wait(WaitFor::Readable)?;
        }
        match self.head.take() {
            Some(head) => Ok(head),
            None if self.inbox.is_empty() => Err(Error::network(
                "the server closed the connection without an answer",
                io::ErrorKind::UnexpectedEof,
            )),
            None => Err(AnswerError::Incomplete.into()),
        }
    }

    /// Whether nothing of the response was received.
    #[cfg(feature = "socket")]
    pub(crate) fn is_unanswered(&self) -> bool {
        self.inbox.is_empty() && !self.reader.has_interim()
    }

    /// Takes the bytes received after the head, to be read before anything else.
    pub(super) fn take_inbox(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.inbox)
    }

    /// Returns the bytes received and not yet used; the caller removes what it uses.
    pub(crate) fn inbox(&mut self) -> &mut Vec<u8> {
        &mut self.inbox
    }

    /// Reads more into the inbox, waiting for bytes; returns 0 at the end.
    #[cfg(feature = "socket")]
    pub(crate) fn fetch(&mut self) -> Result<usize, Error> {
        let mut buffer = [0; READ_BYTES];
        let count = self.receive(&mut buffer)?;
        self.inbox.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Reads into `buffer`, which must not be empty, waiting for bytes; returns 0 at the end.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.wire.read(buffer) {
                Ok(Read::Moved(count)) => return Ok(count),
                Ok(Read::Eof) => return Ok(0),
                Ok(Read::Blocked) => drop(self.wait(WaitFor::Readable)?),
                Err(error) => return Err(Error::network("cannot read the response", error)),
            }
        }
    }
}
