//! The file or directory that a command is receiving into, and the lock that keeps an interruption
//! from coming between two steps of which one makes no sense without the other.

use super::output::is_empty_file;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is incomplete on disk. Whoever creates, renames or removes any of it holds the lock meanwhile,
/// and what is noted is true whenever the lock is free. An interruption takes the lock and never
/// returns it: the receiving thread stops before its next step, so one thread alone cleans up.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Mutex<Option<Partial>>);

/// Something incomplete.
#[derive(Debug)]
pub(crate) enum Partial {
    /// A file, which is kept unless it is empty.
    File(PathBuf),
    /// A directory that an archive is extracted into, which is of no use until it is complete.
    Directory(PathBuf),
}

impl Unfinished {
    /// Nothing is incomplete.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Begins a step: nothing interrupts until the guard is dropped.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Partial>> {
        // A step that panicked left what it had noted, which still is to be cleaned up.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Partial {
    /// Removes what is of no use; where the rest is kept. For the holder of the lock.
    pub(crate) fn clean_up(&self) -> Option<&Path> {
        let (path, is_removed) = match self {
            Self::File(path) => (path, is_empty_file(path) && fs::remove_file(path).is_ok()),
            Self::Directory(path) => (path, fs::remove_dir_all(path).is_ok()),
        };
        (!is_removed).then_some(path)
    }
}
