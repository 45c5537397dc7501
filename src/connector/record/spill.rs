//! Content that is too large for memory, in an unlinked temporary file, which is removed when the
//! process ends, for whatever reason. Each reader has its own offset.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::RecordError;

/// Characters of base64 decoded at once, a multiple of 4.
const DECODE_CHARS: usize = 64 << 10;

/// Bytes encoded at once, a multiple of 3.
const ENCODE_BYTES: usize = 48 << 10;

/// Content in an unnamed file.
#[derive(Debug)]
pub struct SpilledContent {
    file: File,
    bytes: u64,
}

impl SpilledContent {
    /// Returns the length, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns a reader of the bytes, from the first one on.
    pub fn reader(&self) -> impl Read + '_ {
        FileCursor { file: &self.file, at: 0 }.take(self.bytes)
    }

    /// Returns a reader of the same in standard base64 with padding.
    pub fn base64_reader(&self) -> impl Read + '_ {
        Base64 { from: self.reader(), text: Vec::new(), given: 0 }
    }

    /// Returns the length in base64, in characters.
    pub fn base64_chars(&self) -> u64 {
        self.bytes.div_ceil(3) * 4
    }

    /// Returns the file with its offset at the start, to send all of it.
    ///
    /// # Errors
    /// Errors of lseek(2) or fcntl(2).
    pub fn file(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        io::Seek::rewind(&mut file)?;
        Ok(file)
    }
}

/// An offset in a file with other readers.
struct FileCursor<'f> {
    file: &'f File,
    at: u64,
}

impl Read for FileCursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Another reader's bytes, in base64.
struct Base64<R> {
    from: R,
    text: Vec<u8>,
    given: usize,
}

impl<R: Read> Read for Base64<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            let mut bytes = Vec::with_capacity(ENCODE_BYTES);
            self.from.by_ref().take(ENCODE_BYTES as u64).read_to_end(&mut bytes)?;
            self.text = STANDARD.encode(bytes).into_bytes();
            self.given = 0;
        }
        let count = (&self.text[self.given..]).read(buffer)?;
        self.given += count;
        Ok(count)
    }
}

/// Decoder of base64 into a file.
#[derive(Debug)]
pub(super) struct SpillWriter {
    file: File,
    bytes: u64,
    text: Vec<u8>,
    /// Whether padding was received, after which nothing must follow.
    ended: bool,
}

impl SpillWriter {
    /// Creates an unnamed file in this directory (`O_TMPFILE`, open(2)).
    pub(super) fn begin(directory: &Path) -> io::Result<Self> {
        let flags = OFlag::O_TMPFILE.bits();
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(directory)?;
        Ok(Self { file, bytes: 0, text: Vec::with_capacity(DECODE_CHARS), ended: false })
    }

    /// Takes the next characters.
    pub(super) fn text(&mut self, mut text: &[u8]) -> Result<(), super::ReadError> {
        while !text.is_empty() {
            let room = DECODE_CHARS - self.text.len();
            let (now, later) = text.split_at(room.min(text.len()));
            self.text.extend_from_slice(now);
            text = later;
            if self.text.len() == DECODE_CHARS {
                self.decode()?;
            }
        }
        Ok(())
    }

    /// Returns the content after its last character.
    pub(super) fn finish(mut self) -> Result<SpilledContent, super::ReadError> {
        self.decode()?;
        Ok(SpilledContent { file: self.file, bytes: self.bytes })
    }

    fn decode(&mut self) -> Result<(), super::ReadError> {
        if self.text.is_empty() {
            return Ok(());
        }
        let wrong = RecordError::Base64("payload.after");
        if self.ended {
            return Err(wrong.into());
        }
        let bytes = STANDARD.decode(&self.text).map_err(|_| wrong)?;
        self.ended = self.text.last() == Some(&b'=');
        self.text.clear();
        self.file.write_all(&bytes).map_err(super::ReadError::Spill)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}
