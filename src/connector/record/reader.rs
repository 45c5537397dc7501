//! Reads records from any input in bounded memory: of a line longer than [`LINE_MAX_BYTES`] the
//! bytes of `payload.after` go to a temporary file, and the rest must fit into that limit.

#[cfg(test)]
mod tests;

use super::scan::{PartSinks, Scanner};
use super::spill_writer::SpillWriter;
use super::{Record, RecordError, SpilledContent};
use crate::connector::spill::SpillSpace;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, mem};

/// Maximum length of a line that is parsed in memory, in bytes. Of longer lines, all but
/// `payload.after` must fit into it.
pub const LINE_MAX_BYTES: usize = 1 << 20;

/// Size of the input buffer, in bytes.
const READ_BYTES: usize = 64 << 10;

/// A record, and the part of it that is not in memory.
#[derive(Debug)]
pub struct Incoming {
    /// The record. If its content is in a file, `payload.after` is empty here.
    pub record: Record,
    /// The raw bytes of `payload.after`, if they are too large for memory.
    pub spilled: Option<SpilledContent>,
    /// Line number, counted from 1.
    pub line: u64,
    /// Length of the line in memory, in bytes.
    pub held_bytes: usize,
}

/// Why no more records can be read.
#[derive(Debug)]
pub enum ReadError {
    /// The line is not a valid record.
    Record(RecordError),
    /// The input ended within a line.
    Unfinished,
    /// The line exceeds [`LINE_MAX_BYTES`] without the raw bytes in `payload.after`.
    TooLong,
    /// The input cannot be read.
    Input(io::Error),
    /// The temporary file cannot be created or written.
    Spill(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::Unfinished => f.write_str("the input ended within this line"),
            Self::TooLong => write!(
                f,
                "the record is longer than {LINE_MAX_BYTES} bytes, which only raw bytes in \
                 payload.after may be"
            ),
            Self::Input(error) => error.fmt(f),
            Self::Spill(error) => write!(f, "a large record cannot be kept: {error}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Record(error) => Some(error),
            Self::Input(error) | Self::Spill(error) => Some(error),
            Self::Unfinished | Self::TooLong => None,
        }
    }
}

impl From<RecordError> for ReadError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

/// Reads records, one per line. Empty lines are skipped.
#[derive(Debug)]
pub struct Reader<R> {
    input: BufReader<R>,
    space: Arc<SpillSpace>,
    line: u64,
}

impl<R: Read> Reader<R> {
    /// Reads from `input`, with large content in the system's temporary directory.
    pub fn new(input: R) -> Self {
        Self::spilling_to(input, std::env::temp_dir())
    }

    /// Like [`Reader::new`] with another directory.
    pub fn spilling_to(input: R, directory: impl Into<PathBuf>) -> Self {
        let directory = Some(directory.into());
        Self::with_space(input, SpillSpace::new(directory, "Reader::spilling_to", u64::MAX))
    }

    /// Like [`Reader::new`] with large content in this space.
    pub(in crate::connector) fn with_space(input: R, space: Arc<SpillSpace>) -> Self {
        Self { input: BufReader::with_capacity(READ_BYTES, input), space, line: 0 }
    }

    /// Returns the number of the last line read, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Returns the next record, or `None` at the end of the input. Must not be called after an
    /// error.
    ///
    /// # Errors
    /// [`ReadError`]; [`Reader::line`] is the line in question.
    pub fn read(&mut self) -> Result<Option<Incoming>, ReadError> {
        loop {
            self.line += 1;
            let mut line = LineBuffer::new(&self.space);
            let end = read_line(&mut self.input, &mut line)?;
            if end == LineEnd::Input && line.is_empty() {
                return Ok(None);
            }
            if !line.is_empty() {
                let incoming = line.finish(self.line);
                return match (incoming, end) {
                    (Err(ReadError::Record(RecordError::Json(_))), LineEnd::Input) => {
                        Err(ReadError::Unfinished)
                    }
                    (incoming, _) => incoming.map(Some),
                };
            }
        }
    }
}

fn read_line(input: &mut impl BufRead, line: &mut LineBuffer<'_>) -> Result<LineEnd, ReadError> {
    loop {
        let there = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            there => there.map_err(ReadError::Input)?,
        };
        if there.is_empty() {
            return Ok(LineEnd::Input);
        }
        let end = memchr::memchr(b'\n', there);
        line.add(&there[..end.unwrap_or(there.len())])?;
        let taken = end.map_or(there.len(), |end| end + 1);
        input.consume(taken);
        if end.is_some() {
            return Ok(LineEnd::Line);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Line,
    Input,
}

/// A line as far as it has been read.
struct LineBuffer<'s> {
    space: &'s Arc<SpillSpace>,
    /// The complete line, or its skeleton.
    text: Vec<u8>,
    /// Splitter of a line that is too long.
    scanner: Option<Scanner>,
    spilling: Option<SpillWriter>,
}

impl<'s> LineBuffer<'s> {
    fn new(space: &'s Arc<SpillSpace>) -> Self {
        Self { space, text: Vec::new(), scanner: None, spilling: None }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        if self.scanner.is_none() && self.text.len() + bytes.len() <= LINE_MAX_BYTES {
            self.text.extend_from_slice(bytes);
            return Ok(());
        }
        let mut scanner = self.scanner.take().map_or_else(|| self.divide(), Ok)?;
        scanner.feed(bytes, self)?;
        self.scanner = Some(scanner);
        Ok(())
    }

    /// Starts to split the line, with what has been read of it.
    fn divide(&mut self) -> Result<Scanner, ReadError> {
        let begun = mem::take(&mut self.text);
        let mut scanner = Scanner::default();
        scanner.feed(&begun, self)?;
        Ok(scanner)
    }

    fn finish(self, line: u64) -> Result<Incoming, ReadError> {
        if self.scanner.is_some_and(|scanner| scanner.in_content()) {
            return Err(RecordError::Json("the line ends within payload.after".into()).into());
        }
        let mut record = Record::parse(&self.text)?;
        let spilled = self.spilling.map(SpillWriter::finish).transpose()?;
        if spilled.is_some() {
            record.payload.after = None;
        }
        Ok(Incoming { record, spilled, line, held_bytes: self.text.len() })
    }
}

impl PartSinks for LineBuffer<'_> {
    fn skeleton(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        if self.text.len() + bytes.len() > LINE_MAX_BYTES {
            return Err(ReadError::TooLong);
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn content(&mut self, text: &[u8]) -> Result<(), ReadError> {
        let spilling = match self.spilling.take() {
            Some(spilling) => spilling,
            None => SpillWriter::begin(self.space).map_err(ReadError::Spill)?,
        };
        self.spilling.insert(spilling).text(text)
    }
}
