//! One body on its way in: its bytes without their framing, as they come. A read fails with
//! `UnexpectedEof` where the body breaks off.

use super::wire::ApiReader;
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;

/// How much framing, and small chunks with it, is read at once.
const READ_BYTES: usize = 64 << 10;

/// A body, and the connection it comes by.
#[derive(Debug)]
pub(super) struct Incoming {
    wire: ApiReader,
    rest: RemainingBody,
    /// What was read with its framing, up to the end of the last of `pieces`.
    inbox: Vec<u8>,
    /// Which bytes of it are body.
    pieces: VecDeque<Range<usize>>,
    /// Behind the pieces the framing is malformed.
    malformed: Option<io::Error>,
}

/// What is still to come.
#[derive(Debug)]
enum RemainingBody {
    /// What the framing says.
    Framed(BodyDecoder),
    /// All there is until the connection ends.
    UntilClose,
    /// Nothing: the connection has ended.
    Over,
}

impl Incoming {
    /// The body that comes next on this connection.
    pub(super) fn framed(wire: ApiReader, framing: Framing) -> Self {
        Self::new(wire, RemainingBody::Framed(BodyDecoder::new(framing)))
    }

    /// All that comes until the connection ends.
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

    /// Whether every byte was handed out.
    pub(super) fn is_over(&self) -> bool {
        let ended = match &self.rest {
            RemainingBody::Framed(decoder) => decoder.is_over(),
            RemainingBody::UntilClose => false,
            RemainingBody::Over => true,
        };
        ended && self.pieces.is_empty()
    }

    /// How many bytes are known to come next with nothing between them and none of them in memory;
    /// 0 where that is not known.
    pub(super) fn run_bytes(&self) -> u64 {
        match &self.rest {
            RemainingBody::Framed(decoder) if self.pieces.is_empty() => decoder.payload_left(),
            RemainingBody::Framed(_) | RemainingBody::UntilClose | RemainingBody::Over => 0,
        }
    }

    /// So many bytes of what [`run_bytes`](Self::run_bytes) told went another way.
    pub(super) fn took(&mut self, count: usize) {
        match &mut self.rest {
            RemainingBody::Framed(decoder) => decoder.took(count),
            RemainingBody::UntilClose | RemainingBody::Over => {
                debug_assert_eq!(count, 0, "no run pending");
            }
        }
    }

    /// The connection.
    pub(super) fn wire(&self) -> &ApiReader {
        &self.wire
    }

    /// The connection; what came behind the body is read ahead.
    pub(super) fn into_wire(self) -> ApiReader {
        self.wire
    }

    /// Finds the body bytes among what was read.
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

    /// Hands out bytes that are in memory.
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

    /// Reads what is neither in memory nor behind framing.
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

/// The connection ended amid the body.
pub(super) fn interrupted() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the body was interrupted")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    /// What was sent before the end, as a body and behind it.
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
    fn a_body_ends_where_its_framing_says() {
        let broken = Some(io::ErrorKind::UnexpectedEof);
        let bad = Some(io::ErrorKind::InvalidData);
        let chunked = Some(Framing::Chunked);
        for (name, bytes, framing, body, failed, behind) in [
            ("by length", "hellonext", Some(Framing::Length(5)), "hello", None, ""),
            ("too short", "hell", Some(Framing::Length(5)), "hell", broken, ""),
            ("nothing", "", Some(Framing::Length(0)), "", None, ""),
            ("chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", chunked, "hello", None, ""),
            ("behind chunks", "2\r\nhe\r\n0\r\n\r\nnext", chunked, "he", None, "next"),
            ("no last chunk", "2\r\nhe\r\n", chunked, "he", broken, ""),
            ("amid a chunk", "9\r\nhe", chunked, "he", broken, ""),
            ("bad chunk", "2\r\nhe\r\nx\r\n", chunked, "he", bad, ""),
            ("to the end", "hello", None, "hello", None, ""),
        ] {
            let (all, why, ahead) = read(bytes.as_bytes(), framing);
            assert_eq!(String::from_utf8(all).unwrap(), body, "{name}");
            assert_eq!(why, failed, "{name}");
            assert_eq!(String::from_utf8(ahead).unwrap(), behind, "{name}");
        }
    }
}
