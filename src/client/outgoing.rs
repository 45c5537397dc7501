//! A request being sent: the head, then the body from any source, framed by its length or in chunks
//! (RFC 9112, section 7.1). A truncated body never looks complete: only [`Outgoing::finish`] sends
//! the last chunk, and a length that is not met is an error.

use super::connection::{Connection, Sent};
use super::dial;
use super::options::Options;
use super::url::Url;
use super::wire::{WaitFor, Wire};
use super::{Error, Response};
use crate::http::framing::Framing;
use crate::http::response::HeadWriter;
use crate::splice::file::{self, FileReady};
use crate::splice::pipe::{self, Drain, Fill, Pipe};
use nix::errno::Errno;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Bytes of a file per call, so that an early response is noticed in between.
const FILE_STEP_BYTES: u64 = 4 << 20;

/// Size of the pipe between standard input and the socket: the unprivileged maximum.
const PIPE_BYTES: usize = 1 << 20;

/// Bytes copied per step where the kernel cannot move them.
pub(super) const COPY_BYTES: usize = 256 << 10;

/// The timeout towards a relay, which itself detects the stalled side; TCP keep-alive detects a
/// dead path.
pub(super) const UNLIMITED: Duration = Duration::from_hours(24 * 365);

/// Called with the number of body bytes passed to the kernel.
pub(super) type Progress = Box<dyn FnMut(u64) + Send>;

/// A request to be sent.
pub(super) struct Request<'r> {
    pub(super) method: &'r str,
    pub(super) url: &'r Url,
    pub(super) framing: Framing,
    /// Fields in addition to those of the options.
    pub(super) fields: Vec<(&'r str, String)>,
    /// Whether to hold the body back until the server requests it.
    pub(super) expect_continue: bool,
}

/// A request whose head was sent.
pub(super) struct Outgoing {
    connection: Connection,
    framing: Framing,
    sent_bytes: u64,
    /// Start and announced length of the current piece.
    piece: Option<(u64, u64)>,
    progress: Progress,
}

impl Outgoing {
    /// Connects and sends the head.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Network`]; no byte of the body was sent.
    pub(super) fn open(request: &Request<'_>, options: &Options) -> Result<Self, Error> {
        Self::on(Connection::open(request.url, options)?, request, options)
    }

    /// Sends the head on an idle connection to the same server.
    ///
    /// # Errors
    /// [`Error::Network`]; no byte of the body was sent.
    pub(super) fn on(
        mut connection: Connection,
        request: &Request<'_>,
        options: &Options,
    ) -> Result<Self, Error> {
        let head = head(request, options, &connection);
        connection.begin(request.method == "HEAD");
        // A server that refuses before reading the head gives the reason in its response.
        let _ = connection.send(&head, false)?;
        let framing = request.framing;
        Ok(Self { connection, framing, sent_bytes: 0, piece: None, progress: Box::new(|_| ()) })
    }

    /// Sets the callback for the byte count of each step.
    pub(super) fn report_to(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Sets the stall timeout from now on.
    pub(super) fn set_stall_timeout(&mut self, stall_timeout: Duration) {
        self.connection.set_stall_timeout(stall_timeout);
    }

    /// Returns the number of body bytes sent, including those in progress.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Waits until the server requests the body, or responds instead.
    pub(super) fn await_continue(&mut self) -> Result<Sent, Error> {
        self.connection.await_continue()
    }

    /// Sends bytes of the body.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<Sent, Error> {
        if bytes.is_empty() {
            return Ok(Sent::All);
        }
        if self.begin(bytes.len() as u64)? == Sent::Stopped {
            return Ok(Sent::Stopped);
        }
        let sent = self.connection.send(bytes, false)?;
        if sent == Sent::All {
            (self.progress)(bytes.len() as u64);
        }
        Ok(sent)
    }

    /// Runs `piece`, which must send exactly `expected_bytes` bytes.
    ///
    /// # Errors
    /// [`Error::Size`] on the first byte too many, or on a premature end.
    pub(super) fn exactly(
        &mut self,
        expected_bytes: u64,
        piece: impl FnOnce(&mut Self) -> Result<Sent, Error>,
    ) -> Result<Sent, Error> {
        let start = self.sent_bytes;
        self.piece = Some((start, expected_bytes));
        let sent = piece(self)?;
        self.piece = None;
        let found_bytes = self.sent_bytes - start;
        if sent == Sent::All && found_bytes < expected_bytes {
            return Err(Error::Size { expected_bytes, found_bytes });
        }
        Ok(sent)
    }

