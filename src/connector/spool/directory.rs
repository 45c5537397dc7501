//! The directory of a spool: its lock and its files. Their contents are not read here.

use super::SpoolError;
use super::error::is_no_room;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// For the owner only, because records may be confidential.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

const LOCK: &str = "lock";
const CURSOR: &str = "cursor";
/// The temporary file for a new cursor; remains if its writer was killed.
const CURSOR_NEW: &str = "cursor.new";
const SUFFIX: &str = ".jsonl";

/// A spool directory, locked against other processes until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// For fsync(2), after files were created or renamed.
    handle: File,
    /// Locked with flock(2), which ends with the process, even if it is killed.
    lock: File,
}

impl Directory {
    /// Opens the directory, and creates it if it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, SpoolError> {
        make(path)?;
        // Before any file is created, in case the directory belongs to another program.
        firsts(path)?;
        let doing = SpoolError::io("cannot open", path);
        let handle = File::open(path).map_err(doing)?;
        let lock_path = path.join(LOCK);
        let doing = SpoolError::io("cannot open", &lock_path);
        let lock = new_file().create(true).open(&lock_path).map_err(doing)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), handle, lock }),
            Err(TryLockError::WouldBlock) => Err(SpoolError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(SpoolError::io("locking", &lock_path)(error)),
        }
    }

    /// Returns the names of its segments, in order.
    pub(super) fn segments(&self) -> Result<Vec<Uuid>, SpoolError> {
        firsts(&self.path)
    }

    pub(super) fn segment(&self, first: Uuid) -> PathBuf {
        self.path.join(format!("{first}{SUFFIX}"))
    }

    pub(super) fn cursor(&self) -> PathBuf {
        self.path.join(CURSOR)
    }

    pub(super) fn cursor_new(&self) -> PathBuf {
        self.path.join(CURSOR_NEW)
    }

    /// Creates or truncates a file.
    pub(super) fn make(path: &Path) -> io::Result<File> {
        new_file().create(true).truncate(true).open(path)
    }

    /// Makes created, renamed and removed directory entries durable (fsync(2), NOTES).
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        self.sync_entries().map_err(SpoolError::io("cannot sync", &self.path))
    }

    /// The same, with the error of fsync(2).
    pub(super) fn sync_entries(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// Wraps an error of a file in this directory.
    pub(super) fn failed(&self, doing: &str, source: io::Error) -> SpoolError {
        SpoolError::io(doing, &self.path)(source)
    }

    /// Wraps the failure of an append of `needed_bytes`. The append was undone already, so its
    /// space is free again.
    pub(super) fn unwritable(&self, source: io::Error, needed_bytes: u64) -> SpoolError {
        if !is_no_room(&source) {
            return self.failed("cannot append to", source);
        }
        let missing = self.room_bytes().map(|room| needed_bytes.saturating_sub(room));
        SpoolError::NoRoom { missing_bytes: missing.filter(|bytes| *bytes > 0), source }
    }

    /// Returns the free space for an unprivileged process, in bytes (statvfs(3)).
    fn room_bytes(&self) -> Option<u64> {
        let about = rustix::fs::fstatvfs(&self.handle).ok()?;
        about.f_bavail.checked_mul(about.f_frsize)
    }
}

impl Drop for Directory {
    /// Unlocks it for certain: a process that is being started by another thread has a copy of
    /// the descriptor until it calls execve(2), and the lock would last as long (flock(2)).
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

/// Creates the directory unless it exists, and makes its own entry durable.
fn make(path: &Path) -> Result<(), SpoolError> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(SpoolError::io("cannot create", path))?,
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(SpoolError::io("cannot sync", parent))
}

/// Returns the first positions of all segments, in order.
fn firsts(path: &Path) -> Result<Vec<Uuid>, SpoolError> {
    let doing = || SpoolError::io("cannot read", path);
    let mut firsts = Vec::new();
    for entry in fs::read_dir(path).map_err(doing())? {
        let entry = entry.map_err(doing())?;
        match entry.file_name().to_str() {
            Some(LOCK | CURSOR | CURSOR_NEW) => {}
            name => {
                let first = name.and_then(first);
                firsts.push(first.ok_or_else(|| SpoolError::Foreign(entry.path()))?);
            }
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Parses the position in a segment's name; it must be written exactly as this spool writes it.
fn first(name: &str) -> Option<Uuid> {
    let text = name.strip_suffix(SUFFIX)?;
    Uuid::try_parse(text).ok().filter(|first| first.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_descriptor_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().expect("a directory");
        let directory = Directory::open(folder.path()).expect("a spool");
        // As a process has it that another thread is about to start.
        let copy = directory.lock.try_clone().expect("dup");
        assert!(matches!(Directory::open(folder.path()), Err(SpoolError::Locked(_))));
        drop(directory);
        assert!(Directory::open(folder.path()).is_ok());
        drop(copy);
    }
}
