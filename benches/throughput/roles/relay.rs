//! The comparison relay: pairs one upload with one download and transfers bytes, nothing else.
//!
//! It implements only the HTTP of the bench's source and sink, has no timeouts and no stream state,
//! and forwards a chunked body unchanged. One thread, epoll, edge-triggered, each connection
//! registered once.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use slab::Slab;

use super::mover::Mover;
use super::{say, wait};
use crate::{Outcome, fault};

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
    Waits,
    /// Bytes to read or space to write, as part of this pair.
    Moves(usize),
    /// Removal at the end of this batch of events.
    Gone,
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
struct Pair<M> {
    source: usize,
    sink: usize,
    left: u64,
    mover: M,
}

/// The relay's state.
struct Relay<M> {
    epoll: Epoll,
    listener: TcpListener,
    connections: Slab<Connection>,
    pairs: Slab<Pair<M>>,
    waiting: HashMap<String, Request>,
    gone: Vec<usize>,
}

/// Serves on a free loopback port until killed; prints the address.
pub(crate) fn serve<M: Mover>() -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    let mut relay: Relay<M> = Relay {
        epoll,
        listener,
        connections: Slab::new(),
        pairs: Slab::new(),
        waiting: HashMap::new(),
        gone: Vec::new(),
    };
    relay.run()
}

impl<M: Mover> Relay<M> {
    fn run(&mut self) -> Outcome<()> {
        let mut events = [EpollEvent::empty(); 256];
        loop {
            let count = wait(&self.epoll, &mut events)?;
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept()?,
                    token => self.ready(usize::try_from(token)?)?,
                }
            }
            for connection in self.gone.drain(..) {
                self.connections.remove(connection);
            }
        }
    }

    fn accept(&mut self) -> Outcome<()> {
        while let Some((socket, _)) = unless_blocked(self.listener.accept())? {
            socket.set_nonblocking(true)?;
            let entry = self.connections.vacant_entry();
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            self.epoll.add(&socket, EpollEvent::new(flags, entry.key() as u64))?;
            entry.insert(Connection { socket, phase: Phase::Head(Vec::new()) });
        }
        Ok(())
    }

    fn ready(&mut self, key: usize) -> Outcome<()> {
        match &mut self.connections[key].phase {
            Phase::Head(_) => self.read_head(key),
            Phase::Moves(pair) => {
                let pair = *pair;
                self.pump(pair);
                Ok(())
            }
            Phase::Waits | Phase::Gone => Ok(()),
        }
    }

    fn read_head(&mut self, key: usize) -> Outcome<()> {
        let Connection { socket, phase } = &mut self.connections[key];
        let Phase::Head(head) = phase else { return Ok(()) };
        let mut bytes = [0; HEAD_BYTES];
        while let Some(count) = unless_blocked(socket.read(&mut bytes))? {
            head.extend_from_slice(&bytes[..count]);
            if let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") {
                let prefix = head.split_off(end + 4);
                let (id, request) = request(key, &String::from_utf8_lossy(head), prefix)?;
                *phase = Phase::Waits;
                return self.meet(id, request);
            }
            if count == 0 {
                self.forget(key);
                return Ok(());
            }
        }
        Ok(())
    }

    fn meet(&mut self, id: String, request: Request) -> Outcome<()> {
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
            return Err(fault("a new connection took less than a head"));
        }
        let pair = self.pairs.insert(Pair {
            source: upload.connection,
            sink: download.connection,
            left: wire_bytes - upload.prefix.len() as u64,
            mover: M::new()?,
        });
        self.connections[upload.connection].phase = Phase::Moves(pair);
        self.connections[download.connection].phase = Phase::Moves(pair);
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
        self.forget(pair.source);
        self.forget(pair.sink);
    }

    fn forget(&mut self, key: usize) {
        self.connections[key].phase = Phase::Gone;
        self.gone.push(key);
    }
}

impl<M: Mover> Pair<M> {
    /// Transfers until the body is complete or one side blocks.
    fn pump(&mut self, source: &TcpStream, sink: &TcpStream) -> io::Result<()> {
        loop {
            while self.mover.pending() > 0 {
                self.mover.drain(sink)?;
            }
            if self.left == 0 {
                return Ok(());
            }
            match self.mover.fill(source, self.left)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.left -= count as u64,
            }
        }
    }
}

/// Parses the request line, and the two headers in use.
fn request(connection: usize, head: &str, prefix: Vec<u8>) -> Outcome<(String, Request)> {
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let upload = words.next() == Some("PUT");
    let id = words.next().and_then(|path| path.strip_prefix("/stream/"));
    let id = id.ok_or_else(|| fault(format!("no stream in: {line}")))?.to_owned();
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