    /// Sends exactly `bytes` bytes of a file, from its current position.
    ///
    /// # Errors
    /// [`Error::Size`] if the file has fewer.
    pub(super) fn file(&mut self, file: &mut File, bytes: u64) -> Result<Sent, Error> {
        if bytes == 0 {
            return Ok(Sent::All);
        }
        if self.begin(bytes)? == Sent::Stopped {
            return Ok(Sent::Stopped);
        }
        let mut left = bytes;
        while left > 0 {
            if self.connection.listen()? == Sent::Stopped {
                return Ok(Sent::Stopped);
            }
            let step = match self.connection.wire() {
                Wire::Plain(socket) => {
                    let most = usize::try_from(left.min(FILE_STEP_BYTES)).unwrap_or(usize::MAX);
                    file::give(file, socket, most)
                }
                Wire::Unix(_) | Wire::Tls(_) => Err(Errno::EINVAL),
            };
            match step {
                Ok(FileReady::Moved(count)) => {
                    left -= count as u64;
                    (self.progress)(count as u64);
                }
                Ok(FileReady::Blocked) => {
                    if self.connection.wait_for_room()? == Sent::Stopped {
                        return Ok(Sent::Stopped);
                    }
                }
                Ok(FileReady::Eof) => return Err(shrunk(bytes, left)),
                Err(Errno::EINVAL | Errno::ENOSYS) => return self.copy_file(file, bytes, left),
                Err(Errno::EIO) => return Err(Error::local("cannot read the file", Errno::EIO)),
                Err(error) => return self.connection.cut_off(error),
            }
        }
        Ok(Sent::All)
    }

    fn copy_file(&mut self, file: &mut File, bytes: u64, mut left: u64) -> Result<Sent, Error> {
        let mut buffer = vec![0; COPY_BYTES];
        while left > 0 {
            if self.connection.listen()? == Sent::Stopped {
                return Ok(Sent::Stopped);
            }
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = read(file, &mut buffer[..most])?;
            if count == 0 {
                return Err(shrunk(bytes, left));
            }
            if self.connection.send(&buffer[..count], false)? == Sent::Stopped {
                return Ok(Sent::Stopped);
            }
            left -= count as u64;
            (self.progress)(count as u64);
        }
        Ok(Sent::All)
    }

    /// Sends everything from a descriptor (a pipe, a terminal, a socket) until its end. The wait
    /// for input is unlimited: it may be typed.
    pub(super) fn descriptor(&mut self, input: BorrowedFd<'_>) -> Result<Sent, Error> {
        let splices = matches!(self.connection.wire(), Wire::Plain(_));
        // A larger pipe decouples the program writing to it, and gives larger chunks.
        let is_pipe = pipe::enlarge(input, PIPE_BYTES);
        match Pipe::open(PIPE_BYTES) {
            Ok(pipe) if splices && is_pipe => self.splice(input, &pipe),
            Ok(_) | Err(_) => self.descriptor_seen(input, &mut |_| ()),
        }
    }

    fn splice(&mut self, input: BorrowedFd<'_>, pipe: &Pipe) -> Result<Sent, Error> {
        loop {
            match pipe.fill(input, PIPE_BYTES) {
                Ok(Fill::Eof) => return Ok(Sent::All),
                Ok(Fill::Blocked) => {
                    self.connection.wait(WaitFor::Input(input))?;
                    if self.connection.listen()? == Sent::Stopped {
                        return Ok(Sent::Stopped);
                    }
                }
                Ok(Fill::Moved(count)) => {
                    if self.drain(pipe, count)? == Sent::Stopped {
                        return Ok(Sent::Stopped);
                    }
                }
                Err(error) => return Err(Error::local("cannot read the input", error)),
            }
        }
    }

    fn drain(&mut self, pipe: &Pipe, mut left: usize) -> Result<Sent, Error> {
        if self.begin(left as u64)? == Sent::Stopped {
            return Ok(Sent::Stopped);
        }
        while left > 0 {
            match pipe.drain(self.connection.wire(), left) {
                Ok(Drain::Moved(count)) => {
                    left -= count;
                    (self.progress)(count as u64);
                }
                Ok(Drain::Blocked) => {
                    if self.connection.wait_for_room()? == Sent::Stopped {
                        return Ok(Sent::Stopped);
                    }
                }
                Err(error) => return self.connection.cut_off(error),
            }
        }
        Ok(Sent::All)
    }

    /// Does the same, and passes everything to `seen` before it is sent.
    pub(super) fn descriptor_seen(
        &mut self,
        input: BorrowedFd<'_>,
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<Sent, Error> {
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            if !self.connection.wait(WaitFor::Input(input))? {
                if self.connection.listen()? == Sent::Stopped {
                    return Ok(Sent::Stopped);
                }
                continue;
            }
            match nix::unistd::read(input, &mut buffer) {
                Ok(0) => return Ok(Sent::All),
                Ok(count) => {
                    seen(&buffer[..count]);
                    if self.bytes(&buffer[..count])? == Sent::Stopped {
                        return Ok(Sent::Stopped);
                    }
                }
                // A process that shares the non-blocking descriptor may have read first.
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => return Err(Error::local("cannot read the input", error)),
            }
        }
    }

