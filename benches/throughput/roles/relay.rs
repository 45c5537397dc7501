//! The comparison relay: pairs one upload with one download and transfers bytes, nothing else.
//!
//! It implements only the HTTP of the bench's source and sink, has no timeouts and no stream state,
//! and forwards a chunked body unchanged. One thread, epoll, edge-triggered, each connection
//! registered once.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use slab::Slab;

use super::buffer::Buffer;
use super::{report, wait};
use crate::{Result, failure};

/// Token of the listener.
const LISTENER: u64 = u64::MAX;
/// Maximum size of a request head; bytes after it in the same read are forwarded.
const HEAD_BYTES: usize = 4096;

/// One connection.
struct Connection {
    socket: TcpStream,
    phase: Phase,
}

/// What a connection is waiting for.
enum Phase {
    /// The rest of its request head.
    Head(Vec<u8>),
    /// The other side.
    Waiting,
    /// Bytes to read or space to write, as part of this pair.
    Paired(usize),
    /// Removal at the end of this batch of events.
    Closed,
}

/// A request whose other side is not connected yet.
struct Request {
    connection: usize,
    upload: bool,
    /// Wire bytes of the body, and the framing header line for the sink.
    body: (u64, String),
    /// Body bytes read with the head.
    prefix: Vec<u8>,
}

/// Two connections and the bytes between them.
struct Pair<B> {
    source: usize,
    sink: usize,
    left: u64,
    buffer: B,
}

/// The relay's state.
struct Relay<B> {
    epoll: Epoll,
    listener: TcpListener,
    connections: Slab<Connection>,
    pairs: Slab<Pair<B>>,
    waiting: HashMap<String, Request>,
    closed: Vec<usize>,
}

/// Serves until killed; prints the address.
pub(crate) fn serve<B: Buffer>(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    report(&format!("listening on http://{}", listener.local_addr()?));
    let mut relay: Relay<B> = Relay {
        epoll,
        listener,
        connections: Slab::new(),
        pairs: Slab::new(),
        waiting: HashMap::new(),
        closed: Vec::new(),
    };
    relay.run()
}

impl<B: Buffer> Relay<B> {
    fn run(&mut self) -> Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        loop {
            let count = wait(&self.epoll, &mut events)?;
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept()?,
                    token => self.ready(usize::try_from(token)?)?,
                }
            }
            for connection in self.closed.drain(..) {
                self.connections.remove(connection);
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        while let Some((socket, _)) = unless_blocked(self.listener.accept())? {
            socket.set_nonblocking(true)?;
            let entry = self.connections.vacant_entry();
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            self.epoll.add(&socket, EpollEvent::new(flags, entry.key() as u64))?;
            entry.insert(Connection { socket, phase: Phase::Head(Vec::new()) });
        }
        Ok(())
    }

    fn ready(&mut self, key: usize) -> Result<()> {
        match &mut self.connections[key].phase {
            Phase::Head(_) => self.read_head(key),
            Phase::Paired(pair) => {
                let pair = *pair;
                self.pump(pair);
                Ok(())
            }
            Phase::Waiting | Phase::Closed => Ok(()),
        }
    }

    fn read_head(&mut self, key: usize) -> Result<()> {
        let Connection { socket, phase } = &mut self.connections[key];
        let Phase::Head(head) = phase else { return Ok(()) };
        let mut bytes = [0; HEAD_BYTES];
        while let Some(count) = unless_blocked(socket.read(&mut bytes))? {
            head.extend_from_slice(&bytes[..count]);
            if let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") {
                let prefix = head.split_off(end + 4);
                let (id, request) = request(key, &String::from_utf8_lossy(head), prefix)?;
                *phase = Phase::Waiting;
                return self.pair(id, request);
            }
            if count == 0 {
                self.close(key);
                return Ok(());
            }
        }
        Ok(())
    }

    fn pair(&mut self, id: String, request: Request) -> Result<()> {
        let Some(other) = self.waiting.remove(&id) else {
            self.waiting.insert(id, request);
            return Ok(());
        };
        let (upload, download) = if request.upload { (request, other) } else { (other, request) };
        let (wire_bytes, framing) = upload.body;
        let mut head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").into_bytes();
        head.extend_from_slice(&upload.prefix);
        let mut sink = &self.connections[download.connection].socket;
        if sink.write(&head)? != head.len() {
            return Err(failure("a new connection accepted only a part of the head"));
        }
        let pair = self.pairs.insert(Pair {
            source: upload.connection,
            sink: download.connection,
            left: wire_bytes - upload.prefix.len() as u64,
            buffer: B::new()?,
        });
        self.connections[upload.connection].phase = Phase::Paired(pair);
        self.connections[download.connection].phase = Phase::Paired(pair);
        self.pump(pair);
        Ok(())
    }

    /// Transfers until a side blocks; at the end, or after an error, closes both sides.
    fn pump(&mut self, key: usize) {
        let pair = &mut self.pairs[key];
        let source = &self.connections[pair.source].socket;
        let sink = &self.connections[pair.sink].socket;
        match unless_blocked(pair.pump(source, sink)) {
            Ok(None) => return,
            Ok(Some(())) => {
                let mut source = source;
                // The write fails only if the source disconnected, and the source then reports it.
                let _ = source.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
            Err(error) => eprintln!("comparison relay: {error}"),
        }
        let pair = self.pairs.remove(key);
        self.close(pair.source);
        self.close(pair.sink);
    }

    fn close(&mut self, key: usize) {
        self.connections[key].phase = Phase::Closed;
        self.closed.push(key);
    }
}

impl<B: Buffer> Pair<B> {
    /// Transfers until the body is complete or one side blocks.
    fn pump(&mut self, source: &TcpStream, sink: &TcpStream) -> io::Result<()> {
        loop {
            while self.buffer.pending() > 0 {
                self.buffer.drain(sink)?;
            }
            if self.left == 0 {
                return Ok(());
            }
            match self.buffer.fill(source, self.left)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.left -= count as u64,
            }
        }
    }
}

/// Parses the request line, and the two headers in use.
fn request(connection: usize, head: &str, prefix: Vec<u8>) -> Result<(String, Request)> {
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let upload = words.next() == Some("PUT");
    let id = words.next().and_then(|path| path.strip_prefix("/stream/"));
    let id = id.ok_or_else(|| failure(format!("no stream in: {line}")))?.to_owned();
    let wire_bytes = head.lines().find_map(|line| line.strip_prefix("X-Wire-Length: "));
    let framing = head
        .lines()
        .find(|line| line.starts_with("Content-Length") || line.starts_with("Transfer-Encoding"));
    let body = (wire_bytes.unwrap_or("0").parse()?, framing.unwrap_or_default().to_owned());
    Ok((id, Request { connection, upload, body, prefix }))
}

/// Converts "would block" to `None`.
fn unless_blocked<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
