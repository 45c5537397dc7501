//! Reads one body without its framing, as it is received. Reading an interrupted body fails with
//! `UnexpectedEof`.

use super::wire::ApiReader;
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;

/// Maximum bytes per read of framing and small chunks.
const READ_BYTES: usize = 64 << 10;

/// A body, and the connection it is received on.
#[derive(Debug)]
pub(super) struct Incoming {
    wire: ApiReader,
    rest: RemainingBody,
    /// Bytes read with their framing, up to the end of the last of `pieces`.
    inbox: Vec<u8>,
    /// Ranges of `inbox` that are body bytes.
    pieces: VecDeque<Range<usize>>,
    /// Framing error that follows the pieces.
    malformed: Option<io::Error>,
}

/// The part of the body still to be received.
#[derive(Debug)]
enum RemainingBody {
    /// As declared by the framing.
    Framed(BodyDecoder),
    /// Everything until the connection is closed.
    UntilClose,
    /// Nothing: the connection is closed.
    Over,
}

impl Incoming {
    /// Creates a reader of the next body on this connection.
    pub(super) fn framed(wire: ApiReader, framing: Framing) -> Self {
        Self::new(wire, RemainingBody::Framed(BodyDecoder::new(framing)))
    }

    /// Creates a reader of everything until the connection is closed.
    pub(super) fn until_close(wire: ApiReader) -> Self {
        Self::new(wire, RemainingBody::UntilClose)
    }

    fn new(mut wire: ApiReader, rest: RemainingBody) -> Self {
        let inbox = std::mem::take(wire.buffered());
        let mut body =
            Self { wire, rest, inbox: Vec::new(), pieces: VecDeque::new(), malformed: None };
        body.sort(inbox);
        body
    }

    /// Whether every byte was read.
    pub(super) fn is_over(&self) -> bool {
        let ended = match &self.rest {
            RemainingBody::Framed(decoder) => decoder.is_over(),
            RemainingBody::UntilClose => false,
            RemainingBody::Over => true,
        };
        ended && self.pieces.is_empty()
    }

    /// Returns how many contiguous body bytes follow on the connection, with none in memory; 0 if
    /// unknown.
    pub(super) fn run_bytes(&self) -> u64 {
        match &self.rest {
            RemainingBody::Framed(decoder) if self.pieces.is_empty() => decoder.payload_left(),
            RemainingBody::Framed(_) | RemainingBody::UntilClose | RemainingBody::Over => 0,
        }
    }

    /// Records that `count` bytes of the run from [`run_bytes`](Self::run_bytes) bypassed this
    /// reader.
    pub(super) fn took(&mut self, count: usize) {
        match &mut self.rest {
            RemainingBody::Framed(decoder) => decoder.took(count),
            RemainingBody::UntilClose | RemainingBody::Over => {
                debug_assert_eq!(count, 0, "no run pending");
            }
        }
    }

    /// Returns the connection.
    pub(super) fn wire(&self) -> &ApiReader {
        &self.wire
    }

    /// Returns the connection, with the bytes received after the body in its buffer.
    pub(super) fn into_wire(self) -> ApiReader {
        self.wire
    }

    /// Finds the body bytes in the received data.
    fn sort(&mut self, bytes: Vec<u8>) {
        match &mut self.rest {
            RemainingBody::Framed(decoder) => {
                let mut pieces = Vec::new();
                match decoder.received(&bytes, &mut pieces) {
                    Ok(used) => self.wire.buffered().extend_from_slice(&bytes[used..]),
                    Err(why) => {
                        self.malformed = Some(io::Error::new(io::ErrorKind::InvalidData, why));
                    }
                }
                self.pieces.extend(pieces);
            }
            RemainingBody::UntilClose if bytes.is_empty() => {}
            RemainingBody::UntilClose => self.pieces.push_back(0..bytes.len()),
            RemainingBody::Over => {}
        }
        self.inbox = bytes;
    }

