//! The body of a request on its way to the API, written by a thread of its own while the answer is
//! awaited. What breaks off on the way in never looks whole: the connection ends.

use super::chunk::ChunkBuffer;
use super::incoming::interrupted;
use crate::http::chunked::LAST_CHUNK;
use crate::ops::threads;
use crate::socket::Body;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is copied at once.
const COPY_BYTES: usize = 64 << 10;

/// Whether all of the body was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Sending(Arc<AtomicBool>);

impl Sending {
    /// There is no body.
    pub(super) fn nothing() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Begins to write; the thread ends with the body, or with the connection.
    ///
    /// # Errors
    /// There is no further thread.
    pub(super) fn start(body: Body, socket: &Arc<TcpStream>) -> io::Result<Self> {
        let sending = Self::default();
        let (whole, socket) = (Arc::clone(&sending.0), Arc::clone(socket));
        threads::spawn("request body", move || match write(body, &socket) {
            Ok(()) => whole.store(true, Ordering::Release),
            // The API takes no more: its answer may be there, and says why.
            Err(Failed::There) => {}
            Err(Failed::Here) => drop(socket.shutdown(Shutdown::Both)),
        })?;
        Ok(sending)
    }

    /// Whether every byte went out, so that another request can follow.
    pub(super) fn is_whole(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Where it broke off.
enum Failed {
    /// Whoever sends the body has gone.
    Here,
    /// The API takes no more.
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
