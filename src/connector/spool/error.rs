//! Errors of a spool, each with a message on how to fix it.

use super::line::Fault;
use crate::ops::cause;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The reason why a spool cannot be used, or a record cannot be appended.
#[derive(Debug)]
pub enum SpoolError {
    /// Another process has this directory open.
    Locked(PathBuf),
    /// The directory contains this file, which does not belong to a spool.
    Foreign(PathBuf),
    /// This file has unexpected content from this byte on.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The number of valid bytes before it.
        good_bytes: u64,
    },
    /// The input of an append is not lines of records, and why.
    Record(&'static str),
    /// The limit of undelivered records is reached.
    Full {
        /// The size of the undelivered records, in bytes.
        undelivered_bytes: u64,
        /// The limit, in bytes.
        max_bytes: u64,
    },
    /// The disk is full, or a quota or process limit is reached.
    NoRoom {
        /// How many bytes are missing for the append, if the file system reports it.
        missing_bytes: Option<u64>,
        /// The system error.
        source: io::Error,
    },
    /// An append failed and could not be undone.
    Broken,
    /// Another system error.
    Io {
        /// What failed, such as `cannot create /var/spool/rdv`.
        doing: String,
        /// The system error.
        source: io::Error,
    },
}

impl SpoolError {
    pub(super) fn io(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |source| Self::Io { doing, source }
    }

    /// Whether the cause is missing disk space.
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

/// Whether the disk is full, or a quota or the file size limit of the process is reached (write(2),
/// ERRORS).
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
                    "the spool's disk is full; make room for {bytes} bytes and more: {}",
                    cause(source)
                )
            }
            Self::NoRoom { missing_bytes: None, source } => {
                write!(f, "the spool has no room; free some, or raise its limit: {}", cause(source))
            }
            Self::Broken => f.write_str(
                "the spool could not take back a failed append; see to its disk, then start again",
            ),
            Self::Io { doing, source } => write!(f, "{doing}: {}", cause(source)),
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