    /// Reads from the bytes in memory.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let Some(piece) = self.pieces.front_mut() else { return 0 };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.inbox[piece.start..piece.start + count]);
        piece.start += count;
        if piece.start == piece.end {
            self.pieces.pop_front();
        }
        count
    }

    /// Reads the next bytes of a run from the connection.
    fn read_run(&mut self, buffer: &mut [u8], run: u64) -> io::Result<usize> {
        let most = usize::try_from(run).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.wire.receive(&mut buffer[..most])?;
        match (&mut self.rest, count) {
            (RemainingBody::Framed(_), 0) => return Err(interrupted()),
            (RemainingBody::UntilClose | RemainingBody::Over, 0) => self.rest = RemainingBody::Over,
            (RemainingBody::Framed(decoder), _) => decoder.took(count),
            (RemainingBody::UntilClose | RemainingBody::Over, _) => {}
        }
        Ok(count)
    }

    fn read_framing(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; READ_BYTES];
        let count = self.wire.receive(&mut bytes)?;
        if count == 0 {
            return Err(interrupted());
        }
        bytes.truncate(count);
        self.sort(bytes);
        Ok(())
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if buffer.is_empty() {
                return Ok(0);
            }
            match self.take(buffer) {
                0 => {}
                count => return Ok(count),
            }
            if let Some(why) = &self.malformed {
                return Err(io::Error::new(why.kind(), why.to_string()));
            }
            match &self.rest {
                RemainingBody::Over => return Ok(0),
                RemainingBody::UntilClose => return self.read_run(buffer, u64::MAX),
                RemainingBody::Framed(decoder) if decoder.is_over() => return Ok(0),
                RemainingBody::Framed(decoder) => match decoder.payload_left() {
                    0 => self.read_framing()?,
                    run => return self.read_run(buffer, run),
                },
            }
        }
    }
}

/// Returns the error of a connection that ended in the middle of a body.
pub(super) fn interrupted() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the body was interrupted")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    /// Returns the body, the error and the bytes after the body of a connection that sent `bytes`.
    fn read(bytes: &[u8], framing: Option<Framing>) -> (Vec<u8>, Option<io::ErrorKind>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        near.write_all(bytes).unwrap();
        drop(near);
        let wire = ApiReader::new(far);
        let mut body = match framing {
            Some(framing) => Incoming::framed(wire, framing),
            None => Incoming::until_close(wire),
        };
        let mut all = Vec::new();
        let failed = body.read_to_end(&mut all).err().map(|error| error.kind());
        assert_eq!(body.is_over(), failed.is_none(), "{}", bytes.escape_ascii());
        (all, failed, std::mem::take(body.into_wire().buffered()))
    }

    #[test]
    fn a_body_ends_as_its_framing_declares() {
        let broken = Some(io::ErrorKind::UnexpectedEof);
        let bad = Some(io::ErrorKind::InvalidData);
        let chunked = Some(Framing::Chunked);
        for (name, bytes, framing, body, failed, rest) in [
            ("by length", "hellonext", Some(Framing::Length(5)), "hello", None, ""),
            ("too short", "hell", Some(Framing::Length(5)), "hell", broken, ""),
            ("nothing", "", Some(Framing::Length(0)), "", None, ""),
            ("chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", chunked, "hello", None, ""),
            ("after chunks", "2\r\nhe\r\n0\r\n\r\nnext", chunked, "he", None, "next"),
            ("no last chunk", "2\r\nhe\r\n", chunked, "he", broken, ""),
            ("amid a chunk", "9\r\nhe", chunked, "he", broken, ""),
            ("bad chunk", "2\r\nhe\r\nx\r\n", chunked, "he", bad, ""),
            ("to the end", "hello", None, "hello", None, ""),
        ] {
            let (all, why, ahead) = read(bytes.as_bytes(), framing);
            assert_eq!(String::from_utf8(all).unwrap(), body, "{name}");
            assert_eq!(why, failed, "{name}");
            assert_eq!(String::from_utf8(ahead).unwrap(), rest, "{name}");
        }
    }
}
