//! Records from anything that can be read, in bounded memory: a line longer than [`LINE_MAX_BYTES`]
//! has the bytes of its `payload.after` in a temporary file, and nothing else of it may be longer than that.

use super::scan::{Parts, Scanner};
use super::spill::Spilling;
use super::{Record, RecordError, Spilled};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::{fmt, mem};

/// Lines up to here are parsed in memory; of longer ones, all but `payload.after` must fit into as
/// much. In bytes.
pub const LINE_MAX_BYTES: usize = 1 << 20;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;

/// A record, and what of it is not in memory.
#[derive(Debug)]
pub struct Incoming {
    /// The record. If its content is in a file, `payload.after` is empty here.
    pub record: Record,
    /// The raw bytes of `payload.after`, if they are too large for memory.
    pub spilled: Option<Spilled>,
    /// Its line, counted from 1.
    pub line: u64,
    /// How long the line is in memory, in bytes.
    pub held_bytes: usize,
}

/// Why no more records can be read.
#[derive(Debug)]
pub enum ReadError {
    /// The line is no record.
    Record(RecordError),
    /// The input ended within a line.
    Unfinished,
    /// Besides raw bytes in `payload.after`, the line has more than [`LINE_MAX_BYTES`].
    TooLong,
    /// The input cannot be read.
    Input(io::Error),
    /// The temporary file cannot be made or written.
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
            Self::Spill(error) => {
                write!(
                    f,
                    "a temporary file for a large record: {error}; name a directory with room"
                )
            }
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

/// Reads records, one a line. Empty lines are passed over.
#[derive(Debug)]
pub struct Reader<R> {
    input: BufReader<R>,
    directory: PathBuf,
    line: u64,
}

impl<R: Read> Reader<R> {
    /// Reads from `input`, with large content in the system's directory for temporary files.
    pub fn new(input: R) -> Self {
        Self::spilling_to(input, std::env::temp_dir())
    }

    /// The same with another directory, whose file system has `O_TMPFILE` (open(2)).
    pub fn spilling_to(input: R, directory: impl Into<PathBuf>) -> Self {
        let input = BufReader::with_capacity(READ_BYTES, input);
        Self { input, directory: directory.into(), line: 0 }
    }

