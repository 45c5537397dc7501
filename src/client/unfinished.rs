//! The file or directory that a command is receiving into, with a lock that prevents an interrupt
//! between dependent steps.

use super::output::is_empty_file;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The incomplete file or directory on disk. Any code that creates, renames or removes part of it
/// holds the lock, so the record is accurate whenever the lock is free. An interrupt takes the lock
/// and never releases it: the receiving thread stops before its next step, so a single thread
/// cleans up.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Mutex<Option<Partial>>);

/// An incomplete file or directory.
#[derive(Debug)]
pub(crate) enum Partial {
    /// A file, which is kept unless it is empty.
    File(PathBuf),
    /// A directory that an archive is extracted into, which is useless until complete.
    Directory(PathBuf),
}

impl Unfinished {
    /// Creates an empty record.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Begins a step that cannot be interrupted until the guard is dropped.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Partial>> {
        // The record left by a step that panicked still has to be cleaned up.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Partial {
    /// Removes useless data; returns the path of what is kept. The caller holds the lock.
    pub(crate) fn clean_up(&self) -> Option<&Path> {
        let (path, is_removed) = match self {
            Self::File(path) => (path, is_empty_file(path) && fs::remove_file(path).is_ok()),
            Self::Directory(path) => (path, fs::remove_dir_all(path).is_ok()),
        };
        (!is_removed).then_some(path)
    }
}
