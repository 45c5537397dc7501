//! The sink: downloads all streams at once, and prints the time of each end.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv};

use super::{say, wait};
use crate::chunks::Decoder;
use crate::measure::now;
use crate::options::{Task, Taste};
use crate::wire::{Body, Framing, LAST_CHUNK, Verifier};
use crate::{Outcome, fault};

/// Buffer size of a sink that reads.
const READ_BYTES: usize = 256 << 10;
/// Maximum bytes that a sink discards in the kernel at once.
const DROP_BYTES: usize = 1 << 20;

/// One download.
struct Download {
    socket: TcpStream,
    /// The part of the head read so far, until it is complete.
    head: Option<Vec<u8>>,
    intake: Intake,
    /// Whether the sink received a request and must respond.
    owes_answer: bool,
}

/// The state of one body.
struct Intake {
    body: Body,
    taste: Taste,
    wire_bytes: u64,
    /// The last bytes read.
    tail: Vec<u8>,
    verifier: Verifier,
    decoder: Decoder,
}

/// Downloads each of `ids`; prints `ready`, then `end <index> <time>` for each.
pub(crate) fn run(task: &Task, ids: &[String]) -> Outcome<()> {
    let sockets = match task.listen {
        Some(address) => {
            let listener = TcpListener::bind(address)?;
            say("ready");
            let accepted: Result<Vec<_>, io::Error> =
                ids.iter().map(|_| listener.accept().map(|(socket, _)| socket)).collect();
            accepted?
        }
        None => ask(task, ids)?,
    };
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
fn ask(task: &Task, ids: &[String]) -> Outcome<Vec<TcpStream>> {
    let mut sockets = Vec::new();
    for id in ids {
        let mut socket = TcpStream::connect(task.relay)?;
        let host = task.relay;
        let head =
            format!("GET /stream/{id} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        socket.write_all(head.as_bytes())?;
        sockets.push(socket);
    }
    say("ready");
    Ok(sockets)
}

/// One system call per download and round, so that all have the same share.
fn interleave(downloads: &mut [Download], buffer: &mut [u8]) -> Outcome<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (index, download) in downloads.iter().enumerate() {
        download.socket.set_nonblocking(true)?;
        epoll.add(&download.socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
    }
    let mut open = downloads.len();
    let mut events = vec![EpollEvent::empty(); downloads.len()];
    while open > 0 {
        let count = wait(&epoll, &mut events)?;
        for event in &events[..count] {
            let index = usize::try_from(event.data())?;
            if downloads[index].step(index, buffer)? {
                epoll.delete(&downloads[index].socket)?;
                open -= 1;
            }
        }
    }
    Ok(())
}

impl Download {
    fn new(socket: TcpStream, task: &Task, index: usize) -> Self {
        let body = task.body(index);
        let intake = Intake {
            body,
            taste: task.taste,
            wire_bytes: 0,
            tail: Vec::new(),
            verifier: Verifier::new(body),
            decoder: Decoder::new(),
        };
        Self { socket, head: Some(Vec::new()), intake, owes_answer: task.listen.is_some() }
    }

    /// Makes one system call; returns true at the end of the body.
    fn step(&mut self, index: usize, buffer: &mut [u8]) -> Outcome<bool> {
        let result = match self.head.take() {
            Some(head) => self.read_head(head),
            None => self.read_body(buffer),
        };
        let ended = match result {
            Err(error) => {
                let received = self.intake.wire_bytes;
                return Err(fault(format!("sink: stream {index}: {error} after {received} bytes")));
            }
            Ok(ended) => ended,
        };
        if ended {
            say(&format!("end {index} {}", now().as_nanos()));
            if self.owes_answer {
                self.socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            }
        }
        Ok(ended)
    }

    fn read_head(&mut self, mut head: Vec<u8>) -> Outcome<bool> {
        let mut bytes = [0; 2048];
        let count = match self.socket.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.head = Some(head);
                return Ok(false);
            }
            Ok(0) => return Err(fault("the head is missing")),
            other => other?,
        };
        head.extend_from_slice(&bytes[..count]);
        let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") else {
            self.head = Some(head);
            return Ok(false);
        };
        let text = String::from_utf8_lossy(&head);
        if !self.owes_answer && text.split(' ').nth(1) != Some("200") {
            return Err(fault(format!("answered {text}")));
        }
        self.intake.read(&head[end + 4..])?;
        Ok(self.intake.complete())
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> Outcome<bool> {
        let (flags, bytes) = match usize::try_from(self.intake.droppable())? {
            0 => (MsgFlags::empty(), READ_BYTES),
            droppable => (MsgFlags::MSG_TRUNC, droppable.min(DROP_BYTES)),
        };
        let bytes = &mut buffer[..bytes];
        match recv(self.socket.as_raw_fd(), bytes, flags) {
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(0) => return self.intake.end().map(|()| true),
            Ok(count) if flags == MsgFlags::MSG_TRUNC => self.intake.wire_bytes += count as u64,
            Ok(count) => self.intake.read(&bytes[..count])?,
        }
        Ok(self.intake.complete())
    }
}

impl Intake {
    /// Bytes that can be discarded unread: never those that end a chunked body.
    fn droppable(&self) -> u64 {
        match self.taste {
            Taste::Discard => self.body.length.saturating_sub(self.wire_bytes),
            Taste::Read | Taste::Verify => 0,
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.wire_bytes += bytes.len() as u64;
        let keep = bytes.len().saturating_sub(LAST_CHUNK.len());
        self.tail.extend_from_slice(&bytes[keep..]);
        self.tail.drain(..self.tail.len().saturating_sub(LAST_CHUNK.len()));
        match (self.taste, self.body.framing) {
            (Taste::Verify, Framing::Length) => self.verifier.take(bytes),
            (Taste::Verify, Framing::Chunks(_)) => {
                self.decoder.feed(bytes, |payload| self.verifier.take(payload))
            }
            (Taste::Discard | Taste::Read, _) => Ok(()),
        }
    }

    /// Whether the body is complete without the end of the connection.
    fn complete(&self) -> bool {
        self.body.framing == Framing::Length && self.wire_bytes >= self.body.length
    }

    /// Checks at the end of the connection that nothing is missing.
    fn end(&self) -> Outcome<()> {
        match (self.body.framing, self.taste) {
            (Framing::Length, _) => Err(fault(format!("cut off before {}", self.body.length))),
            (Framing::Chunks(_), _) if self.wire_bytes < self.body.length => {
                Err(fault(format!("cut off before {}", self.body.length)))
            }
            (Framing::Chunks(_), _) if self.tail != LAST_CHUNK => Err(fault("no last chunk")),
            (Framing::Chunks(_), Taste::Verify) if !self.decoder.ended() => {
                Err(fault("the chunked body is not over"))
            }
            (Framing::Chunks(_), Taste::Verify) => self.verifier.end(),
            (Framing::Chunks(_), Taste::Discard | Taste::Read) => Ok(()),
        }
    }
}
