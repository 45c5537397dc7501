//! Paths to report to the user, in bounded memory.

use std::path::{Path, PathBuf};

/// Maximum number of paths kept per kind; further ones are only counted.
const NOTED_MAX: usize = 100;

/// What was noted, in bounded memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notes<T> {
    /// The first 100.
    pub first: Vec<T>,
    /// The total number.
    pub total: u64,
}

/// Paths that were created.
pub type PathNotes = Notes<PathBuf>;

/// Paths that were skipped, with the reasons.
pub type SkipNotes = Notes<(PathBuf, SkipReason)>;

/// Why an entry was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// A socket, a fifo, a device, or an unknown type.
    NotRegular,
    /// The file was removed before it could be sent.
    Vanished,
    /// A file without a size, as in `/proc`, that cannot be read.
    Unreadable,
    /// The path leads out of the target directory.
    Outside,
    /// The path leads through a link or a file.
    ThroughLink,
    /// A hard link to something that the archive does not hold, or a link without a target.
    MissingTarget,
    /// The name is too long for this system.
    NameTooLong,
    /// A directory of the same name is in the archive.
    IsDirectory,
    /// The file system has no such names, or no links.
    Unsupported,
}

impl SkipReason {
    /// Returns the reason for a message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRegular => "not a regular file",
            Self::Vanished => "removed before it was sent",
            Self::Unreadable => "cannot be read",
            Self::Outside => "outside of the target directory",
            Self::ThroughLink => "its parent is a link or a file",
            Self::MissingTarget => "a link to nothing in the archive",
            Self::NameTooLong => "name too long",
            Self::IsDirectory => "a directory has the same name",
            Self::Unsupported => "not supported by the file system",
        }
    }
}

impl<T> Default for Notes<T> {
    fn default() -> Self {
        Self { first: Vec::new(), total: 0 }
    }
}

impl<T> Notes<T> {
    fn add(&mut self, note: T) {
        if self.first.len() < NOTED_MAX {
            self.first.push(note);
        }
        self.total += 1;
    }
}

impl PathNotes {
    pub(super) fn note(&mut self, path: &Path) {
        self.add(path.to_owned());
    }
}

impl SkipNotes {
    pub(super) fn skip(&mut self, path: &Path, why: SkipReason) {
        self.add((path.to_owned(), why));
    }
}
