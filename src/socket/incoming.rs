//! A reader of the body that the other end sends; reading it frees space for more.

use super::connection::Owner;
use super::error::Error;
use std::io::{self, Read};
use std::sync::Arc;
use tungstenite::Bytes;

/// The rest of a body. Dropping it early marks the rest as unwanted.
pub(super) struct Incoming {
    owner: Arc<Owner>,
    number: u32,
    chunk: Bytes,
    /// Bytes of the received chunk not yet reported as read.
    unreported: usize,
    /// Bytes still to be received, if the length was declared.
    left: Option<u64>,
    ended: bool,
}

impl Incoming {
    pub(super) fn new(owner: Arc<Owner>, number: u32) -> Self {
        let chunk = Bytes::new();
        Self { owner, number, chunk, unreported: 0, left: None, ended: false }
    }

    /// Sets the declared length of the body.
    pub(super) fn expect(&mut self, length_bytes: Option<u64>) {
        self.left = length_bytes;
    }

    fn next(&mut self) -> io::Result<()> {
        let used = std::mem::take(&mut self.unreported);
        self.chunk = self.owner.link().next_chunk(self.number, used)?;
        self.unreported = self.chunk.len();
        if self.chunk.is_empty() {
            self.ended = true;
            return match self.left {
                None | Some(0) => Ok(()),
                Some(left) => {
                    let why = format!("the body ended {left} bytes before its Content-Length");
                    Err(io::Error::new(io::ErrorKind::UnexpectedEof, why))
                }
            };
        }
        let Some(left) = self.left else { return Ok(()) };
        self.left = left.checked_sub(self.chunk.len() as u64);
        if self.left.is_none() {
            self.ended = true;
            self.chunk = Bytes::new();
            return Err(
                Error::Handshake("the body is longer than its Content-Length".into()).into()
            );
        }
        Ok(())
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            self.next()?;
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.owner.link().unwanted(self.number);
    }
}