    /// Ends the body, with an optional trailer if it is chunked, and waits for the response.
    ///
    /// # Errors
    /// [`Error::Size`] if the body is shorter than announced; the request is aborted.
    pub(super) fn finish(mut self, trailer: Option<(&str, &str)>) -> Result<Response, Error> {
        match self.framing {
            Framing::Length(length) if length != self.sent_bytes => {
                return Err(Error::Size { expected_bytes: length, found_bytes: self.sent_bytes });
            }
            Framing::Length(_) => {}
            Framing::Chunked => {
                let first = if self.sent_bytes == 0 { "" } else { "\r\n" };
                let trailer =
                    trailer.map_or(String::new(), |(name, value)| format!("{name}: {value}\r\n"));
                let end = format!("{first}0\r\n{trailer}\r\n");
                let _ = self.connection.send(end.as_bytes(), false)?;
            }
        }
        self.connection.answer()
    }

    /// Returns the response received before the end.
    pub(super) fn answer(self) -> Result<Response, Error> {
        self.connection.answer().map(Response::early)
    }

    /// Starts a piece of `bytes` body bytes, unless the response has been received, which a server
    /// can send while still reading. One received after the last byte is not early.
    fn begin(&mut self, bytes: u64) -> Result<Sent, Error> {
        if let Some((start, expected_bytes)) = self.piece {
            let found_bytes = (self.sent_bytes - start).saturating_add(bytes);
            if found_bytes > expected_bytes {
                return Err(Error::Size { expected_bytes, found_bytes });
            }
        }
        if self.connection.listen()? == Sent::Stopped {
            return Ok(Sent::Stopped);
        }
        match self.framing {
            Framing::Length(length) => {
                let found_bytes = self.sent_bytes.saturating_add(bytes);
                if found_bytes > length {
                    return Err(Error::Size { expected_bytes: length, found_bytes });
                }
                self.sent_bytes = found_bytes;
                Ok(Sent::All)
            }
            Framing::Chunked => {
                let mut prefix = [0; 24];
                let mut rest = &mut prefix[..];
                let first = if self.sent_bytes == 0 { "" } else { "\r\n" };
                write!(rest, "{first}{bytes:x}\r\n")
                    .map_err(|error| Error::local("cannot write a chunk", error))?;
                let unused = rest.len();
                self.sent_bytes = self.sent_bytes.saturating_add(bytes);
                let used = prefix.len() - unused;
                self.connection.send(&prefix[..used], true)
            }
        }
    }
}

fn head(request: &Request<'_>, options: &Options, connection: &Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (target, proxy_authorization) = connection.target();
    let mut head = HeadWriter::request(&mut bytes, request.method, target);
    let authority = request.url.authority();
    head = head.field("Host", authority.as_bytes());
    for (name, value) in [("User-Agent", crate::client::USER_AGENT), ("Accept", "*/*")] {
        if !options.has_field(name) {
            head = head.field(name, value.as_bytes());
        }
    }
    if let Some(authorization) = authorization(request.url, options) {
        head = head.field("Authorization", authorization.as_bytes());
    }
    if let Some(authorization) = proxy_authorization {
        head = head.field("Proxy-Authorization", authorization.as_bytes());
    }
    for (name, value) in &request.fields {
        if !options.has_field(name) {
            head = head.field(name, value.as_bytes());
        }
    }
    for (name, value) in &options.fields {
        head = head.field(name, value.as_bytes());
    }
    head = match request.framing {
        Framing::Length(0) if matches!(request.method, "GET" | "HEAD" | "DELETE") => head,
        Framing::Length(bytes) => head.content_length(bytes),
        Framing::Chunked => head.chunked(),
    };
    if request.expect_continue {
        head = head.field("Expect", b"100-continue");
    }
    if !connection.keeps_alive() {
        head = head.field("Connection", b"close");
    }
    head.end();
    bytes
}

/// Returns the credentials for the server, unless a field of the options has them.
fn authorization(url: &Url, options: &Options) -> Option<String> {
    if options.has_field("Authorization") {
        return None;
    }
    let basic = url.credentials.as_deref().map(dial::basic);
    let token = || Some(format!("Bearer {}", options.token.as_ref()?.for_url(url)?));
    basic.or_else(token)
}

fn read(file: &mut File, buffer: &mut [u8]) -> Result<usize, Error> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|error| Error::local("cannot read the file", error)),
        }
    }
}

fn shrunk(expected_bytes: u64, left_bytes: u64) -> Error {
    Error::Size { expected_bytes, found_bytes: expected_bytes - left_bytes }
}
