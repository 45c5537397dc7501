//! Sends a request body to the API on its own thread, while the response is awaited. If the body is
//! interrupted, the connection is closed, so that it is never mistaken for a complete one.

use super::chunk::ChunkBuffer;
use super::incoming::interrupted;
use crate::http::chunked::LAST_CHUNK;
use crate::ops::threads;
use crate::socket::Body;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Size of the copy buffer.
const COPY_BYTES: usize = 64 << 10;

/// The progress of a request body: whether it was written completely.
#[derive(Clone, Debug, Default)]
pub(super) struct Sending(Arc<AtomicBool>);

impl Sending {
    /// Returns the state for a request without a body.
    pub(super) fn nothing() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Starts the thread; it ends with the body or with the connection.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(super) fn start(body: Body, socket: &Arc<TcpStream>) -> io::Result<Self> {
        let sending = Self::default();
        let (whole, socket) = (Arc::clone(&sending.0), Arc::clone(socket));
        threads::spawn("request body", move || match write(body, &socket) {
            Ok(()) => whole.store(true, Ordering::Release),
            // The API stopped reading: it may have sent a response with the reason.
            Err(Failed::There) => {}
            Err(Failed::Here) => drop(socket.shutdown(Shutdown::Both)),
        })?;
        Ok(sending)
    }

    /// Whether every byte was sent, so that another request can follow.
    pub(super) fn is_whole(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The side that interrupted the body.
enum Failed {
    /// The sender of the body disconnected.
    Here,
    /// The API stopped reading.
    There,
}

fn write(mut body: Body, socket: &TcpStream) -> Result<(), Failed> {
    match body.length_bytes() {
        Some(bytes) => write_sized(&mut body, bytes, socket),
        None => write_chunks(&mut body, socket),
    }
}

fn write_sized(body: &mut Body, length_bytes: u64, mut socket: &TcpStream) -> Result<(), Failed> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut left = length_bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = read(body, &mut buffer[..most]).and_then(|count| match count {
            0 => Err(interrupted()),
            count => Ok(count),
        });
        let count = count.map_err(|_| Failed::Here)?;
        socket.write_all(&buffer[..count]).map_err(|_| Failed::There)?;
        left -= count as u64;
    }
    Ok(())
}

fn write_chunks(body: &mut Body, mut socket: &TcpStream) -> Result<(), Failed> {
    let mut buffer = ChunkBuffer::new(COPY_BYTES);
    loop {
        let count = read(body, buffer.room()).map_err(|_| Failed::Here)?;
        if count == 0 {
            return socket.write_all(LAST_CHUNK).map_err(|_| Failed::There);
        }
        socket.write_all(buffer.chunk(count)).map_err(|_| Failed::There)?;
    }
}

fn read(body: &mut Body, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match body.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
