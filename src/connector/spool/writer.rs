//! The writer of a spool. When an append returns, its records are on disk and complete; when it
//! fails, none of them remains, unless that cannot be undone either.

use super::directory::Directory;
use super::line::LineChecker;
use super::{Shared, SpoolError};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use uuid::Uuid;

/// Appends records to a spool. Dropping it closes the spool.
#[derive(Debug)]
pub struct SpoolWriter {
    shared: Arc<Shared>,
    /// The newest segment, if it still accepts records.
    current: Option<Current>,
    /// A failed append could not be undone.
    broken: bool,
}

#[derive(Debug)]
struct Current {
    first: Uuid,
    file: File,
    /// The size of its complete records; bytes after them belong to an unfinished append.
    bytes: u64,
    /// Whether its directory entry was synced.
    durable: bool,
}

impl SpoolWriter {
    /// Continues the newest segment, which ends with a complete record.
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, SpoolError> {
        let newest = shared.state().segments.back().copied();
        let mut current = None;
        if let Some(segment) = newest {
            let path = shared.directory.segment(segment.first);
            let file = File::options().write(true).open(&path);
            let file = file.map_err(SpoolError::io("cannot open", &path))?;
            let (first, bytes) = (segment.first, segment.bytes);
            current = Some(Current { first, file, bytes, durable: true });
        }
        Ok(Self { shared, current, broken: false })
    }

    /// Appends complete lines, one record each, the first one at this position, and returns when
    /// they are durable. One call for many records costs one sync.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]; then none of them is in the spool, and further appends are possible, unless
    /// the writer [is broken](Self::is_broken) by it.
    pub fn append(&mut self, lines: &[u8], first: Uuid) -> Result<(), SpoolError> {
        let mut append = self.begin(first)?;
        append.write(lines)?;
        append.finish()
    }

    /// Whether an append failed and could not be undone: its records may be found when the spool is
    /// opened again. All later appends fail with [`SpoolError::Broken`], and leave nothing.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Starts an append of records in pieces, the first one at this position.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] if the position is not greater than all before it, or a new segment cannot be
    /// created.
    pub fn begin(&mut self, first: Uuid) -> Result<Append<'_>, SpoolError> {
        if self.broken {
            return Err(SpoolError::Broken);
        }
        let last = self.shared.state().last();
        if Some(first) <= last {
            return Err(super::line::Fault::Order.into());
        }
        let segment_bytes = self.shared.limits.segment_bytes;
        self.current.take_if(|current| current.bytes >= segment_bytes);
        if self.current.is_none() {
            let made = Directory::make(&self.shared.directory.segment(first));
            let file = made.map_err(|error| self.unwritable(error, 0))?;
            self.current = Some(Current { first, file, bytes: 0, durable: false });
        }
        let lines = LineChecker::after_last_line(last);
        Ok(Append { writer: self, lines, first, written_bytes: 0, unsure: false, over: false })
    }

    /// Truncates everything after the last complete record. `unsure`: a sync of it failed. The
    /// kernel then marks its pages as clean (fsync(2), NOTES), so nothing more is appended to that
    /// file.
    fn take_back(&mut self, unsure: bool) {
        let Some(current) = &self.current else { return };
        let taken = if current.durable {
            current.file.set_len(current.bytes).and_then(|()| current.file.sync_data())
        } else {
            // Until the removal is on the disk, a power failure can bring the file back.
            let path = self.shared.directory.segment(current.first);
            fs::remove_file(path).and_then(|()| self.shared.directory.sync_entries())
        };
        self.broken = taken.is_err();
        self.current.take_if(|current| unsure || !current.durable);
    }
}

impl SpoolWriter {
    /// Wraps the failure of an append of `needed_bytes`, which was undone. If the disk is full,
    /// removes delivered records to free space for the next one.
    fn unwritable(&mut self, source: io::Error, needed_bytes: u64) -> SpoolError {
        let error = self.shared.directory.unwritable(source, needed_bytes);
        if error.is_no_room() && self.shared.give_up_newest() {
            self.current = None;
        }
        error
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// An append of records in pieces. Unless finished, all of it is undone.
#[derive(Debug)]
pub struct Append<'w> {
    writer: &'w mut SpoolWriter,
    lines: LineChecker,
    first: Uuid,
    written_bytes: u64,
    /// A sync was started and did not succeed yet.
    unsure: bool,
    /// Finished, or failed and undone.
    over: bool,
}

impl Append<'_> {
    /// Writes the next bytes of the lines, split anywhere. Readers do not see them yet.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]; then the entire append is undone, if that is possible.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), SpoolError> {
        let written = self.try_write(piece);
        written.map_err(|failure| self.fail(failure, piece.len() as u64))
    }

    /// Makes the records durable, then visible.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]; then the entire append is undone, if that is possible.
    pub fn finish(mut self) -> Result<(), SpoolError> {
        match self.try_finish() {
            Ok(()) => {
                self.over = true;
                Ok(())
            }
            Err(failure) => Err(self.fail(failure, 0)),
        }
    }

    fn try_write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.check_open()?;
        self.lines.take(piece).map_err(SpoolError::from)?;
        let state = self.writer.shared.state();
        if !state.has_room(self.written_bytes.saturating_add(piece.len() as u64)) {
            let undelivered_bytes = state.undelivered_bytes;
            let max_bytes = self.writer.shared.limits.max_bytes;
            return Err(SpoolError::Full { undelivered_bytes, max_bytes }.into());
        }
        drop(state);
        if let Some(current) = &self.writer.current {
            current.file.write_all_at(piece, current.bytes + self.written_bytes)?;
        }
        self.written_bytes += piece.len() as u64;
        Ok(())
    }

    fn try_finish(&mut self) -> Result<(), Failure> {
        self.check_open()?;
        self.lines.finish().map_err(SpoolError::from)?;
        if self.lines.first != Some(self.first) {
            return Err(
                SpoolError::Record("the first record is not at the position it should be").into()
            );
        }
        let writer = &mut *self.writer;
        let (Some(current), Some(last)) = (&mut writer.current, self.lines.last) else {
            return Err(SpoolError::Broken.into());
        };
        self.unsure = true;
        current.file.sync_data()?;
        if !current.durable {
            writer.shared.directory.sync()?;
            current.durable = true;
        }
        self.unsure = false;
        current.bytes += self.written_bytes;
        writer.shared.state().appended(current.first, last, self.written_bytes);
        writer.shared.grown.notify_all();
        Ok(())
    }

    fn check_open(&self) -> Result<(), SpoolError> {
        let why = SpoolError::Record("this append has failed before");
        if self.over { Err(why) } else { Ok(()) }
    }

    /// Undoes the append and converts the error; `unwritten_bytes` were still to be written.
    fn fail(&mut self, failure: Failure, unwritten_bytes: u64) -> SpoolError {
        if !self.over {
            self.over = true;
            self.writer.take_back(self.unsure);
        }
        match failure {
            Failure::Refused(error) => error,
            Failure::System(source) => {
                let needed_bytes = self.written_bytes + unwritten_bytes;
                self.writer.unwritable(source, needed_bytes)
            }
        }
    }
}

impl Drop for Append<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.writer.take_back(self.unsure);
        }
    }
}

/// The failure of an append.
enum Failure {
    /// The append is not valid.
    Refused(SpoolError),
    /// A system error.
    System(io::Error),
}

impl From<SpoolError> for Failure {
    fn from(error: SpoolError) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}
