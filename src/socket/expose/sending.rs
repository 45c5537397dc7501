//! Sends a request body to the API on its own thread, while the response is awaited. If the body is
//! interrupted, the connection is closed, so that it is never mistaken for a complete one.

use crate::client::wire::Wire;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::ops::threads;
use crate::socket::Body;
use std::io::{self, Read as _};
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
    pub(super) fn start(body: Body, wire: Arc<Wire>) -> io::Result<Self> {
        let sending = Self::default();
        let whole = Arc::clone(&sending.0);
        threads::spawn("request body", move || match write(body, &wire) {
            Ok(()) => whole.store(true, Ordering::Release),
            // The API stopped reading: it may have sent a response with the reason.
            Err(Failed::There) => {}
            Err(Failed::Here) => wire.end(),
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

fn write(mut body: Body, wire: &Wire) -> Result<(), Failed> {
    let mut left = body.length_bytes();
    let (mut buffer, mut framed) = (vec![0; COPY_BYTES], Vec::new());
    while left != Some(0) {
        let most = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let most = most.min(buffer.len());
        let count = read(&mut body, &mut buffer[..most]).map_err(|_| Failed::Here)?;
        match (count, &mut left) {
            // The body is shorter than its length.
            (0, Some(_)) => return Err(Failed::Here),
            (0, None) => return wire.send(LAST_CHUNK, false).map_err(|_| Failed::There),
            (_, Some(left)) => *left -= count as u64,
            (_, None) => {}
        }
        framed.clear();
        // With its framing, a piece takes one system call and one packet.
        write_framed(&mut framed, &buffer[..count], left.is_none());
        wire.send(&framed, false).map_err(|_| Failed::There)?;
    }
    Ok(())
}

fn read(body: &mut Body, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match body.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
