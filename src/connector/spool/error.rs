//! What can go wrong with a spool, each with a sentence that says what to do.

use super::line::Fault;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a spool cannot be used, or a record not be appended.
#[derive(Debug)]
pub enum SpoolError {
    /// Another process has this directory open.
    Locked(PathBuf),
    /// This file is in the directory, and no spool made it.
    Foreign(PathBuf),
    /// This file holds something else than its name says, from this byte on.
    Damaged {
        /// The file.
        path: PathBuf,
        /// How many bytes of it are as they should be.
        good_bytes: u64,
    },
    /// What was to be appended are no lines of records, and why.
    Record(&'static str),
    /// More than the spool may hold of records that were not delivered.
    Full {
        /// What it holds of them, in bytes.
        undelivered_bytes: u64,
        /// What it may hold, in bytes.
        max_bytes: u64,
    },
    /// The disk is full, or what the process or its user may have of it.
    NoRoom {
        /// How many bytes are missing for the append, as far as the file system tells.
        missing_bytes: Option<u64>,
        /// What the system said.
        source: io::Error,
    },
    /// An append failed, and what it had written could not be taken back.
    Broken,
    /// The system refused something else.
    Io {
        /// What was being done, such as `making /var/spool/rdv`.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl SpoolError {
    pub(super) fn io(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |source| Self::Io { doing, source }
    }

    /// Whether there is no room.
    pub(super) fn is_no_room(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Io { source, .. } => is_no_room(source),
            Self::Locked(_)
            | Self::Foreign(_)
            | Self::Damaged { .. }
            | Self::Record(_)
            | Self::Full { .. }
            | Self::Broken => false,
        }
    }
}

/// The disk, a quota, or the limit of a process (write(2), ERRORS).
pub(super) fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => {
                let path = path.display();
                write!(
                    f,
                    "another process uses the spool {path}; stop it, or give another directory"
                )
            }
            Self::Foreign(path) => {
                let path = path.display();
                write!(f, "{path} does not belong to a spool; give a directory of its own")
            }
            Self::Damaged { path, good_bytes } => write!(
                f,
                "{} is damaged after {good_bytes} bytes; move it out of the spool, and restore it from a backup if possible",
                path.display()
            ),
            Self::Record(why) => write!(f, "nothing was appended to the spool: {why}"),
            Self::Full { undelivered_bytes, max_bytes } => write!(
                f,
                "the spool is full: {undelivered_bytes} of {max_bytes} bytes wait to be delivered; \
                 try again once some were, or let it hold more"
            ),
            Self::NoRoom { missing_bytes: Some(bytes), source } => {
                write!(
                    f,
                    "the spool's disk is full; make room for {bytes} bytes and more: {source}"
                )
            }
            Self::NoRoom { missing_bytes: None, source } => {
                write!(f, "the spool has no room; free some, or raise its limit: {source}")
            }
            Self::Broken => f.write_str(
                "the spool could not take back a failed append; see to its disk, then start again",
            ),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for SpoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoRoom { source, .. } | Self::Io { source, .. } => Some(source),
            Self::Locked(_)
            | Self::Foreign(_)
            | Self::Damaged { .. }
            | Self::Record(_)
            | Self::Full { .. }
            | Self::Broken => None,
        }
    }
}

impl From<Fault> for SpoolError {
    fn from(fault: Fault) -> Self {
        Self::Record(match fault {
            Fault::Nul => "a record holds a NUL byte; write it as \\u0000",
            Fault::NoPosition => "a line does not begin with the position of its record",
            Fault::Order => "a position is not greater than the one before",
            Fault::Unended => "the last record does not end with a line feed",
        })
    }
}
