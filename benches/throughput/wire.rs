//! Contents: the bytes a source writes for one body, and their verification on arrival.
//!
//! A body repeats one block of noise, so that a source copies nothing in user space. Where contents
//! are checked, the seed differs per stream, so bytes of another stream are detected.

use std::str::FromStr;

use crate::{BoxError, Result, failure};

/// Maximum bytes per write of a source.
pub(crate) const WRITE_BYTES: usize = 256 << 10;

/// The last chunk and the empty trailer section.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Framing of an upload's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By `Content-Length`.
    Length,
    /// Chunks with this number of payload bytes each.
    Chunks(usize),
}

impl FromStr for Framing {
    type Err = BoxError;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix("chunks:") {
            Some(payload) => Ok(Self::Chunks(payload.parse()?)),
            None if text == "length" => Ok(Self::Length),
            None => Err(failure(format!("no framing: {text}"))),
        }
    }
}

impl std::fmt::Display for Framing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length => out.write_str("length"),
            Self::Chunks(payload) => write!(out, "chunks:{payload}"),
        }
    }
}

/// One body: its framing, its payload bytes, and the seed of its noise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    pub(crate) framing: Framing,
    pub(crate) length: u64,
    pub(crate) seed: u64,
}

impl Body {
    /// The noise repeated in the payload.
    fn block(self) -> Vec<u8> {
        let bytes = match self.framing {
            Framing::Length => WRITE_BYTES,
            Framing::Chunks(payload) => payload * (WRITE_BYTES / (payload + 16)).max(1),
        };
        noise(self.seed, bytes)
    }

    /// The head of the request that uploads this body to `id` at `host`.
    pub(crate) fn upload_head(self, id: &str, host: &str, wire_bytes: u64) -> String {
        let framing = match self.framing {
            Framing::Length => format!("Content-Length: {}", self.length),
            Framing::Chunks(_) => "Transfer-Encoding: chunked".to_owned(),
        };
        format!(
            "PUT /stream/{id} HTTP/1.1\r\nHost: {host}\r\nX-Wire-Length: {wire_bytes}\r\n{framing}\r\n\r\n"
        )
    }
}

/// `bytes` pseudo-random bytes (xorshift64*), the same for the same seed.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        noise.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// A body on the wire: one block repeated, then a tail.
pub(crate) struct Wire {
    block: Vec<u8>,
    repeats: u64,
    tail: Vec<u8>,
}

impl Wire {
    /// Frames `body`.
    pub(crate) fn new(body: Body) -> Self {
        let payload = body.block();
        let repeats = body.length / payload.len() as u64;
        let rest = usize::try_from(body.length % payload.len() as u64).unwrap_or(0);
        match body.framing {
            Framing::Length => {
                let tail = payload[..rest].to_vec();
                Self { block: payload, repeats, tail }
            }
            Framing::Chunks(size) => {
                let mut tail = framed(&payload[..rest], size);
                tail.extend_from_slice(LAST_CHUNK);
                Self { block: framed(&payload, size), repeats, tail }
            }
        }
    }

    /// Length on the wire in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.block.len() as u64 * self.repeats + self.tail.len() as u64
    }

    /// The bytes to write at `position`, up to the end of their block; empty at the end.
    pub(crate) fn at(&self, position: u64) -> &[u8] {
        let blocks = self.block.len() as u64 * self.repeats;
        let (part, offset) = if position < blocks {
            (&self.block, position % self.block.len() as u64)
        } else {
            (&self.tail, position - blocks)
        };
        usize::try_from(offset).ok().and_then(|offset| part.get(offset..)).unwrap_or(&[])
    }
}

/// `payload` as chunks of `size` bytes.
fn framed(payload: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::with_capacity(payload.len() + payload.len() / size * 16 + 16);
    for piece in payload.chunks(size) {
        wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        wire.extend_from_slice(piece);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

/// Compares received payload with what was sent.
pub(crate) struct Verifier {
    block: Vec<u8>,
    length: u64,
    position: u64,
}

impl Verifier {
    /// Expects exactly the payload of `body`.
    pub(crate) fn new(body: Body) -> Self {
        Self { block: body.block(), length: body.length, position: 0 }
    }

    /// Checks the next payload bytes.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let offset = usize::try_from(self.position % self.block.len() as u64)?;
            let count = bytes.len().min(self.block.len() - offset);
            let (now, later) = bytes.split_at(count);
            if now != &self.block[offset..offset + count] {
                return Err(failure(format!("wrong bytes after offset {}", self.position)));
            }
            self.position += count as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Checks that the payload is complete.
    pub(crate) fn end(&self) -> Result<()> {
        if self.position == self.length {
            return Ok(());
        }
        Err(failure(format!("{} payload bytes instead of {}", self.position, self.length)))
    }
}