    /// The number of the line that was read last, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The next record, or `None` at the end of the input. After an error nothing more is to be read.
    ///
    /// # Errors
    /// [`ReadError`]; [`Reader::line`] is the line it is about.
    pub fn read(&mut self) -> Result<Option<Incoming>, ReadError> {
        loop {
            self.line += 1;
            let mut line = Line::new(&self.directory);
            let end = read_line(&mut self.input, &mut line)?;
            if end == End::Input && line.is_empty() {
                return Ok(None);
            }
            if !line.is_empty() {
                let incoming = line.finish(self.line);
                return match (incoming, end) {
                    (Err(ReadError::Record(RecordError::Json(_))), End::Input) => {
                        Err(ReadError::Unfinished)
                    }
                    (incoming, _) => incoming.map(Some),
                };
            }
        }
    }
}

fn read_line(input: &mut impl BufRead, line: &mut Line<'_>) -> Result<End, ReadError> {
    loop {
        let there = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            there => there.map_err(ReadError::Input)?,
        };
        if there.is_empty() {
            return Ok(End::Input);
        }
        let end = memchr::memchr(b'\n', there);
        line.add(&there[..end.unwrap_or(there.len())])?;
        let taken = end.map_or(there.len(), |end| end + 1);
        input.consume(taken);
        if end.is_some() {
            return Ok(End::Line);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Line,
    Input,
}

/// A line as far as it was read.
struct Line<'d> {
    directory: &'d Path,
    /// The whole line, or its skeleton.
    text: Vec<u8>,
    /// What divides a line that is too long.
    scanner: Option<Scanner>,
    spilling: Option<Spilling>,
}

impl<'d> Line<'d> {
    fn new(directory: &'d Path) -> Self {
        Self { directory, text: Vec::new(), scanner: None, spilling: None }
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

    /// Begins to divide the line, with what there is of it.
    fn divide(&mut self) -> Result<Scanner, ReadError> {
        let begun = mem::take(&mut self.text);
        let mut scanner = Scanner::default();
        scanner.feed(&begun, self)?;
        Ok(scanner)
    }

    fn finish(self, line: u64) -> Result<Incoming, ReadError> {
        if self.scanner.is_some_and(|scanner| scanner.in_content()) {
            return Err(ReadError::Unfinished);
        }
        let mut record = Record::parse(&self.text)?;
        let spilled = self.spilling.map(Spilling::finish).transpose()?;
        if spilled.is_some() {
            record.payload.after = None;
        }
        Ok(Incoming { record, spilled, line, held_bytes: self.text.len() })
    }
}

impl Parts for Line<'_> {
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
            None => Spilling::begin(self.directory).map_err(ReadError::Spill)?,
        };
        self.spilling.insert(spilling).text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Change, Data, Operation};
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Write as _;

    fn record(after: Option<Data>) -> Record {
        Record {
            position: b"p".to_vec(),
            operation: Operation::Create,
            metadata: BTreeMap::new(),
            key: None,
            payload: Change { before: None, after },
        }
    }

    fn line(after: Option<Data>) -> Vec<u8> {
        let mut line = Vec::new();
        record(after).write(&mut line);
        line
    }

    fn pattern(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at * 7 + at / 251 % 5).to_le_bytes()[0]).collect()
    }

    fn content(spilled: &Spilled) -> Vec<u8> {
        let mut content = Vec::new();
        spilled.reader().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn content_of_any_length_is_read_and_written_again() {
        let edges = [0, 1, 2, 3, 700_000, LINE_MAX_BYTES, 3 * LINE_MAX_BYTES + 1];
        let input: Vec<u8> =
            edges.iter().flat_map(|bytes| line(Some(Data::Raw(pattern(*bytes))))).collect();
        let mut reader = Reader::new(&input[..]);
        for bytes in edges {
            let incoming = reader.read().unwrap().unwrap();
            let (head, tail) = incoming.record.halves();
            let (mut again, expected) = (head, pattern(bytes));
            match (&incoming.spilled, &incoming.record.payload.after) {
                (Some(spilled), None) => {
                    assert!(bytes > LINE_MAX_BYTES / 2, "{bytes} bytes fit into memory");
                    assert_eq!((content(spilled), spilled.bytes()), (expected, bytes as u64));
                    again.push(b'"');
                    let chars = spilled.base64_reader().read_to_end(&mut again).unwrap();
                    assert_eq!(chars as u64, spilled.base64_chars());
                    again.push(b'"');
                    again.extend_from_slice(tail);
                }
                (None, Some(Data::Raw(content))) => {
                    assert_eq!(content, &expected);
                    again.clear();
                    incoming.record.write(&mut again);
                }
                other => panic!("{bytes}: {other:?}"),
            }
            assert!(incoming.held_bytes <= LINE_MAX_BYTES);
            assert!(again == line(Some(Data::Raw(pattern(bytes)))), "{bytes}: the same line");
        }
        assert!(reader.read().unwrap().is_none());
    }

    #[test]
    fn several_can_read_the_same_content() {
        let input = line(Some(Data::Raw(pattern(LINE_MAX_BYTES))));
        let incoming = Reader::new(&input[..]).read().unwrap().unwrap();
        let spilled = incoming.spilled.unwrap();
        let mut begun = spilled.reader();
        begun.read_exact(&mut [0; 100]).unwrap();
        assert_eq!(content(&spilled), pattern(LINE_MAX_BYTES), "another place");
        let mut rest = Vec::new();
        begun.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, &pattern(LINE_MAX_BYTES)[100..]);
        let mut file = Vec::new();
        spilled.file().unwrap().read_to_end(&mut file).unwrap();
        assert_eq!(file, pattern(LINE_MAX_BYTES));
    }

    #[test]
    fn empty_lines_are_passed_over_but_counted() {
        let input = [b"\n\n", &line(None)[..], b"\n", line(None).trim_ascii_end()].concat();
        let mut reader = Reader::new(&input[..]);
        let lines = [(); 2].map(|()| reader.read().unwrap().unwrap().line);
        assert_eq!(lines, [3, 5], "the last one needs no end");
        assert!(reader.read().unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line() {
        let long = "x".repeat(LINE_MAX_BYTES);
        let good = String::from_utf8(line(None)).unwrap();
        let start = r#"{"position":"cA==","operation":"create","#;
        let a = "A".repeat(2 * LINE_MAX_BYTES);
        for (name, input, hint) in [
            ("no record", format!("{good}nothing\n"), "not a JSON object"),
            ("cut short", format!("{good}{}", &good[..50]), "ended within"),
            ("long, and no record", format!("{good}{long}{long}"), "only raw bytes"),
            (
                "large metadata",
                format!("{good}{start}\"metadata\":{{\"n\":\"{long}\"}}}}\n"),
                "only raw bytes",
            ),
            (
                "a large object",
                format!("{good}{start}\"payload\":{{\"after\":{{\"n\":\"{long}\"}}}}}}\n"),
                "only raw bytes",
            ),
            ("a large key", format!("{good}{start}\"key\":\"{a}\"}}\n"), "only raw bytes"),
            (
                "an array of such names",
                format!("{good}{start}\"payload\":[{{\"after\":\"{a}\"}}]}}\n"),
                "only raw bytes",
            ),
            (
                "twice",
                format!("{good}{start}\"payload\":{{\"after\":\"{a}\",\"after\":\"{a}\"}}}}\n"),
                "duplicate field",
            ),
            (
                "padding within",
                format!("{good}{start}\"payload\":{{\"after\":\"AA=={a}\"}}}}\n"),
                "base64",
            ),
            (
                "not a multiple of 4",
                format!("{good}{start}\"payload\":{{\"after\":\"{a}A\"}}}}\n"),
                "base64",
            ),
            (
                "cut short within the content",
                format!("{good}{start}\"payload\":{{\"after\":\"{a}"),
                "ended within",
            ),
        ] {
            let mut reader = Reader::new(input.as_bytes());
            reader.read().unwrap();
            let error = reader.read().unwrap_err().to_string();
            assert!(error.contains(hint), "{name}: {error}");
            assert_eq!(reader.line(), 2, "{name}");
        }
    }

    #[test]
    fn escapes_and_whitespace_do_not_hide_the_content() {
        let content = "////".repeat(LINE_MAX_BYTES / 4);
        let escaped = content.replace("////", r"\/\u002f//");
        let mut input = Vec::new();
        let names = r#""key" : "cA==", "p\u0061yload" : { "other" : "after" , "after" : "#;
        write!(input, r#"{{"position":"cA==", "operation":"create", {names}"{escaped}" }} }}"#)
            .unwrap();
        let incoming = Reader::new(&input[..]).read().unwrap();
        let spilled = incoming.unwrap().spilled.unwrap();
        assert!(self::content(&spilled).iter().all(|byte| *byte == 0xff));
        assert_eq!(spilled.bytes(), LINE_MAX_BYTES as u64 / 4 * 3);
    }

    #[test]
    fn a_directory_without_room_is_named_as_the_reason() {
        let input = line(Some(Data::Raw(pattern(LINE_MAX_BYTES))));
        let mut reader = Reader::spilling_to(&input[..], "/nowhere/at/all");
        let error = reader.read().unwrap_err().to_string();
        assert!(error.contains("temporary file"), "{error}");
    }
}
