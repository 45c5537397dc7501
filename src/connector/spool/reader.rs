//! Readers: records in their order, a piece at a time, so that a record of any length takes little
//! memory; and waiting for those to come. A reader sees durable records only.

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

/// Bytes that are read at once; a record up to this size comes in one piece.
const BUFFER_BYTES: usize = 64 << 10;

/// Where a reader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record there is.
    Beginning,
    /// Behind what was delivered.
    Cursor,
    /// Behind the record of this position.
    Behind(Uuid),
}

/// What was found where a reader was to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPoint {
    /// It goes on exactly there.
    Next,
    /// Records behind that position were removed; it starts with the oldest there is.
    Gone,
    /// No record of that position was ever seen; it starts with the next greater one.
    Unknown,
}

/// What a reader comes to next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'r> {
    /// A piece of a record.
    Piece(Piece<'r>),
    /// No record more, yet.
    End,
    /// Records that were not read have been removed meanwhile; it goes on with the oldest there is.
    Gone,
}

/// A piece of a record, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'r> {
    /// The position of the record.
    pub position: Uuid,
    /// The next bytes of its line.
    pub bytes: &'r [u8],
    /// Whether the line, and so the record, ends with them: the last byte is its line feed.
    pub ends: bool,
    /// Where they are in the segment.
    pub offset: u64,
}

/// How waiting for records ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitResult {
    /// There is something to read.
    Grown,
    /// Nothing came in time.
    TimedOut,
    /// Nothing will come any more.
    Closed,
}

/// Reads the records of a spool from some place on.
#[derive(Debug)]
pub struct SpoolReader {
    shared: Arc<Shared>,
    /// The segment at hand, or the one behind which the next is to be opened.
    segment: Option<Uuid>,
    file: Option<Arc<File>>,
    /// Bytes of the segment that are in the buffer or were.
    offset: u64,
    buffer: Box<[u8]>,
    /// What of the buffer is to be handed out.
    start: usize,
    end: usize,
    /// The record of which a piece was handed out, and not the last one.
    within: Option<Uuid>,
    /// The last record that was begun, or behind which it started.
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

    /// Goes behind this position.
    fn seek(&mut self, position: Uuid) -> Result<StartPoint, SpoolError> {
        loop {
            let state = self.shared.state();
            let (last, removed) = (state.last(), state.cursor.removed);
            let holding = state.holding(position);
            drop(state);
            self.behind = Some(position).min(last).max(removed);
            let Some(segment) = holding else { return Ok(unheld(position, removed)) };
            // Removed meanwhile: look again, it is not in the state any more.
            let Some(file) = self.open(segment.first)? else { continue };
            let place = find(&file, segment, position).map_err(|error| self.unreadable(error))?;
            (self.segment, self.file, self.offset) =
                (Some(segment.first), Some(file), place.offset);
            return Ok(if place.exact { StartPoint::Next } else { unheld(position, removed) });
        }
    }

    /// The next piece of a record, or that there is none yet.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if a segment cannot be read, or holds no records where they should be.
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

    /// The segment of the last piece, to be read once more: it stays readable even if it is removed.
    ///
    /// # Errors
    ///
    /// That nothing was read yet.
    pub fn file(&self) -> io::Result<Arc<File>> {
        Ok(Arc::clone(self.file.as_ref().ok_or(io::ErrorKind::NotFound)?))
    }

    /// Waits until there is something to read, but no longer than this.
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

    /// Whether the buffer holds no piece yet: a whole record, one that fills it, or the rest of one.
    fn wants_more(&self) -> bool {
        let bytes = &self.buffer[self.start..self.end];
        match self.within {
            Some(_) => bytes.is_empty(),
            None if bytes.len() == BUFFER_BYTES => false,
            None => bytes.len() < HEAD_BYTES || memchr(b'\n', bytes).is_none(),
        }
    }

    /// Reads on, in this segment or the next.
    fn fill(&mut self) -> Result<Fill, SpoolError> {
        let state = self.shared.state();
        let held = self.segment.and_then(|first| state.segment(first));
        let next = state.next(self.segment);
        let removed = state.cursor.removed;
        drop(state);
        if let Some(file) = &self.file {
            let size = || file.metadata().map(|about| about.len());
            // One that was removed is whole, and grows no more.
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
            // A removed file takes its room on the disk for as long as it is open.
            self.file = None;
        }
        let Some(next) = next else { return Ok(Fill::End) };
        if let Some(file) = self.open(next.first)? {
            (self.segment, self.file, self.offset) = (Some(next.first), Some(file), 0);
        }
        Ok(Fill::Some)
    }

    /// Reads up to so many bytes more of the segment at hand, behind what the buffer still holds.
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

    /// The file of a segment; `None` if it was removed.
    fn open(&self, first: Uuid) -> Result<Option<Arc<File>>, SpoolError> {
        let path = self.shared.directory.segment(first);
        match File::open(&path) {
            Ok(file) => Ok(Some(Arc::new(file))),
            // Only what the state has forgotten; else somebody else removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let known = self.shared.state().segment(first).is_some();
                if known { Err(SpoolError::io("opening", &path)(error)) } else { Ok(None) }
            }
            Err(error) => Err(SpoolError::io("opening", &path)(error)),
        }
    }

    fn unreadable(&self, error: io::Error) -> SpoolError {
        self.shared.directory.failed("reading a segment in", error)
    }

    /// Here, in the segment at hand, is no record.
    fn damaged(&self) -> SpoolError {
        let path = self.shared.directory.segment(self.segment.unwrap_or_default());
        damaged(&path, self.offset - (self.end - self.start) as u64)
    }
}

/// What filling the buffer came to.
enum Fill {
    /// Something changed: look at the buffer again.
    Some,
    End,
    Gone,
}

/// What to say of a position that no segment holds.
fn unheld(position: Uuid, removed: Option<Uuid>) -> StartPoint {
    match removed {
        Some(removed) if position < removed => StartPoint::Gone,
        Some(removed) if position == removed => StartPoint::Next,
        _ => StartPoint::Unknown,
    }
}
