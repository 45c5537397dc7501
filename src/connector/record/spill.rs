//! Content that is too large for memory: in an unlinked file of a directory for temporary ones, which
//! is gone with the process, however that ends. Each reader has a place of its own in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::RecordError;

/// How many characters of base64 are decoded at once, a multiple of 4.
const DECODE_CHARS: usize = 64 << 10;

/// How many bytes are encoded at once, a multiple of 3.
const ENCODE_BYTES: usize = 48 << 10;

/// Content in a file without a name.
#[derive(Debug)]
pub struct SpilledContent {
    file: File,
    bytes: u64,
}

impl SpilledContent {
    /// How long it is, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its bytes from the first on.
    pub fn reader(&self) -> impl Read + '_ {
        FileCursor { file: &self.file, at: 0 }.take(self.bytes)
    }

    /// The same in standard base64 with padding.
    pub fn base64_reader(&self) -> impl Read + '_ {
        Base64 { from: self.reader(), text: Vec::new(), given: 0 }
    }

    /// How many characters that has.
    pub fn base64_chars(&self) -> u64 {
        self.bytes.div_ceil(3) * 4
    }

    /// The file, for whoever sends all of it; it stands at its beginning.
    ///
    /// # Errors
    /// What lseek(2) or fcntl(2) say.
    pub fn file(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        io::Seek::rewind(&mut file)?;
        Ok(file)
    }
}

/// A place in a file that others read, too.
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

/// What another reader gives, in base64.
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

/// Base64 on the way into a file.
#[derive(Debug)]
pub(super) struct SpillWriter {
    file: File,
    bytes: u64,
    text: Vec<u8>,
    /// Whether padding came, behind which nothing may follow.
    ended: bool,
}

impl SpillWriter {
    /// An empty file without a name, in this directory (`O_TMPFILE`, open(2)).
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

    /// The content, when its last character was taken.
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
