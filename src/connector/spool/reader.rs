//! Readers: records in order, in pieces, so that a record of any length takes little memory; and
//! waiting for new ones. A reader only sees durable records.

use super::line::{self, HEAD_BYTES};
use super::segment::{damaged, find};
use super::state::{Segment, SpoolState};
use super::{Shared, SpoolError};
use memchr::memchr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// The size of a read; a record up to this size is returned in one piece.
const BUFFER_BYTES: usize = 64 << 10;

/// The start of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Beginning,
    /// After the last delivered record.
    Cursor,
    /// After the record of this position.
    Behind(Uuid),
}

/// What was found at the start of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPoint {
    /// It continues exactly there.
    Next,
    /// Records after that position were removed; it starts with the oldest one.
    Gone,
    /// No record of that position is known; it starts with the next greater one.
    Unknown,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'r> {
    /// A piece of a record.
    Piece(Piece<'r>),
    /// No further record yet.
    End,
    /// Unread records have been removed meanwhile; it continues with the oldest one.
    Gone,
}

/// A piece of a record, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'r> {
    /// The position of the record.
    pub position: Uuid,
    /// The next bytes of its line.
    pub bytes: &'r [u8],
    /// Whether the record ends with these bytes: the last byte is its line feed.
    pub ends: bool,
    /// Their offset in the segment.
    pub offset: u64,
}

/// The result of waiting for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitResult {
    /// There are records to read.
    Grown,
    /// No record was appended in time.
    TimedOut,
    /// The spool was closed; no more records follow.
    Closed,
}

/// Reads the records of a spool from a given position on.
#[derive(Debug)]
pub struct SpoolReader {
    shared: Arc<Shared>,
    /// The current segment, or the last one read.
    segment: Option<Uuid>,
    file: Option<Arc<File>>,
    /// The number of bytes of the segment that were read into the buffer.
    offset: u64,
    buffer: Box<[u8]>,
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    /// The record whose last piece was not returned yet.
    within: Option<Uuid>,
    /// The last record that was started, or after which the reader started.
    behind: Option<Uuid>,
}

impl SpoolReader {
    pub(super) fn new(shared: Arc<Shared>, start: Start) -> Result<(Self, StartPoint), SpoolError> {
        let position = match start {
            Start::Beginning => None,
            Start::Cursor => shared.state().cursor.delivered,
            Start::Behind(position) => Some(position),
        };
        let mut reader = Self {
            shared,
            segment: None,
            file: None,
            offset: 0,
            buffer: vec![0; BUFFER_BYTES].into(),
            start: 0,
            end: 0,
            within: None,
            behind: None,
        };
        let found = match position {
            None => {
                reader.behind = reader.shared.state().cursor.removed;
                StartPoint::Next
            }
            Some(position) => reader.seek(position)?,
        };
        Ok((reader, found))
    }

    /// Seeks to the first record after this position.
    fn seek(&mut self, position: Uuid) -> Result<StartPoint, SpoolError> {
        loop {
            let state = self.shared.state();
            let (last, removed) = (state.last(), state.cursor.removed);
            let holding = state.holding(position);
            drop(state);
            self.behind = Some(position).min(last).max(removed);
            let Some(segment) = holding else { return Ok(unheld(position, removed)) };
            // Removed meanwhile: retry, because the state does not contain it any more.
            let Some(file) = self.open(segment.first)? else { continue };
            let place = find(&file, segment, position).map_err(|error| self.unreadable(error))?;
            (self.segment, self.file, self.offset) =
                (Some(segment.first), Some(file), place.offset);
            return Ok(if place.exact { StartPoint::Next } else { unheld(position, removed) });
        }
    }

