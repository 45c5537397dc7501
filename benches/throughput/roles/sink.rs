//! The sink: downloads all streams at once, and prints the time of each end.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv};

use super::{open, report, wait};
use crate::chunks::Decoder;
use crate::measure::now;
use crate::options::{SinkMode, TransferArgs};
use crate::tls::Connection;
use crate::wire::{Body, Framing, LAST_CHUNK, Verifier};
use crate::{Result, failure};

/// Buffer size of a sink that reads.
const READ_BYTES: usize = 256 << 10;
/// Maximum bytes that a sink discards in the kernel at once.
const DROP_BYTES: usize = 1 << 20;

/// One download.
struct Download {
    socket: Connection,
    /// The part of the head read so far, until it is complete.
    head: Option<Vec<u8>>,
    received: ReceivedBody,
    /// Whether the sink received a request and must respond.
    must_respond: bool,
}

/// The state of one body.
struct ReceivedBody {
    body: Body,
    mode: SinkMode,
    wire_bytes: u64,
    /// The last bytes read.
    tail: Vec<u8>,
    verifier: Verifier,
    decoder: Decoder,
}

/// Downloads each of `ids`; prints `ready`, then `end <index> <time>` for each.
pub(crate) fn run(task: &TransferArgs, ids: &[String]) -> Result<()> {
    let sockets = match task.listen {
        Some(address) => {
            let listener = TcpListener::bind(address)?;
            report("ready");
            let accepted: Result<Vec<_>, io::Error> = ids
                .iter()
                .map(|_| listener.accept().map(|(socket, _)| Connection::Plain(socket)))
                .collect();
            accepted?
        }
        None => request(task, ids)?,
    };
    if task.stalled {
        io::copy(&mut io::stdin(), &mut io::sink())?;
    }
    let mut downloads: Vec<Download> = sockets
        .into_iter()
        .enumerate()
        .map(|(index, socket)| Download::new(socket, task, index))
        .collect();
    let mut buffer = vec![0; DROP_BYTES];
    match downloads.as_mut_slice() {
        [only] => while !only.step(0, &mut buffer)? {},
        many => interleave(many, &mut buffer)?,
    }
    Ok(())
}

