//! Reading an archive entry by entry. The memory an entry can ask for is bounded, and an archive
//! without its end is an error.
//!
//! Headers are read with the crate `tar`. Its own iterator is not used: it takes names of any length
//! into memory, and an archive that just stops for a whole one.

use super::super::Error;
use super::super::output::told;
use super::BLOCK_BYTES;
use std::io::{self, ErrorKind, Read};
use tar::Header;

/// How long a long name, or all extended attributes of one entry, may be, in bytes. `PATH_MAX` is
/// 4096.
const EXTENSION_MAX_BYTES: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    /// A device, a fifo, or something this reader does not know.
    Other,
}

/// What an archive says of one entry; nothing of it has been checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub mtime_seconds: u64,
    pub size_bytes: u64,
}

/// The entries of an archive. Between two of them, the content of the first can be read.
pub(super) struct Entries<R> {
    input: R,
    content_bytes: u64,
    padding_bytes: u64,
}

/// What goes before an entry and changes it.
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

    /// The next entry; what was not read of the content before is skipped. `None` once the end of
    /// the archive is there and the input was read to its own end.
    ///
    /// # Errors
    /// One line: the input failed or stopped too early, or this is no archive.
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
            // Before POSIX, a slash was what made a directory.
            b'0' | b'\0' if path.ends_with(b"/") => Kind::Directory,
            b'0' | b'\0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'5' => Kind::Directory,
            _ => Kind::Other,
        };
        if kind == Kind::HardLink {
            // Its size is that of the file it links to; no content follows.
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

    /// So much content follows.
    fn expect(&mut self, size_bytes: u64) -> io::Result<()> {
        let whole =
            size_bytes.checked_next_multiple_of(BLOCK_BYTES as u64).ok_or_else(damaged_archive)?;
        (self.content_bytes, self.padding_bytes) = (size_bytes, whole - size_bytes);
        Ok(())
    }

    /// The content of an entry that says something of the next one.
    fn extension(&mut self) -> io::Result<Vec<u8>> {
        if self.content_bytes > EXTENSION_MAX_BYTES {
            return Err(told(
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
            // The error of `read_exact` says less, and that of a response much more: why it broke
            // off, on which the exit status depends.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && !is_of_response(&error) => {
                Err(cut())
            }
            read => read.map(|()| block),
        }
    }

    /// The second block of zeros, and whatever fills up the input: an archive is often padded, and
    /// only at its end does the input say whether it is whole.
    fn end(&mut self) -> io::Result<()> {
        if self.block()? != [0; BLOCK_BYTES] {
            return Err(damaged_archive());
        }
        io::copy(&mut self.input, &mut io::sink()).map(|_| ())
    }
}

/// The content of the entry; it never stops early.
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
    /// The records of an extended header, `LENGTH KEY=VALUE` and a line feed (POSIX, *pax*).
    fn read(&mut self, mut records: &[u8]) -> io::Result<()> {
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or_else(damaged_archive)?;
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size_bytes = Some(number(value).ok_or_else(damaged_archive)?),
                key if key.starts_with(b"GNU.sparse.") => return Err(sparse()),
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }
}

/// Key, value, and what follows the record.
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

/// The sum of all bytes, those of the sum itself taken as blanks (POSIX, *ustar*).
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
    told(ErrorKind::UnexpectedEof, "the archive stops before its end; send it again".to_owned())
}

fn damaged_archive() -> io::Error {
    told(ErrorKind::InvalidData, "not a tar archive, or a damaged one".to_owned())
}

fn sparse() -> io::Error {
    let text = "the archive holds a sparse file; pack it without --sparse";
    told(ErrorKind::InvalidData, text.to_owned())
}

#[cfg(test)]
mod tests;
