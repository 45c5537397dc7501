//! The minimum cost of a small exchange: sends the same three responses over the same connections
//! with as few system calls as possible, and does nothing else.
//!
//! It recognizes requests by their first letter, expects each in one read, and sends constant
//! responses. Its cost is that of the kernel for accepting, reading, writing and closing on this
//! machine at this time; the difference to a relay is the relay's own cost.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use slab::Slab;

use super::{report, wait};
use crate::Result;

/// Token of the listener.
const LISTENER: u64 = u64::MAX;
/// Maximum size of a request.
const REQUEST_BYTES: usize = 4096;
/// The response to `POST /stream`.
const CREATED: &[u8] = b"HTTP/1.1 201 Created\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    Location: /stream/00000000-0000-4000-8000-000000000000\r\n\
    Content-Type: application/json\r\nContent-Length: 51\r\n\r\n\
    {\"stream\":\"00000000-0000-4000-8000-000000000000\"}\r\n";
/// The response to `PUT`.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    Content-Length: 0\r\n\r\n";

/// The server's state.
struct Responder {
    epoll: Epoll,
    listener: TcpListener,
    connections: Slab<TcpStream>,
    /// The connection with the `GET`.
    destination: Option<usize>,
    /// The connection with the `PUT`, and the response to the `GET`.
    upload: Option<(usize, Vec<u8>)>,
}

/// Serves one client until killed; prints the address.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    // As in the relay: accepted sockets inherit it.
    socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    report(&format!("listening on http://{}", listener.local_addr()?));
    let connections = Slab::new();
    let mut responder = Responder { epoll, listener, connections, destination: None, upload: None };
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let count = wait(&responder.epoll, &mut events)?;
        for event in &events[..count] {
            match event.data() {
                LISTENER => responder.accept()?,
                token => responder.respond(usize::try_from(token)?)?,
            }
        }
    }
}

impl Responder {
    /// Accepts one connection; level-triggered, so that no accept blocks.
    fn accept(&mut self) -> Result<()> {
        let (socket, _) = self.listener.accept()?;
        let entry = self.connections.vacant_entry();
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        self.epoll.add(&socket, EpollEvent::new(flags, entry.key() as u64))?;
        entry.insert(socket);
        Ok(())
    }

    fn respond(&mut self, key: usize) -> Result<()> {
        let mut request = [0; REQUEST_BYTES];
        let count = match self.connections[key].read(&mut request) {
            Ok(0) => {
                self.connections.remove(key);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            count => count?,
        };
        match request[0] {
            b'P' if request[1] == b'O' => return Ok(self.connections[key].write_all(CREATED)?),
            b'P' => self.upload = Some((key, download(&request[..count]))),
            _ => self.destination = Some(key),
        }
        if let (Some(destination), Some((source, _))) = (self.destination, &self.upload) {
            let (destination, source) = (destination, *source);
            if let Some((_, download)) = self.upload.take() {
                self.connections[destination].write_all(&download)?;
            }
            self.connections[source].write_all(OK)?;
            self.destination = None;
        }
        Ok(())
    }
}

/// The response to the `GET`, with the body of this request.
fn download(request: &[u8]) -> Vec<u8> {
    let end = memchr::memmem::find(request, b"\r\n\r\n").map_or(request.len(), |at| at + 4);
    let body = &request[end..];
    let head = format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
