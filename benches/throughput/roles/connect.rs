//! A client that opens connections, one after the other in each of a few threads, and sends one
//! `GET /ping` over each.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ClientConfig, HandshakeKind};

use super::report;
use crate::client::parse;
use crate::measure::{now, since};
use crate::options::ConnectArgs;
use crate::tls::{self, Connection};
use crate::{Result, failure};

/// Concurrent connections.
const THREADS: usize = 4;

/// Timeout of a response.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Runs the task, and prints the number of connections, and the seconds taken.
pub(crate) fn run(task: &ConnectArgs) -> Result<()> {
    let begin = now();
    let counts = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| one_by_one(task))).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|count| count.map_err(|_| failure("a thread failed"))?).sum::<Result<u64>>()
    })?;
    report(&format!("connected {counts} {:.6}", since(begin).as_secs_f64()));
    Ok(())
}

/// Returns the number of connections until the end of the task.
fn one_by_one(task: &ConnectArgs) -> Result<u64> {
    let config = task.tls.as_ref().map(|file| tls::client_config(file, task.resume)).transpose()?;
    let end = now() + Duration::from_millis(task.millis);
    let mut count = 0;
    while now() < end {
        let kind = ping(task, config.as_ref())?;
        // The first connection has no ticket of an earlier one.
        let expected =
            if task.resume && count > 0 { HandshakeKind::Resumed } else { HandshakeKind::Full };
        if kind.is_some_and(|kind| kind != expected) {
            return Err(failure(format!("the handshake was {kind:?}, not {expected:?}")));
        }
        count += 1;
    }
    Ok(count)
}

/// Sends one request over a new connection; returns what its handshake was.
fn ping(task: &ConnectArgs, config: Option<&Arc<ClientConfig>>) -> Result<Option<HandshakeKind>> {
    let socket = TcpStream::connect(task.server)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let mut connection = Connection::begin(socket, config)?;
    connection.write_all(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut bytes = [0; 4096];
    let mut filled = 0;
    loop {
        match connection.read(&mut bytes[filled..])? {
            0 => return Err(failure("the server closed a connection")),
            count => filled += count,
        }
        let Some(end) = memchr::memmem::find(&bytes[..filled], b"\r\n\r\n") else { continue };
        let (status, length) = parse(&bytes[..end + 4])?;
        if status != 200 {
            return Err(failure(format!("GET /ping returned {status}")));
        }
        if length.is_none_or(|length| filled >= end + 4 + length) {
            return Ok(connection.handshake_kind());
        }
    }
}
