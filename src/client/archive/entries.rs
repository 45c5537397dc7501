//! Reads an archive entry by entry, with bounded memory per entry; an archive without an end marker
//! is an error.
//!
//! Headers are parsed by the crate `tar`. Its own iterator is not used: it reads names of any
//! length into memory and treats a truncated archive as complete.

use super::super::Error;
use super::super::output::io_error;
use super::BLOCK_BYTES;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use tar::Header;

/// Maximum size of a long name, or of the extended attributes of one entry, in bytes. `PATH_MAX` is
/// 4096.
const EXTENSION_MAX_BYTES: u64 = 1 << 20;

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    /// A device, a fifo, or an unknown type.
    Other,
}

/// The header of an entry as read from the archive, unchecked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub mtime_seconds: u64,
    pub size_bytes: u64,
}

impl Entry {
    /// Returns the path in the archive, for messages.
    pub fn name(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.path))
    }
}

/// The entries of an archive. The content of an entry can be read before the next call of `next`.
pub(super) struct Entries<R> {
    input: R,
    content_bytes: u64,
    padding_bytes: u64,
}

/// Extension headers that precede an entry and modify it.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size_bytes: Option<u64>,
}

impl<R: Read> Entries<R> {
    pub fn new(input: R) -> Self {
        Self { input, content_bytes: 0, padding_bytes: 0 }
    }

    /// Returns the next entry, skipping unread content of the previous one; `None` once the end
    /// marker and the end of the input have been read.
    ///
    /// # Errors
    /// One line: the input failed or ended too early, or it is not a valid archive.
    pub fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip()?;
            let block = self.block()?;
            if block == [0; BLOCK_BYTES] {
                return self.end().map(|()| None);
            }
            let header = Header::from_byte_slice(&block);
            check_sum(header, &block)?;
            self.expect(match extensions.size_bytes {
                Some(size) if !is_extension(header) => size,
                Some(_) | None => header.entry_size().map_err(|_| damaged_archive())?,
            })?;
            match header.entry_type().as_byte() {
                b'L' => extensions.path = Some(until_zero(self.extension()?)),
                b'K' => extensions.link = Some(until_zero(self.extension()?)),
                b'x' => extensions.read(&self.extension()?)?,
                b'g' => {}
                b'S' => return Err(sparse()),
                kind => return self.entry(header, kind, extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, kind: u8, extensions: Extensions) -> io::Result<Entry> {
        let path = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extensions.link.unwrap_or_else(|| {
            header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default()
        });
        let kind = match kind {
            // Before POSIX, a trailing slash marked a directory.
            b'0' | b'\0' if path.ends_with(b"/") => Kind::Directory,
            b'0' | b'\0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'5' => Kind::Directory,
            _ => Kind::Other,
        };
        if kind == Kind::HardLink {
            // The size is that of the link target; no content follows.
            self.expect(0)?;
        }
        Ok(Entry {
            path,
            link,
            kind,
            mode: header.mode().map_err(|_| damaged_archive())?,
            mtime_seconds: header.mtime().unwrap_or(0),
            size_bytes: self.content_bytes,
        })
    }

    /// Sets the size of the content that follows.
    fn expect(&mut self, size_bytes: u64) -> io::Result<()> {
        let whole =
            size_bytes.checked_next_multiple_of(BLOCK_BYTES as u64).ok_or_else(damaged_archive)?;
        (self.content_bytes, self.padding_bytes) = (size_bytes, whole - size_bytes);
        Ok(())
    }

    /// Reads the content of an extension header, which applies to the next entry.
    fn extension(&mut self) -> io::Result<Vec<u8>> {
        if self.content_bytes > EXTENSION_MAX_BYTES {
            return Err(io_error(
                ErrorKind::InvalidData,
                format!("the archive has a name or attributes of {} bytes", self.content_bytes),
            ));
        }
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        Ok(content)
    }

    fn skip(&mut self) -> io::Result<()> {
        let left = self.content_bytes.saturating_add(self.padding_bytes);
        (self.content_bytes, self.padding_bytes) = (0, 0);
        let skipped = io::copy(&mut self.input.by_ref().take(left), &mut io::sink())?;
        if skipped < left { Err(cut()) } else { Ok(()) }
    }

    fn block(&mut self) -> io::Result<[u8; BLOCK_BYTES]> {
        let mut block = [0; BLOCK_BYTES];
        match self.input.read_exact(&mut block) {
            // Replace the terse error of `read_exact`, but keep that of a response: it has the
            // cause of the interruption, which determines the exit status.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && !is_of_response(&error) => {
                Err(cut())
            }
            read => read.map(|()| block),
        }
    }

    /// Reads the second zero block and any padding: only at its own end does the input report
    /// whether it is complete.
    fn end(&mut self) -> io::Result<()> {
        if self.block()? != [0; BLOCK_BYTES] {
            return Err(damaged_archive());
        }
        io::copy(&mut self.input, &mut io::sink()).map(|_| ())
    }
}

/// Reads the content of the entry; a premature end is an error.
impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.by_ref().take(self.content_bytes).read(buffer)?;
        if count == 0 && self.content_bytes > 0 && !buffer.is_empty() {
            return Err(cut());
        }
        self.content_bytes -= count as u64;
        Ok(count)
    }
}

impl Extensions {
    /// Parses the records of an extended header, each `LENGTH KEY=VALUE` and a line feed (POSIX,
    /// *pax*).
    fn read(&mut self, mut records: &[u8]) -> io::Result<()> {
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or_else(damaged_archive)?;
            match key {
                b"path" => self.path = Some(until_zero(value.to_vec())),
                b"linkpath" => self.link = Some(until_zero(value.to_vec())),
                b"size" => self.size_bytes = Some(number(value).ok_or_else(damaged_archive)?),
                key if key.starts_with(b"GNU.sparse.") => return Err(sparse()),
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }
}

/// Splits off the first record: key, value, and the remaining records.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = records.iter().position(|&byte| byte == b' ')?;
    let length = usize::try_from(number(&records[..blank])?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let text = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|&byte| byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..], rest))
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

fn is_extension(header: &Header) -> bool {
    b"LKxg".contains(&header.entry_type().as_byte())
}

fn until_zero(mut name: Vec<u8>) -> Vec<u8> {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    name.truncate(end);
    name
}

/// Whether a block can be the first one of an archive: a header, or the end marker of an empty one.
pub(super) fn is_header(block: &[u8; BLOCK_BYTES]) -> bool {
    *block == [0; BLOCK_BYTES] || check_sum(Header::from_byte_slice(block), block).is_ok()
}

/// Verifies the checksum: the sum of all bytes, with the checksum field taken as blanks (POSIX,
/// *ustar*).
fn check_sum(header: &Header, block: &[u8; BLOCK_BYTES]) -> io::Result<()> {
    const SUM: std::ops::Range<usize> = 148..156;
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let blanks = u32::from(b' ') * 8;
    let expected = sum(&block[..SUM.start]) + blanks + sum(&block[SUM.end..]);
    if header.cksum().ok() == Some(expected) { Ok(()) } else { Err(damaged_archive()) }
}

fn is_of_response(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<Error>())
}

fn cut() -> io::Error {
    io_error(ErrorKind::UnexpectedEof, "the archive stops before its end; send it again".to_owned())
}

fn damaged_archive() -> io::Error {
    io_error(ErrorKind::InvalidData, "not a tar archive, or a damaged one".to_owned())
}

fn sparse() -> io::Error {
    let text = "the archive holds a sparse file; pack it without --sparse";
    io_error(ErrorKind::InvalidData, text.to_owned())
}

#[cfg(test)]
mod tests;
