//! Unpacking: extracts a stream into a private directory, and moves the files to their destination
//! once the archive is complete.

use super::entries::{Entries, Kind};
use super::format::{Compression, Format, decompressed, peek};
use super::limits::{Bounded, Counted, Limits};
use super::names::inside;
use super::notes::{PathNotes, SkipNotes, SkipReason};
use super::staging::Staging;
use crate::client::output::io_error;
use crate::client::unfinished::Unfinished;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The result of unpacking an archive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The top-level entries created in the directory, as full paths.
    pub made: PathNotes,
    /// The skipped entries, by their paths in the archive.
    pub skipped: SkipNotes,
    /// The entry or directory that holds everything, if a name in the target directory was taken.
    pub renamed: Option<PathBuf>,
    /// The path that was taken.
    pub taken: Option<PathBuf>,
}

/// How to unpack.
#[derive(Clone, Copy)]
pub(in crate::client) struct Unpacking<'u> {
    pub into: &'u Path,
    pub overwrite: bool,
    pub limits: Limits,
    /// Records the staging path until everything has been moved; its lock stops the extraction
    /// before the next step.
    pub unfinished: &'u Unfinished,
}

/// Extracts a tar archive, optionally compressed with Zstandard or gzip, into an existing directory.
/// During extraction it is in `.NAME.partial` there, `NAME` being its first top-level name; once
/// complete, its top-level entries are moved. With `overwrite`, a file or an empty directory of the
/// same name is replaced. Anything else of that name stays: then a single entry is moved to a free
/// name, `NAME (1)`, and several ones into a new directory of such a name.
///
/// Names are kept as they were sent. Permissions are kept as far as the umask allows, without
/// set-user-ID and the like, and modification times are kept; owners are not. Symbolic links are
/// created as they are, wherever they point, but nothing is written through them. Entries that leave
/// the directory are skipped. A compressed archive can extract to 100 times its size.
///
/// # Errors
/// One line. If the input failed or ended early, is not an archive, or exceeds a limit, nothing of
/// it is kept.
pub fn unpack(mut input: impl Read, into: &Path, overwrite: bool) -> io::Result<Unpacked> {
    let (begin, format) = peek(&mut input)?;
    let Format::Tar(compression) = format else {
        return Err(io_error(ErrorKind::InvalidData, "not a tar archive".to_owned()));
    };
    let unfinished = &Unfinished::new();
    let how = Unpacking { into, overwrite, limits: Limits::default(), unfinished };
    unpack_noted(io::Cursor::new(begin).chain(input), compression, how)
}

/// Does the same for a command that can be interrupted.
pub(in crate::client) fn unpack_noted(
    input: impl Read,
    compression: Compression,
    how: Unpacking<'_>,
) -> io::Result<Unpacked> {
    let Unpacking { into, overwrite, limits, unfinished } = how;
    let (counted, received_bytes) = Counted::new(input);
    let received_bytes = (compression != Compression::None).then_some(received_bytes);
    let input = decompressed(counted, compression)?;
    let mut entries = Entries::new(Bounded { input, limits, received_bytes, bytes: 0 });
    let mut unpacked = Unpacked::default();
    let mut staging: Option<Staging> = None;
    let mut number = 0;
    while let Some(entry) = entries.next()? {
        number += 1;
        limits.check_entries(number)?;
        let path = match inside(&entry.path) {
            Ok(Some(path)) => path,
            // The target directory itself.
            Ok(None) if entry.kind == Kind::Directory => continue,
            Ok(None) => {
                unpacked.skipped.skip(&entry.name(), SkipReason::IsDirectory);
                continue;
            }
            Err(why) => {
                unpacked.skipped.skip(&entry.name(), why);
                continue;
            }
        };
        let staging = match &mut staging {
            Some(staging) => staging,
            none @ None => none.insert(Staging::create(into, &path, unfinished)?),
        };
        if let Some(why) = staging.tree.put(&path, &entry, &mut entries)? {
            unpacked.skipped.skip(&entry.name(), why);
        }
    }
    if let Some(staging) = staging {
        staging.finish(into, overwrite, &mut unpacked)?;
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests;
