//! Segments on disk: their complete records, the start of the last one, and the offset of a
//! position.

use super::SpoolError;
use super::line::{self, Fault, HEAD_BYTES, LineChecker};
use super::state::Segment;
use memchr::{memchr, memrchr};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use uuid::Uuid;

/// The size of a read.
const BLOCK_BYTES: usize = 64 << 10;

/// The contents of a segment up to its first unsynced byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyncedContents {
    /// Its complete records; `None` without any.
    pub(super) segment: Option<Segment>,
    /// The number of bytes after them.
    pub(super) torn_bytes: u64,
}

/// Reads the newest segment, the only one that can be torn: after its last line feed, or from a NUL
/// byte on, where a file system without power has no data for unsynced blocks.
pub(super) fn examine(path: &Path, first: Uuid) -> Result<SyncedContents, SpoolError> {
    let doing = || SpoolError::io("cannot read", path);
    let mut file = File::open(path).map_err(doing())?;
    let mut lines = LineChecker::after_last_line(None);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let count = file.read(&mut block).map_err(doing())?;
        match lines.take(&block[..count]) {
            Ok(()) if count == 0 => break,
            Ok(()) => {}
            Err(Fault::Nul) => break,
            Err(Fault::NoPosition | Fault::Order | Fault::Unended) => {
                return Err(damaged(path, lines.whole_bytes));
            }
        }
    }
    let size = file.seek(SeekFrom::End(0)).map_err(doing())?;
    let bytes = lines.whole_bytes;
    let segment = lines.last.map(|last| Segment { first, last, bytes });
    if segment.is_some() && lines.first != Some(first) {
        return Err(damaged(path, 0));
    }
    Ok(SyncedContents { segment, torn_bytes: size - bytes })
}

/// Reads both ends of a complete segment.
pub(super) fn inspect(path: &Path, first: Uuid) -> Result<Segment, SpoolError> {
    let doing = || SpoolError::io("cannot read", path);
    let file = File::open(path).map_err(doing())?;
    let bytes = file.metadata().map_err(doing())?.len();
    if position_at(&file, 0).map_err(doing())? != Some(first) {
        return Err(damaged(path, 0));
    }
    let last = last_position(&file, bytes).map_err(doing())?;
    let last = last.filter(|last| *last >= first).ok_or_else(|| damaged(path, 0))?;
    Ok(Segment { first, last, bytes })
}

/// The offset at which a reader continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadPosition {
    /// The number of bytes of the segment before it.
    pub(super) offset: u64,
    /// Whether the requested position is that of the last record before it.
    pub(super) exact: bool,
}

/// Finds the offset of the first record whose position is greater than this one.
pub(super) fn find(file: &File, segment: Segment, position: Uuid) -> io::Result<ReadPosition> {
    if segment.last <= position {
        return Ok(ReadPosition { offset: segment.bytes, exact: segment.last == position });
    }
    let (mut offset, mut exact) = (near(file, segment, position)?, false);
    while offset < segment.bytes {
        match position_at(file, offset)? {
            Some(found) if found > position => break,
            Some(found) => exact = found == position,
            None => return Err(io::ErrorKind::InvalidData.into()),
        }
        offset = line_end(file, offset)?;
    }
    Ok(ReadPosition { offset, exact })
}

/// Returns the start of a line at or shortly before this position, found by bisection, because a
/// segment may have a million lines.
fn near(file: &File, segment: Segment, position: Uuid) -> io::Result<u64> {
    let (mut start, mut end) = (0, segment.bytes);
    while end - start > BLOCK_BYTES as u64 {
        let middle = start + (end - start) / 2;
        let next = line_end(file, middle)?;
        let next_position = if next < segment.bytes { position_at(file, next)? } else { None };
        match next_position {
            Some(found) if found <= position => start = next,
            Some(_) | None => end = middle,
        }
    }
    Ok(start)
}

/// Returns the offset after the line that contains this offset.
fn line_end(file: &File, mut offset: u64) -> io::Result<u64> {
    // Most records are shorter; a longer one costs a few more reads.
    let mut block = [0; 4096];
    loop {
        let count = file.read_at(&mut block, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = memchr(b'\n', &block[..count]) {
            return Ok(offset + end as u64 + 1);
        }
        offset += count as u64;
    }
}

/// Returns the position of the last record, found from the end; `None` if it is incomplete.
fn last_position(file: &File, bytes: u64) -> io::Result<Option<Uuid>> {
    let Some(mut end) = bytes.checked_sub(1) else { return Ok(None) };
    let mut block = vec![0; BLOCK_BYTES];
    file.read_exact_at(&mut block[..1], end)?;
    if block[0] != b'\n' {
        return Ok(None);
    }
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES as u64);
        let count = usize::try_from(end - start).unwrap_or(BLOCK_BYTES);
        file.read_exact_at(&mut block[..count], start)?;
        if let Some(feed) = memrchr(b'\n', &block[..count]) {
            return position_at(file, start + feed as u64 + 1);
        }
        end = start;
    }
    position_at(file, 0)
}

