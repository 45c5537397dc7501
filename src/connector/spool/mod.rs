//! A spool: records that wait for their destination, in a directory, in their order. Every record
//! whose append returned is there once, and whole, after the process was killed at any moment or the
//! machine lost its power. Blocking calls, for threads; never for the event loop.
//!
//! # Files
//!
//! | file | what |
//! |---|---|
//! | `POSITION.jsonl` | a segment: whole records, each a line `{"position":"BASE64",...}` as it goes out; named after the position of the first one |
//! | `cursor` | how far records were delivered, and how far they were removed: `{"delivered":POSITION,"removed":POSITION}` |
//! | `cursor.new` | what is about to become the cursor |
//! | `lock` | locked (flock(2)) by the process that uses the spool |
//!
//! A position is a UUID whose order is that of time (RFC 9562, section 5.7); `BASE64` is that of its
//! text. Positions only rise, so the names of segments sort as their records do, and
//! `cat *.jsonl | jq .` shows a spool. A file of any other name is refused: the directory is
//! somebody else's. It is made for its owner only, and so is all in it.
//!
//! # What is durable
//!
//! An append ends with fdatasync(2) of its segment, and with fsync(2) of the directory if the
//! segment is new. Only then do readers see its records, so nothing is ever delivered that a power
//! cut could undo. Only the newest segment can be torn. It is read when the spool is opened, and cut
//! behind its last whole record: at its last line feed, or where a NUL byte shows that the file
//! system has lost what was not synced.
//!
//! The cursor is saved when the caller wants: it is written elsewhere, synced, and renamed into its
//! place (rename(2)). What was delivered since then is delivered again after a crash; so delivery
//! is at least once. Segments are removed behind the *saved* cursor. Only where the disk is too full
//! to save one they are removed first, as nothing else would ever make room: what was delivered is
//! gone then, and how far that was is not known if the machine fails in that moment.

mod acknowledged;
mod cursor;
mod directory;
mod error;
mod line;
mod reader;
mod segment;
mod state;
mod writer;

pub use acknowledged::{AckError, AckOutcome, Acknowledged};
pub use error::SpoolError;
pub use line::{head, position};
pub use reader::{Next, Piece, SpoolReader, Start, StartPoint, WaitResult};
pub use writer::{Append, SpoolWriter};

use self::cursor::Cursor;
use self::directory::Directory;
use self::segment::damaged;
use self::state::SpoolState;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// How large a spool may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// A segment that holds so many bytes takes no more appends; it is larger by one at most.
    pub segment_bytes: u64,
    /// Bytes of records that may wait to be delivered.
    pub max_bytes: u64,
    /// Bytes of delivered segments that are kept, for readers that come back to them.
    pub keep_bytes: u64,
}

impl Default for SpoolLimits {
    /// Segments of 64 MiB, which are read in well under a second when a spool is opened; 1 GiB that
    /// waits, less than a small machine has free; and nothing kept.
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, max_bytes: 1 << 30, keep_bytes: 0 }
    }
}

/// A spool that this process has open: what its threads share. Clones are the same spool, which is
/// locked until the last of them, of its readers, and its writer are dropped.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

/// What opening a spool gives.
#[derive(Debug)]
pub struct Opened {
    /// For readers and the cursor.
    pub spool: Spool,
    /// The one that appends.
    pub writer: SpoolWriter,
    /// Bytes that were cut off: the rest of an append that had not returned.
    pub cut_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    directory: Directory,
    limits: SpoolLimits,
    state: Mutex<SpoolState>,
    /// Notified when records were appended, and when the spool is closed.
    grown: Condvar,
    /// One that saves at a time, so that an older cursor never replaces a newer one.
    saving: Mutex<()>,
}

impl Shared {
    /// The state; what a thread that panicked left of it is whole, since changes are single calls.
    fn state(&self) -> MutexGuard<'_, SpoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().closed = true;
        self.grown.notify_all();
    }

    /// Saves the cursor, and removes what is behind it.
    fn save(&self) -> Result<(), SpoolError> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = self.state().settled();
        let stored = cursor.store(&self.directory);
        let has_no_room = stored.as_ref().is_err_and(SpoolError::is_no_room);
        if !has_no_room {
            stored?;
        }
        let gone = self.state().forget(cursor);
        gone.into_iter().try_for_each(|first| remove(&self.directory, first))?;
        if has_no_room { cursor.store(&self.directory) } else { Ok(()) }
    }

    /// The disk is full: a newest segment that was delivered is given up, since nothing is appended
    /// to it any more that could make another one the newest. Whether it was.
    fn give_up_newest(&self) -> bool {
        let released = self.state().release_newest();
        if released {
            // If it fails, the next append fails, too, and tells why.
            let _ = self.save();
        }
        released
    }
}