/// Connects to the relay and requests each stream.
fn request(task: &TransferArgs, ids: &[String]) -> Result<Vec<Connection>> {
    let mut sockets = open(task, ids.len())?;
    for (socket, id) in sockets.iter_mut().zip(ids) {
        let host = task.relay;
        let head =
            format!("GET /stream/{id} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        socket.write_all(head.as_bytes())?;
    }
    report("ready");
    Ok(sockets)
}

/// One system call per download and round, so that all have the same share.
fn interleave(downloads: &mut [Download], buffer: &mut [u8]) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (index, download) in downloads.iter().enumerate() {
        download.socket.socket().set_nonblocking(true)?;
        epoll.add(&download.socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
    }
    let mut open = downloads.len();
    let mut events = vec![EpollEvent::empty(); downloads.len()];
    while open > 0 {
        let count = wait(&epoll, &mut events)?;
        for event in &events[..count] {
            let index = usize::try_from(event.data())?;
            if downloads[index].steps(index, buffer)? {
                epoll.delete(&downloads[index].socket)?;
                open -= 1;
            }
        }
    }
    Ok(())
}

impl Download {
    fn new(socket: Connection, task: &TransferArgs, index: usize) -> Self {
        let body = task.body(index);
        let received = ReceivedBody {
            body,
            mode: task.mode,
            wire_bytes: 0,
            tail: Vec::new(),
            verifier: Verifier::new(body),
            decoder: Decoder::new(),
        };
        Self { socket, head: Some(Vec::new()), received, must_respond: task.listen.is_some() }
    }

    /// Makes one system call, and takes all bytes that it received.
    fn steps(&mut self, index: usize, buffer: &mut [u8]) -> Result<bool> {
        loop {
            let ended = self.step(index, buffer)?;
            if ended || !self.socket.has_received() {
                return Ok(ended);
            }
        }
    }

    /// Makes one system call; returns true at the end of the body.
    fn step(&mut self, index: usize, buffer: &mut [u8]) -> Result<bool> {
        let result = match self.head.take() {
            Some(head) => self.read_head(head),
            None => self.read_body(buffer),
        };
        let ended = match result {
            Err(error) => {
                let received = self.received.wire_bytes;
                return Err(failure(format!(
                    "sink: stream {index}: {error} after {received} bytes"
                )));
            }
            Ok(ended) => ended,
        };
        if ended {
            report(&format!("end {index} {}", now().as_nanos()));
            if self.must_respond {
                self.socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            }
        }
        Ok(ended)
    }

    fn read_head(&mut self, mut head: Vec<u8>) -> Result<bool> {
        let mut bytes = [0; 2048];
        let count = match self.socket.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.head = Some(head);
                return Ok(false);
            }
            Ok(0) => return Err(failure("the head is missing")),
            other => other?,
        };
        head.extend_from_slice(&bytes[..count]);
        let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") else {
            self.head = Some(head);
            return Ok(false);
        };
        let text = String::from_utf8_lossy(&head);
        if !self.must_respond && text.split(' ').nth(1) != Some("200") {
            return Err(failure(format!("the relay returned {text}")));
        }
        self.received.read(&head[end + 4..])?;
        Ok(self.received.complete())
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let droppable = match &self.socket {
            Connection::Plain(_) => usize::try_from(self.received.droppable())?,
            Connection::Tls(_) => 0,
        };
        if droppable > 0 {
            let bytes = &mut buffer[..droppable.min(DROP_BYTES)];
            match recv(self.socket.as_fd().as_raw_fd(), bytes, MsgFlags::MSG_TRUNC) {
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(false),
                Err(error) => return Err(error.into()),
                Ok(0) => return self.received.end().map(|()| true),
                Ok(count) => self.received.wire_bytes += count as u64,
            }
            return Ok(self.received.complete());
        }
        let bytes = &mut buffer[..READ_BYTES];
        match self.socket.read(bytes) {
            Err(error) if is_temporary(&error) => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(0) => return self.received.end().map(|()| true),
            Ok(count) => self.received.read(&bytes[..count])?,
        }
        Ok(self.received.complete())
    }
}

/// Whether the same call can succeed later.
fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl ReceivedBody {
    /// Bytes that can be discarded unread: never those that end a chunked body.
    fn droppable(&self) -> u64 {
        match self.mode {
            SinkMode::Discard => self.body.length.saturating_sub(self.wire_bytes),
            SinkMode::Read | SinkMode::Verify => 0,
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<()> {
        self.wire_bytes += bytes.len() as u64;
        let keep = bytes.len().saturating_sub(LAST_CHUNK.len());
        self.tail.extend_from_slice(&bytes[keep..]);
        self.tail.drain(..self.tail.len().saturating_sub(LAST_CHUNK.len()));
        match (self.mode, self.body.framing) {
            (SinkMode::Verify, Framing::Length) => self.verifier.take(bytes),
            (SinkMode::Verify, Framing::Chunks(_)) => {
                self.decoder.feed(bytes, |payload| self.verifier.take(payload))
            }
            (SinkMode::Discard | SinkMode::Read, _) => Ok(()),
        }
    }

    /// Whether the body is complete without the end of the connection.
    fn complete(&self) -> bool {
        self.body.framing == Framing::Length && self.wire_bytes >= self.body.length
    }

    /// Checks at the end of the connection that nothing is missing.
    fn end(&self) -> Result<()> {
        match (self.body.framing, self.mode) {
            (Framing::Length, _) => Err(failure(format!("cut off before {}", self.body.length))),
            (Framing::Chunks(_), _) if self.wire_bytes < self.body.length => {
                Err(failure(format!("cut off before {}", self.body.length)))
            }
            (Framing::Chunks(_), _) if self.tail != LAST_CHUNK => Err(failure("no last chunk")),
            (Framing::Chunks(_), SinkMode::Verify) if !self.decoder.ended() => {
                Err(failure("the chunked body is not over"))
            }
            (Framing::Chunks(_), SinkMode::Verify) => self.verifier.end(),
            (Framing::Chunks(_), SinkMode::Discard | SinkMode::Read) => Ok(()),
        }
    }
}
