//! A spool: undelivered records in a directory, in order. Once its append has returned, a record is
//! in the spool exactly once and complete, even if the process is killed or the machine loses
//! power. Calls block: for threads, never for the event loop.
//!
//! # Files
//!
//! | file | what |
//! |---|---|
//! | `POSITION.jsonl` | a segment: complete records, each a line `{"position":"BASE64",...}` as it is sent; named after the position of the first one |
//! | `cursor` | how far records were delivered, and how far they were removed: `{"delivered":POSITION,"removed":POSITION}` |
//! | `cursor.new` | the new cursor, before it is renamed |
//! | `lock` | locked (flock(2)) by the process that uses the spool |
//!
//! A position is a UUID that sorts by time (RFC 9562, section 5.7); `BASE64` encodes its text.
//! Positions only increase, so the names of segments sort as their records do, and
//! `cat *.jsonl | jq .` shows a spool. A file of any other name is refused, because the
//! directory then belongs to another program. The directory and its files are accessible to the
//! owner only.
//!
//! # What is durable
//!
//! An append ends with fdatasync(2) of its segment, and with fsync(2) of the directory if the
//! segment is new. Only then do readers see its records, so nothing is delivered that a power
//! failure could undo. Only the newest segment can be torn. It is read when the spool is opened,
//! and truncated after its last complete record: at its last line feed, or before a NUL byte, which
//! shows that the file system lost unsynced data.
//!
//! The cursor is saved on request: it is written to another file, synced, and renamed into place
//! (rename(2)). Records delivered since then are delivered again after a crash, so delivery is at
//! least once. Segments are removed only before the *saved* cursor. If the disk is too full to save
//! a cursor, they are removed first, as nothing else would free space; if the machine fails at that
//! moment, the position of delivery is lost with them.

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

/// The size limits of a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Maximum size of a segment before a new one is started; the last append may exceed it.
    pub segment_bytes: u64,
    /// Maximum bytes of undelivered records.
    pub max_bytes: u64,
    /// Bytes of delivered segments to keep, for readers that return to them.
    pub keep_bytes: u64,
}

impl Default for SpoolLimits {
    /// Segments of 64 MiB, which are read in well under a second when a spool is opened; 1 GiB of
    /// undelivered records, less than a small machine has free; nothing kept.
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, max_bytes: 1 << 30, keep_bytes: 0 }
    }
}

/// An open spool, shared by the threads of this process. Clones are the same spool, which is locked
/// until its writer, its readers and all clones are dropped.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

/// The result of opening a spool.
#[derive(Debug)]
pub struct Opened {
    /// For readers and the cursor.
    pub spool: Spool,
    /// The only writer.
    pub writer: SpoolWriter,
    /// Bytes that were truncated: the rest of an append that had not returned.
    pub cut_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    directory: Directory,
    limits: SpoolLimits,
    state: Mutex<SpoolState>,
    /// Notified when records are appended, and when the spool is closed.
    grown: Condvar,
    /// Serializes saves, so that an older cursor never replaces a newer one.
    saving: Mutex<()>,
}

impl Shared {
    /// Locks the state. It is consistent even after a panic, because changes are single calls.
    fn state(&self) -> MutexGuard<'_, SpoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().closed = true;
        self.grown.notify_all();
    }

    /// Saves the cursor, and removes the segments before it.
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

    /// Releases the newest segment on a full disk, if it was delivered: without room for an append,
    /// no other segment would become the newest. Returns whether it was released.
    fn give_up_newest(&self) -> bool {
        let released = self.state().release_newest();
        if released {
            // If this fails, the next append fails too and reports why.
            let _ = self.save();
        }
        released
    }
}