/// Reads the position of the record that begins at this offset.
fn position_at(file: &File, offset: u64) -> io::Result<Option<Uuid>> {
    let mut head = [0; HEAD_BYTES];
    match file.read_exact_at(&mut head, offset) {
        Ok(()) => Ok(line::position(&head)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn damaged(path: &Path, good_bytes: u64) -> SpoolError {
    SpoolError::Damaged { path: path.to_owned(), good_bytes }
}

#[cfg(test)]
mod tests {
    use super::super::test_records::{at, line, long_line};
    use super::*;
    use std::fs;

    fn examined(text: &str) -> Result<SyncedContents, SpoolError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment");
        fs::write(&path, text).unwrap();
        examine(&path, at(1))
    }

    #[test]
    fn a_torn_tail_is_distinguished_from_complete_records() {
        let whole = format!("{}{}", line(1, "a"), long_line(2, 200_000));
        let next = line(3, "c");
        for (name, tail) in [
            ("nothing", String::new()),
            ("one byte", "{".into()),
            ("half a head", next[..40].into()),
            ("all but the line feed", next.trim_end().into()),
            ("noise", "#".repeat(100)),
            ("a hole", "\0".repeat(5000)),
            ("a hole, and a record behind it", format!("\0\0{next}")),
            ("a hole inside a record", next.replace('c', "\0")),
        ] {
            let found = examined(&format!("{whole}{tail}")).unwrap();
            let segment = Segment { first: at(1), last: at(2), bytes: whole.len() as u64 };
            let torn_bytes = tail.len() as u64;
            assert_eq!(found, SyncedContents { segment: Some(segment), torn_bytes }, "{name}");
        }
        let none = examined(&next[..40]).unwrap();
        assert_eq!(none, SyncedContents { segment: None, torn_bytes: 40 });
    }

    #[test]
    fn damage_not_caused_by_a_crash_is_refused_with_its_offset() {
        let good = line(1, "a");
        for (name, text, expected) in [
            ("another text", format!("{good}hello\n{}", line(2, "b")), good.len() as u64),
            ("backwards", format!("{good}{good}"), good.len() as u64),
            ("another name", line(2, "b"), 0),
        ] {
            match examined(&text) {
                Err(SpoolError::Damaged { good_bytes, .. }) => {
                    assert_eq!(good_bytes, expected, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn first_and_last_record_of_any_length_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment");
        for (name, text, last) in [
            ("one", line(1, "a"), 1),
            ("one long", long_line(1, 300_000), 1),
            ("a long one behind", format!("{}{}", line(1, "a"), long_line(2, 300_000)), 2),
            ("a short one behind", format!("{}{}", long_line(1, 300_000), line(2, "a")), 2),
            ("one of a block", format!("{}{}", line(1, "a"), long_line(2, BLOCK_BYTES)), 2),
        ] {
            fs::write(&path, &text).unwrap();
            let segment = Segment { first: at(1), last: at(last), bytes: text.len() as u64 };
            assert_eq!(inspect(&path, at(1)).unwrap(), segment, "{name}");
        }
        for (name, text) in [("empty", ""), ("torn", line(1, "a").trim_end()), ("noise", "n\n")] {
            fs::write(&path, text).unwrap();
            assert!(matches!(inspect(&path, at(1)), Err(SpoolError::Damaged { .. })), "{name}");
        }
    }

    #[test]
    fn an_offset_is_found_among_many_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment");
        // Odd positions; every hundredth line is longer than a block.
        let size = |number: u64| if number % 100 == 99 { 2 * BLOCK_BYTES } else { 100 };
        let lines: Vec<_> = (0..2000).map(|n| long_line(2 * n + 1, size(n))).collect();
        fs::write(&path, lines.concat()).unwrap();
        let (segment, opened) = (inspect(&path, at(1)).unwrap(), File::open(&path).unwrap());
        let mut behind = 0;
        for (number, line) in lines.iter().enumerate() {
            behind += line.len() as u64;
            if !matches!(number % 100, 0 | 50 | 98 | 99) {
                continue;
            }
            for (position, exact) in [(2 * number as u64 + 1, true), (2 * number as u64 + 2, false)]
            {
                let place = find(&opened, segment, at(position)).unwrap();
                assert_eq!(place, ReadPosition { offset: behind, exact }, "{position}");
            }
        }
    }

    #[test]
    fn the_offset_after_a_position_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment");
        let (one, three, five) = (line(1, "a"), long_line(3, 10_000), line(5, "c"));
        fs::write(&path, format!("{one}{three}{five}")).unwrap();
        let (segment, opened) = (inspect(&path, at(1)).unwrap(), File::open(&path).unwrap());
        let behind_three = (one.len() + three.len()) as u64;
        for (name, number, offset, exact) in [
            ("the first", 1, one.len() as u64, true),
            ("none", 2, one.len() as u64, false),
            ("a long one", 3, behind_three, true),
            ("none behind it", 4, behind_three, false),
            ("the last", 5, segment.bytes, true),
            ("none behind all", 6, segment.bytes, false),
        ] {
            let place = find(&opened, segment, at(number)).unwrap();
            assert_eq!(place, ReadPosition { offset, exact }, "{name}");
        }
    }
}
