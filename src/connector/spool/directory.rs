//! The directory of a spool: whose it is, what is in it, and its files. Nothing in it is read here.

use super::SpoolError;
use super::error::is_no_room;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Records may hold what is nobody else's business.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

const LOCK: &str = "lock";
const CURSOR: &str = "cursor";
/// What becomes the cursor; left over if its writer was killed.
const CURSOR_NEW: &str = "cursor.new";
const SUFFIX: &str = ".jsonl";

/// A directory that only this process uses as a spool, for as long as this exists.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// For fsync(2): what was made or renamed in it.
    handle: File,
    /// Locked with flock(2), which ends with the process, however it ends.
    _lock: File,
}

impl Directory {
    /// Opens it, and makes it if it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, SpoolError> {
        make(path)?;
        // Before anything is made in a directory that is somebody else's.
        firsts(path)?;
        let doing = SpoolError::io("opening", path);
        let handle = File::open(path).map_err(doing)?;
        let lock_path = path.join(LOCK);
        let doing = SpoolError::io("opening", &lock_path);
        let lock = new_file().create(true).open(&lock_path).map_err(doing)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), handle, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(SpoolError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(SpoolError::io("locking", &lock_path)(error)),
        }
    }

    /// The names of its segments, in their order.
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

    /// Makes a file; what it had is lost.
    pub(super) fn make(path: &Path) -> io::Result<File> {
        new_file().create(true).truncate(true).open(path)
    }

    /// Makes what was made, renamed and removed in the directory durable (fsync(2), NOTES).
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        self.handle.sync_all().map_err(SpoolError::io("syncing", &self.path))
    }

    /// An error that has to do with a file in it.
    pub(super) fn failed(&self, doing: &str, source: io::Error) -> SpoolError {
        SpoolError::io(doing, &self.path)(source)
    }

    /// Why an append of so many bytes failed, of which nothing is left, so that its room is there
    /// again.
    pub(super) fn unwritable(&self, source: io::Error, needed_bytes: u64) -> SpoolError {
        if !is_no_room(&source) {
            return self.failed("appending to", source);
        }
        let missing = self.room_bytes().map(|room| needed_bytes.saturating_sub(room));
        SpoolError::NoRoom { missing_bytes: missing.filter(|bytes| *bytes > 0), source }
    }

    /// Room on its file system for an unprivileged process, in bytes (statvfs(3)).
    fn room_bytes(&self) -> Option<u64> {
        let about = rustix::fs::fstatvfs(&self.handle).ok()?;
        about.f_bavail.checked_mul(about.f_frsize)
    }
}

fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

/// Makes the directory, unless it is there. Its own entry has to last, too.
fn make(path: &Path) -> Result<(), SpoolError> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(SpoolError::io("making", path))?,
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(SpoolError::io("syncing", parent))
}

/// The first positions of all segments, in their order.
fn firsts(path: &Path) -> Result<Vec<Uuid>, SpoolError> {
    let doing = || SpoolError::io("reading", path);
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

/// The position that a segment is named after, written as this spool writes it.
fn first(name: &str) -> Option<Uuid> {
    let text = name.strip_suffix(SUFFIX)?;
    Uuid::try_parse(text).ok().filter(|first| first.to_string() == text)
}
