//! Content that is too large for memory, in unnamed files: the kernel removes them when the process
//! ends, for whatever reason. Each reader has its own offset.

use crate::ops::cause;
use base64_simd::STANDARD;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes encoded at once; three bytes become four characters.
pub(super) const PIECE_BYTES: usize = 48 << 10;

/// A directory for unnamed files, and how much they may take up.
#[derive(Debug)]
pub(super) struct SpillSpace {
    directory: PathBuf,
    /// The setting that names the directory, for errors.
    setting: &'static str,
    max_bytes: u64,
    used_bytes: AtomicU64,
}

/// Content in an unnamed file. Its space is released on drop.
#[derive(Debug)]
pub struct SpilledContent {
    file: File,
    bytes: AtomicU64,
    space: Arc<SpillSpace>,
}

impl SpillSpace {
    /// Returns the space of a directory, by default the system's for temporary files.
    pub(super) fn new(
        directory: Option<PathBuf>,
        setting: &'static str,
        max_bytes: u64,
    ) -> Arc<Self> {
        let directory = directory.unwrap_or_else(std::env::temp_dir);
        Arc::new(Self { directory, setting, max_bytes, used_bytes: AtomicU64::new(0) })
    }

    /// Creates an empty file.
    ///
    /// # Errors
    /// Errors of open(2), with the directory and its setting.
    pub(super) fn create(self: &Arc<Self>) -> io::Result<SpilledContent> {
        let file = tempfile::tempfile_in(&self.directory);
        let file = file.map_err(|error| self.error("no temporary file in", &error))?;
        Ok(SpilledContent { file, bytes: AtomicU64::new(0), space: Arc::clone(self) })
    }

    fn error(&self, what: &str, error: &io::Error) -> io::Error {
        let (directory, setting) = (self.directory.display(), self.setting);
        let why = format!(
            "{what} {directory}: {}; choose another directory with {setting}",
            cause(error)
        );
        io::Error::new(error.kind(), why)
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        if self.used_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.max_bytes {
            self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let (directory, max) = (self.directory.display(), self.max_bytes);
            let why = format!("large bodies in {directory} reached --spill-max ({max} bytes)");
            return Err(io::Error::other(why));
        }
        Ok(())
    }
}

impl SpilledContent {
    /// Returns the length, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Appends bytes; one thread at a time does.
    ///
    /// # Errors
    /// The space is used up, or errors of pwrite(2), with the directory and its setting.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len() as u64;
        self.space.take(count)?;
        let at = self.bytes.fetch_add(count, Ordering::Relaxed);
        let written = self.file.write_all_at(bytes, at);
        written.map_err(|error| self.space.error("cannot write a temporary file in", &error))
    }

    /// Returns a reader of the bytes, from the first one on.
    pub fn reader(&self) -> impl Read + '_ {
        Positioned { file: &self.file, at: 0 }.take(self.bytes())
    }

    /// Returns a reader of the same in standard base64 with padding.
    pub fn base64_reader(&self) -> impl Read + '_ {
        Base64 { content: self, at: 0, piece: Vec::new(), given: 0 }
    }

    /// Returns the length in base64, in characters.
    pub fn base64_chars(&self) -> u64 {
        self.bytes().div_ceil(3) * 4
    }

    /// Reads the characters from this offset on: at most one piece, none at the end.
    ///
    /// # Errors
    /// Errors of pread(2).
    pub(super) fn base64_piece(&self, at: u64, piece: &mut Vec<u8>) -> io::Result<()> {
        // Pieces begin at a multiple of three bytes, so that none depends on the one before.
        let from = at / 4 * 3;
        let count = self.bytes().saturating_sub(from).min(PIECE_BYTES as u64);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(PIECE_BYTES)];
        self.file.read_exact_at(&mut bytes, from)?;
        piece.clear();
        STANDARD.encode_append(&bytes, piece);
        piece.drain(..usize::try_from(at % 4).unwrap_or(0).min(piece.len()));
        Ok(())
    }

    /// Returns the file with its offset at the start, to send all of it.
    ///
    /// # Errors
    /// Errors of lseek(2) or fcntl(2).
    pub fn file(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }
}

impl Drop for SpilledContent {
    fn drop(&mut self) {
        self.space.used_bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// An offset in a file with other readers.
struct Positioned<'f> {
    file: &'f File,
    at: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// The characters of content from an offset on, read piece by piece.
struct Base64<'c> {
    content: &'c SpilledContent,
    at: u64,
    piece: Vec<u8>,
    /// Characters of the piece that were read.
    given: usize,
}

impl Read for Base64<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.piece.len() {
            self.content.base64_piece(self.at, &mut self.piece)?;
            self.at += self.piece.len() as u64;
            self.given = 0;
        }
        let count = (&self.piece[self.given..]).read(buffer)?;
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_share_their_space_and_release_it() {
        let space = SpillSpace::new(None, "--spill-dir", 10);
        let (one, other) = (space.create().unwrap(), space.create().unwrap());
        one.append(b"123456").unwrap();
        let error = other.append(b"12345").unwrap_err().to_string();
        assert!(error.ends_with("reached --spill-max (10 bytes)"), "{error}");
        assert_eq!(other.bytes(), 0);
        drop(one);
        other.append(b"12345").unwrap();
        other.append(b"6789x").unwrap();
        let mut text = String::new();
        other.reader().read_to_string(&mut text).unwrap();
        assert_eq!(text, "123456789x");
    }

    #[test]
    fn errors_name_the_directory_and_its_setting() {
        let space = SpillSpace::new(Some("/nowhere".into()), "--temporary", 10);
        let error = space.create().unwrap_err().to_string();
        assert!(error.starts_with("no temporary file in /nowhere: no such file"), "{error}");
        assert!(error.ends_with("; choose another directory with --temporary"), "{error}");
    }
}