impl Spool {
    /// Opens the spool in this directory, and creates it if it is missing, but not its parent.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if another process has it open, if it contains foreign or damaged files, or
    /// on a system error.
    pub fn open(directory: &Path, limits: SpoolLimits) -> Result<Opened, SpoolError> {
        let directory = Directory::open(directory)?;
        let cursor = Cursor::load(&directory)?;
        let (state, cut_bytes) = recover(&directory, SpoolState::new(limits, cursor))?;
        let (state, grown, saving) = (Mutex::new(state), Condvar::new(), Mutex::new(()));
        let shared = Arc::new(Shared { directory, limits, state, grown, saving });
        let writer = SpoolWriter::new(Arc::clone(&shared))?;
        Ok(Opened { spool: Self { shared }, writer, cut_bytes })
    }

    /// Creates a reader, and returns what was found at its start.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if a segment cannot be read.
    pub fn reader(&self, start: Start) -> Result<(SpoolReader, StartPoint), SpoolError> {
        SpoolReader::new(Arc::clone(&self.shared), start)
    }

    /// Notes in memory that all records up to this position were delivered. An earlier position
    /// than before has no effect.
    pub fn commit(&self, position: Uuid) {
        self.shared.state().commit(position);
    }

    /// Saves the position of delivery, and removes the segments before it. Costs two syncs, so call
    /// it about once per second, and at the end.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]; then the cursor on disk is the old one or the new one.
    pub fn save(&self) -> Result<(), SpoolError> {
        self.shared.save()
    }

    /// Returns the position up to which records were delivered.
    pub fn delivered(&self) -> Option<Uuid> {
        self.shared.state().cursor.delivered
    }

    /// Returns the highest position ever appended; the next one must be greater.
    pub fn last(&self) -> Option<Uuid> {
        self.shared.state().last()
    }

    /// Returns the bytes of undelivered records: exact, or too high by up to 1/4096 of the limit;
    /// for those from before the spool was opened, by up to a segment.
    pub fn undelivered_bytes(&self) -> u64 {
        self.shared.state().undelivered_bytes
    }

    /// Ends the spool: no more records follow, and all waiting readers wake.
    pub fn close(&self) {
        self.shared.close();
    }
}

/// Checks the segments: removes those before the cursor, and truncates the newest one.
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
                let file = File::open(&path).map_err(SpoolError::io("cannot open", &path))?;
                let place = segment::find(&file, segment, position);
                place.map_err(SpoolError::io("cannot read", &path))?.offset
            }
            None => 0,
        };
        state.found(segment, delivered_bytes);
    }
    Ok((state, cut_bytes))
}

/// Truncates a segment after its last complete record, durably; removes it if it has none.
fn cut(
    directory: &Directory,
    first: Uuid,
    whole: &segment::SyncedContents,
) -> Result<(), SpoolError> {
    let Some(segment) = whole.segment else { return remove(directory, first) };
    let path = directory.segment(first);
    let file = File::options().write(true).open(&path);
    // Synced even if nothing is truncated: the process that wrote it may have been killed before
    // its sync, and readers must only see durable records.
    file.and_then(|file| file.set_len(segment.bytes).and_then(|()| file.sync_all()))
        .map_err(SpoolError::io("cutting", &path))?;
    directory.sync()
}

fn remove(directory: &Directory, first: Uuid) -> Result<(), SpoolError> {
    let path = directory.segment(first);
    fs::remove_file(&path).map_err(SpoolError::io("cannot remove", &path))
}

#[cfg(test)]
mod test_records {
    use uuid::Uuid;

    /// Returns the position of a record; numbers sort as positions do.
    pub(super) fn at(number: u64) -> Uuid {
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
    }

    pub(super) fn line(number: u64, text: &str) -> String {
        format!("{},\"text\":\"{text}\"}}\n", super::head(at(number)))
    }

    /// Returns a line of `bytes` bytes.
    pub(super) fn long_line(number: u64, bytes: usize) -> String {
        let rest = bytes - line(number, "").len();
        line(number, &"x".repeat(rest))
    }
}

#[cfg(test)]
mod tests;
