//! Sends a request body to the API on its own thread, while the response is awaited. If the body is
//! interrupted, the connection is closed, so that it is never mistaken for a complete one.

use crate::client::wire::Wire;
use crate::http::chunked::{CHUNK_FRAMING_BYTES, LAST_CHUNK, write_framed};
use crate::ops::threads;
use crate::socket::Body;
use crate::socket::requests::BodyPieces;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

fn write(body: Body, wire: &Wire) -> Result<(), Failed> {
    let length = body.length_bytes();
    let mut pieces = BodyPieces::new(body, length);
    loop {
        let (piece, over) = pieces.next().map_err(|_| Failed::Here)?;
        let sent = match length {
            Some(_) => wire.send(piece, false),
            None => wire.send(&chunked(piece, over), false),
        };
        sent.map_err(|_| Failed::There)?;
        if over {
            return Ok(());
        }
    }
}

/// Returns a piece as a chunk, which takes one system call and one packet.
fn chunked(piece: &[u8], over: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(piece.len() + CHUNK_FRAMING_BYTES);
    write_framed(&mut bytes, piece, true);
    if over {
        bytes.extend_from_slice(LAST_CHUNK);
    }
    bytes
}