impl Spool {
    /// Opens the spool in this directory, which is made if it is missing; its parent is not.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if another process has it open, if it holds what no spool made or is damaged,
    /// or if the system refuses.
    pub fn open(directory: &Path, limits: SpoolLimits) -> Result<Opened, SpoolError> {
        let directory = Directory::open(directory)?;
        let cursor = Cursor::load(&directory)?;
        let (state, cut_bytes) = recover(&directory, SpoolState::new(limits, cursor))?;
        let (state, grown, saving) = (Mutex::new(state), Condvar::new(), Mutex::new(()));
        let shared = Arc::new(Shared { directory, limits, state, grown, saving });
        let writer = SpoolWriter::new(Arc::clone(&shared))?;
        Ok(Opened { spool: Self { shared }, writer, cut_bytes })
    }

    /// A reader, and what was found where it starts.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if a segment cannot be read.
    pub fn reader(&self, start: Start) -> Result<(SpoolReader, StartPoint), SpoolError> {
        SpoolReader::new(Arc::clone(&self.shared), start)
    }

    /// Notes that all records up to this position were delivered, in memory; an earlier position
    /// than before changes nothing.
    pub fn commit(&self, position: Uuid) {
        self.shared.state().commit(position);
    }

    /// Saves how far records were delivered, and removes the segments that are behind it. Takes two
    /// syncs, so it is for every second or so, and for the end.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]; then the cursor on disk is the old one or the new one.
    pub fn save(&self) -> Result<(), SpoolError> {
        self.shared.save()
    }

    /// Up to which position records were delivered.
    pub fn delivered(&self) -> Option<Uuid> {
        self.shared.state().cursor.delivered
    }

    /// The highest position there ever was; what is appended has to be greater.
    pub fn last(&self) -> Option<Uuid> {
        self.shared.state().last()
    }

    /// Bytes of records that wait to be delivered: exact, or too high by a 4096th of what may wait;
    /// of what was there when the spool was opened, by a segment.
    pub fn undelivered_bytes(&self) -> u64 {
        self.shared.state().undelivered_bytes
    }

    /// Says that nothing more will be appended, which wakes every reader that waits.
    pub fn close(&self) {
        self.shared.close();
    }
}

/// Looks through the segments: removes what the cursor says is gone, and cuts the newest one.
fn recover(directory: &Directory, mut state: SpoolState) -> Result<(SpoolState, u64), SpoolError> {
    let firsts = directory.segments()?;
    let mut cut_bytes = 0;
    for (at, first) in firsts.iter().copied().enumerate() {
        let path = directory.segment(first);
        let segment = if at + 1 == firsts.len() {
            let whole = segment::examine(&path, first)?;
            cut_bytes = whole.torn_bytes;
            cut(directory, first, &whole)?;
            whole.segment
        } else {
            Some(segment::inspect(&path, first)?)
        };
        let Some(segment) = segment else { continue };
        if Some(segment.last) <= state.cursor.removed {
            remove(directory, first)?;
            continue;
        }
        if state.segments.back().is_some_and(|before| before.last >= first) {
            return Err(damaged(&path, 0));
        }
        let delivered_bytes = match state.cursor.delivered.filter(|position| *position >= first) {
            Some(position) => {
                let file = File::open(&path).map_err(SpoolError::io("opening", &path))?;
                let place = segment::find(&file, segment, position);
                place.map_err(SpoolError::io("reading", &path))?.offset
            }
            None => 0,
        };
        state.found(segment, delivered_bytes);
    }
    Ok((state, cut_bytes))
}

/// Cuts a segment behind what is whole of it, durably; one of which nothing is whole is removed.
fn cut(
    directory: &Directory,
    first: Uuid,
    whole: &segment::SyncedContents,
) -> Result<(), SpoolError> {
    let Some(segment) = whole.segment else { return remove(directory, first) };
    let path = directory.segment(first);
    let file = File::options().write(true).open(&path);
    // Synced even if there is nothing to cut: the process that wrote this may have been killed
    // before it was, and readers are to see what is durable only.
    file.and_then(|file| file.set_len(segment.bytes).and_then(|()| file.sync_all()))
        .map_err(SpoolError::io("cutting", &path))?;
    directory.sync()
}

fn remove(directory: &Directory, first: Uuid) -> Result<(), SpoolError> {
    let path = directory.segment(first);
    fs::remove_file(&path).map_err(SpoolError::io("removing", &path))
}

#[cfg(test)]
mod test_records {
    use uuid::Uuid;

    /// The position of a record; numbers sort as positions do.
    pub(super) fn at(number: u64) -> Uuid {
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
    }

    pub(super) fn line(number: u64, text: &str) -> String {
        format!("{},\"text\":\"{text}\"}}\n", super::head(at(number)))
    }

    /// A line of so many bytes.
    pub(super) fn long_line(number: u64, bytes: usize) -> String {
        let rest = bytes - line(number, "").len();
        line(number, &"x".repeat(rest))
    }
}

#[cfg(test)]
mod tests;
