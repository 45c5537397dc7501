//! A client in a closed loop: sends the next request over each connection after each response. One
//! thread, and the same program for all requests, so that its own cost is always the same.
//!
//! Every response is read to its end and must have the status of a success.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::Pid;

use super::{report, wait};
use crate::client::parse;
use crate::measure::{cpu, now, since};
use crate::options::PushArgs;
use crate::wire::noise;
use crate::{Result, failure};

/// Bytes per read; responses are far smaller.
const READ_BYTES: usize = 4096;

/// The client's state.
struct Client {
    epoll: Epoll,
    connections: Vec<Connection>,
    request: Vec<u8>,
    /// The status of a successful response.
    status: u16,
    sent: u64,
    responses: u64,
    /// Maximum number of requests to send.
    sent_max: u64,
    /// Time after which no request is sent.
    end: Option<Duration>,
}

/// One connection, with at most one request in flight.
struct Connection {
    socket: TcpStream,
    /// The part of the response read so far.
    response: Vec<u8>,
}

/// Runs the task, and prints the number of responses, the seconds taken, and the client's CPU
/// seconds.
pub(crate) fn run(task: &PushArgs) -> Result<()> {
    let mut client = Client::connect(task)?;
    let (begin, before) = (now(), cpu(Pid::this())?);
    client.end = task.millis.map(|millis| begin + Duration::from_millis(millis));
    client.run()?;
    let seconds = since(begin).as_secs_f64();
    let own = cpu(Pid::this())?.saturating_sub(before).as_secs_f64();
    report(&format!("pushed {} {seconds:.6} {own:.6}", client.responses));
    Ok(())
}

/// The complete request, and the status of a success.
fn request(task: &PushArgs) -> (Vec<u8>, u16) {
    let host = task.server;
    let Some(length) = task.body else {
        return (format!("GET /ping HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(), 200);
    };
    let head = format!(
        "POST /records HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    ([head.into_bytes(), body(length)].concat(), 201)
}

/// The body of every record.
pub(crate) fn body(bytes: usize) -> Vec<u8> {
    noise(1, bytes)
}

impl Client {
    fn connect(task: &PushArgs) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut connections = Vec::new();
        for index in 0..task.connections {
            let socket = TcpStream::connect(task.server)?;
            socket.set_nodelay(true)?;
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
            connections.push(Connection { socket, response: Vec::new() });
        }
        let (request, status) = request(task);
        let sent_max = task.requests.unwrap_or(u64::MAX);
        let (sent, responses, end) = (0, 0, None);
        Ok(Self { epoll, connections, request, status, sent, responses, sent_max, end })
    }

    /// Sends a request over every connection, and the next one after each response; at the end none
    /// is in flight.
    fn run(&mut self) -> Result<()> {
        for index in 0..self.connections.len() {
            self.send_request(index)?;
        }
        let mut events = [EpollEvent::empty(); 64];
        while self.responses < self.sent {
            let count = wait(&self.epoll, &mut events)?;
            if self.end.is_some_and(|end| now() >= end) {
                self.sent_max = self.sent;
            }
            for event in &events[..count] {
                let index = usize::try_from(event.data())?;
                if self.read_response(index)? {
                    self.responses += 1;
                    self.send_request(index)?;
                }
            }
        }
        Ok(())
    }

    fn send_request(&mut self, index: usize) -> Result<()> {
        if self.sent < self.sent_max {
            // The last response was received, so the socket has space for this request.
            self.connections[index].socket.write_all(&self.request)?;
            self.sent += 1;
        }
        Ok(())
    }

    /// Reads once from a ready connection; returns whether its response is complete.
    fn read_response(&mut self, index: usize) -> Result<bool> {
        let connection = &mut self.connections[index];
        let mut bytes = [0; READ_BYTES];
        let count = connection.socket.read(&mut bytes)?;
        if count == 0 {
            return Err(failure("the server closed a connection"));
        }
        connection.response.extend_from_slice(&bytes[..count]);
        let complete = is_complete(&connection.response, self.status)?;
        if complete {
            connection.response.clear();
        }
        Ok(complete)
    }
}

/// Whether a response is complete; it must have this status, and no bytes may follow it.
fn is_complete(response: &[u8], expected: u16) -> Result<bool> {
    let Some(end) = memchr::memmem::find(response, b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = response.split_at(end + 4);
    let (status, length) = parse(head)?;
    if status != expected || length.is_none_or(|length| body.len() > length) {
        return Err(failure(format!("the server returned {}", response.escape_ascii())));
    }
    Ok(length == Some(body.len()))
}
