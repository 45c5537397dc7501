//! One outgoing record of any size, from its first byte to the newline. A large body stays in a
//! file, and is encoded while it is sent.

use crate::connector::spill::{PIECE_BYTES, SpilledContent};
use crate::relay::RequestToken;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use uuid::Uuid;

/// An outgoing record.
#[derive(Debug)]
pub struct OutgoingLine {
    /// The request that waits for it, if any.
    pub ticket: Option<RequestToken>,
    /// The record's position.
    pub position: Uuid,
    /// Everything up to the large body, or to the end.
    pub head: Vec<u8>,
    /// The body, if it is in a file, and what follows it.
    pub rest: Option<LineTail>,
}

/// The part of a line that is not in memory.
#[derive(Debug)]
pub struct LineTail {
    /// The body, and whether it has to be encoded.
    pub body: Body,
    /// What follows the body.
    pub tail: &'static [u8],
}

/// A file that holds part of a line.
#[derive(Clone, Debug)]
pub enum Body {
    /// Sent as it is.
    Plain {
        /// The file, which holds other lines, too.
        file: Arc<File>,
        /// Offset of the body in the file.
        start: u64,
        /// Length of the body, in bytes.
        bytes: u64,
    },
    /// Sent in base64 (RFC 4648, section 4).
    Encoded(Arc<SpilledContent>),
}

impl OutgoingLine {
    /// Returns the length of the complete line, in bytes.
    pub fn len(&self) -> u64 {
        self.head.len() as u64
            + self.rest.as_ref().map_or(0, |rest| rest.body.bytes() + rest.tail.len() as u64)
    }

    /// Returns its size in memory, in bytes.
    pub fn memory(&self) -> usize {
        self.head.len() + size_of::<Self>()
    }

    /// Reads the line from `offset` on, after its head: at most one piece, none at its end.
    ///
    /// # Errors
    /// Errors of pread(2), or that the file has become shorter.
    pub fn piece(&self, offset: u64, piece: &mut Vec<u8>) -> io::Result<()> {
        piece.clear();
        let Some(rest) = &self.rest else { return Ok(()) };
        let at = offset.saturating_sub(self.head.len() as u64);
        match at.checked_sub(rest.body.bytes()) {
            Some(in_tail) => {
                let in_tail = usize::try_from(in_tail).unwrap_or(usize::MAX).min(rest.tail.len());
                piece.extend_from_slice(&rest.tail[in_tail..]);
                Ok(())
            }
            None => rest.body.read(at, piece),
        }
    }
}

impl Body {
    /// Returns the length as it is sent, in bytes.
    fn bytes(&self) -> u64 {
        match self {
            Self::Plain { bytes, .. } => *bytes,
            Self::Encoded(content) => content.base64_chars(),
        }
    }

    /// Reads a piece as it is sent, from this offset on.
    fn read(&self, at: u64, piece: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Plain { file, start, bytes } => {
                let count = (bytes - at).min(PIECE_BYTES as u64);
                piece.resize(usize::try_from(count).unwrap_or(PIECE_BYTES), 0);
                file.read_exact_at(piece, start + at)
            }
            Self::Encoded(content) => content.base64_piece(at, piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::spill::SpillSpace;
    use base64_simd::STANDARD;
    use std::io::Write as _;

    fn line(body: &[u8], is_encoded: bool) -> OutgoingLine {
        let body = if is_encoded {
            let content = SpillSpace::new(None, "TMPDIR", u64::MAX).create().unwrap();
            content.append(body).unwrap();
            Body::Encoded(Arc::new(content))
        } else {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"before").unwrap();
            file.write_all(body).unwrap();
            Body::Plain { file: Arc::new(file), start: 6, bytes: body.len() as u64 }
        };
        let rest = LineTail { body, tail: b"\"}}\n" };
        let head = b"{\"after\":\"".to_vec();
        OutgoingLine { ticket: None, position: Uuid::nil(), head, rest: Some(rest) }
    }

    fn whole(line: &OutgoingLine, step: usize) -> Vec<u8> {
        let (mut sent, mut piece) = (line.head.clone(), Vec::new());
        loop {
            line.piece(sent.len() as u64, &mut piece).unwrap();
            if piece.is_empty() {
                return sent;
            }
            sent.extend_from_slice(&piece[..step.min(piece.len())]);
        }
    }

    #[test]
    fn a_body_in_a_file_is_encoded_like_one_in_memory() {
        for bytes in [0, 1, 2, 3, 4, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 200_000] {
            let body: Vec<u8> = (0_u8..251).cycle().step_by(7).take(bytes).collect();
            let expected = format!("{{\"after\":\"{}\"}}}}\n", STANDARD.encode_to_string(&body));
            for step in [usize::MAX, 60_001] {
                let line = line(&body, true);
                let got = whole(&line, step);
                assert_eq!(got.len() as u64, line.len(), "{bytes} bytes");
                assert!(got == expected.as_bytes(), "{bytes} bytes in steps of {step}");
            }
        }
    }

    #[test]
    fn a_complete_line_is_written_unchanged() {
        let line = line(b"abc", false);
        assert_eq!(whole(&line, 2), b"{\"after\":\"abc\"}}\n");
    }
}
