//! A JSON body while it is received. Pure.

use crate::api::Failure;
use crate::http::body::{BodyDecoder, BodyError};
use crate::http::framing::Framing;

/// Maximum bytes per read.
const READ_MAX: usize = 16 << 10;

/// A JSON body while it is received.
#[derive(Debug)]
pub struct JsonBody {
    decoder: BodyDecoder,
    collected: Vec<u8>,
}

impl JsonBody {
    /// Begins a body of which nothing was read yet.
    pub fn new(framing: Framing) -> Self {
        Self { decoder: BodyDecoder::new(framing), collected: Vec::new() }
    }

    /// Returns how many bytes to read at once, at most all of a turn's share.
    pub fn read_bytes(share: usize) -> usize {
        share.min(READ_MAX)
    }

    /// Adds bytes to a body of at most `max` bytes; returns how many belong to it.
    ///
    /// # Errors
    /// When its framing is malformed, or it is too large.
    pub fn take(&mut self, bytes: &[u8], max: usize) -> Result<usize, Failure> {
        let mut pieces = Vec::new();
        let used = self.decoder.received(bytes, &mut pieces).map_err(|error| match error {
            BodyError::Framing(error) => Failure::BadFraming(error.into()),
            BodyError::TooLarge => Failure::BodyTooLarge(max),
        })?;
        for piece in pieces {
            self.collected.extend_from_slice(&bytes[piece]);
        }
        if self.collected.len() > max { Err(Failure::BodyTooLarge(max)) } else { Ok(used) }
    }

    /// Whether it is complete.
    pub fn is_over(&self) -> bool {
        self.decoder.is_over()
    }

    /// Returns what was received of it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.collected
    }

    /// Returns how many bytes of it were received.
    #[cfg(feature = "fuzzing")]
    pub fn received_bytes(&self) -> usize {
        self.collected.len()
    }
}