    /// Returns the next piece of a record, or that there is none yet.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if a segment cannot be read, or contains invalid records.
    pub fn read(&mut self) -> Result<Next<'_>, SpoolError> {
        while self.wants_more() {
            match self.fill()? {
                Fill::Some => {}
                Fill::End => return Ok(Next::End),
                Fill::Gone => return Ok(Next::Gone),
            }
        }
        let bytes = &self.buffer[self.start..self.end];
        let position = match self.within {
            Some(position) => position,
            None => line::position(bytes).ok_or_else(|| self.damaged())?,
        };
        let feed = memchr(b'\n', bytes);
        let start = self.start;
        self.start = feed.map_or(self.end, |feed| start + feed + 1);
        self.within = if feed.is_some() { None } else { Some(position) };
        self.behind = Some(position);
        let offset = self.offset - (self.end - start) as u64;
        let bytes = &self.buffer[start..self.start];
        Ok(Next::Piece(Piece { position, bytes, ends: feed.is_some(), offset }))
    }

    /// Returns the segment of the last piece, for another read: it stays readable after its
    /// removal.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was read yet.
    pub fn file(&self) -> io::Result<Arc<File>> {
        Ok(Arc::clone(self.file.as_ref().ok_or(io::ErrorKind::NotFound)?))
    }

    /// Waits until there are records to read, up to `most`.
    pub fn wait(&self, most: Duration) -> WaitResult {
        let state = self.shared.state();
        let nothing = |state: &mut SpoolState| !state.closed && !self.has_more(state);
        let waited = self.shared.grown.wait_timeout_while(state, most, nothing);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (self.has_more(&state), state.closed) {
            (true, _) => WaitResult::Grown,
            (false, true) => WaitResult::Closed,
            (false, false) => WaitResult::TimedOut,
        }
    }

    fn has_more(&self, state: &SpoolState) -> bool {
        let newest = state.segments.back();
        let unread =
            |newest: &Segment| Some(newest.first) != self.segment || newest.bytes > self.offset;
        self.start < self.end || newest.is_some_and(unread)
    }

    /// Whether the buffer holds no piece yet: neither a complete record, nor a full buffer, nor the
    /// rest of a record.
    fn wants_more(&self) -> bool {
        let bytes = &self.buffer[self.start..self.end];
        match self.within {
            Some(_) => bytes.is_empty(),
            None if bytes.len() == BUFFER_BYTES => false,
            None => bytes.len() < HEAD_BYTES || memchr(b'\n', bytes).is_none(),
        }
    }

    /// Continues reading, in this segment or the next.
    fn fill(&mut self) -> Result<Fill, SpoolError> {
        let state = self.shared.state();
        let held = self.segment.and_then(|first| state.segment(first));
        let next = state.next(self.segment);
        let removed = state.cursor.removed;
        drop(state);
        if let Some(file) = &self.file {
            let size = || file.metadata().map(|about| about.len());
            // A removed segment is complete and does not grow.
            let bytes = held.map_or_else(size, |segment| Ok(segment.bytes));
            let bytes = bytes.map_err(|error| self.unreadable(error))?;
            if self.offset < bytes {
                return self.read_block(bytes - self.offset);
            }
        }
        if self.start < self.end || self.within.is_some() {
            return Err(self.damaged());
        }
        if removed > self.behind {
            self.behind = removed;
            return Ok(Fill::Gone);
        }
        if held.is_none() {
            // A removed file occupies disk space until it is closed.
            self.file = None;
        }
        let Some(next) = next else { return Ok(Fill::End) };
        if let Some(file) = self.open(next.first)? {
            (self.segment, self.file, self.offset) = (Some(next.first), Some(file), 0);
        }
        Ok(Fill::Some)
    }

    /// Reads up to `most` further bytes of the current segment into the rest of the buffer.
    fn read_block(&mut self, most: u64) -> Result<Fill, SpoolError> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let room = &mut self.buffer[self.end..];
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(room.len());
        let Some(file) = &self.file else { return Ok(Fill::Some) };
        let read = file.read_exact_at(&mut room[..most], self.offset);
        read.map_err(|error| self.unreadable(error))?;
        self.end += most;
        self.offset += most as u64;
        Ok(Fill::Some)
    }

    /// Opens a segment; `None` if it was removed.
    fn open(&self, first: Uuid) -> Result<Option<Arc<File>>, SpoolError> {
        let path = self.shared.directory.segment(first);
        match File::open(&path) {
            Ok(file) => Ok(Some(Arc::new(file))),
            // Expected only if it is no longer in the state; otherwise another program removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let known = self.shared.state().segment(first).is_some();
                if known { Err(SpoolError::io("cannot open", &path)(error)) } else { Ok(None) }
            }
            Err(error) => Err(SpoolError::io("cannot open", &path)(error)),
        }
    }

    fn unreadable(&self, error: io::Error) -> SpoolError {
        self.shared.directory.failed("cannot read a segment in", error)
    }

    /// The error of an invalid record in the current segment.
    fn damaged(&self) -> SpoolError {
        let path = self.shared.directory.segment(self.segment.unwrap_or_default());
        damaged(&path, self.offset - (self.end - self.start) as u64)
    }
}

/// The result of filling the buffer.
enum Fill {
    /// Something changed: check the buffer again.
    Some,
    End,
    Gone,
}

/// Returns the start point of a position that no segment contains.
fn unheld(position: Uuid, removed: Option<Uuid>) -> StartPoint {
    match removed {
        Some(removed) if position < removed => StartPoint::Gone,
        Some(removed) if position == removed => StartPoint::Next,
        _ => StartPoint::Unknown,
    }
}
