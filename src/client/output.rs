//! A file being received. It has a temporary name until it is complete, so that a partial file is
//! never mistaken for a complete one; and it replaces another file only if requested.

mod free;

pub(super) use free::first_free;

use super::file_name::{SUFFIX_ROOM_BYTES, printable};
use super::unfinished::{Partial, Unfinished};
use crate::ops::cause;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Maximum number of unfinished files of one name; also the highest number in their names.
const PARTIAL_MAX: u32 = 100;

/// Maximum length of a name, in bytes (`NAME_MAX`, pathconf(3)).
const NAME_MAX_BYTES: usize = 255;

/// A file that is not complete yet. It ends with [`Output::complete`] or [`Output::abandon`]; if it
/// is only dropped, the partial file stays.
#[derive(Debug)]
pub struct Output {
    file: File,
    partial: PathBuf,
    target: PathBuf,
}

impl Output {
    /// Creates `NAME.partial` next to the target, with the permissions of any new file;
    /// `NAME.2.partial` and so on if that name is taken, which is not followed if it is a link.
    /// Without `overwrite`, the target must not exist: better to fail before the download than
    /// after.
    ///
    /// # Errors
    /// One line: the target exists, or is not a regular file and cannot be replaced by one; or no
    /// file can be created there.
    pub fn create(target: &Path, overwrite: bool) -> io::Result<Self> {
        check_target(target, overwrite)?;
        let name = target.file_name().ok_or_else(|| {
            io_error(ErrorKind::InvalidInput, format!("{} names no file", shown(target)))
        })?;
        let mut number = 1;
        loop {
            let partial = target.with_file_name(partial_name(name, number));
            match OpenOptions::new().read(true).write(true).create_new(true).open(&partial) {
                Ok(file) => return Ok(Self { file, partial, target: target.to_owned() }),
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    let text = format!("cannot create {}: {}", shown(&partial), cause(&error));
                    return Err(io_error(error.kind(), text));
                }
                Err(error) if number == PARTIAL_MAX => {
                    let text = format!(
                        "{} and {} more unfinished files already exist; remove some",
                        shown(&partial),
                        PARTIAL_MAX - 1
                    );
                    return Err(io_error(error.kind(), text));
                }
                Err(_taken) => number += 1,
            }
        }
    }

    /// Returns the file, open for writing and for reading what was written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the path of the file until it is complete.
    pub fn partial_path(&self) -> &Path {
        &self.partial
    }

    /// Returns the path of the complete file.
    pub fn target_path(&self) -> &Path {
        &self.target
    }

    /// Renames the complete file to its target atomically, and returns that. Without `overwrite`, a
    /// file that was created in the meantime is not replaced.
    ///
    /// # Errors
    /// One line with the path of the data: the target exists now, or cannot be created.
    pub fn complete(self, overwrite: bool) -> io::Result<PathBuf> {
        move_to(&self.partial, &self.target, overwrite).map_err(|error| {
            let text = format!("{}; everything was received into {}", error, shown(&self.partial));
            io_error(error.kind(), text)
        })?;
        Ok(self.target)
    }

    /// Gives up. Keeps the received data and returns its path; removes an empty file and returns
    /// `None`.
    pub fn abandon(self) -> Option<PathBuf> {
        let empty = self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if empty && fs::remove_file(&self.partial).is_ok() {
            return None;
        }
        Some(self.partial)
    }
}

/// The same for a command that can be interrupted: each change on disk is recorded in the same
/// step.
impl Output {
    pub(crate) fn create_noted(
        target: &Path,
        overwrite: bool,
        unfinished: &Unfinished,
    ) -> io::Result<Self> {
        let mut noted = unfinished.lock();
        let output = Self::create(target, overwrite)?;
        *noted = Some(Partial::File(output.partial.clone()));
        Ok(output)
    }

    pub(crate) fn complete_noted(
        self,
        overwrite: bool,
        unfinished: &Unfinished,
    ) -> io::Result<PathBuf> {
        let mut noted = unfinished.lock();
        // If it cannot be renamed, the error includes its path.
        *noted = None;
        self.complete(overwrite)
    }

    pub(crate) fn abandon_noted(self, unfinished: &Unfinished) -> Option<PathBuf> {
        let mut noted = unfinished.lock();
        *noted = None;
        self.abandon()
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Checks that a file can be created here, or can replace the existing one.
///
/// # Errors
/// One line: the existing file must not be replaced, or cannot be replaced by a regular file.
pub(super) fn check_target(target: &Path, overwrite: bool) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(error.kind(), format!("{}: {}", shown(target), cause(&error)))),
        // A rename would replace /dev/null just as well.
        Ok(found) if !(found.is_file() || found.is_symlink()) => {
            let kind = if found.is_dir() { "is a directory" } else { "is not a regular file" };
            let text = format!("{} {kind}; choose another name", shown(target));
            Err(io_error(ErrorKind::AlreadyExists, text))
        }
        Ok(_file) if !overwrite => {
            let text = format!("{} exists already; --force replaces it", shown(target));
            Err(io_error(ErrorKind::AlreadyExists, text))
        }
        Ok(_file) => Ok(()),
    }
}

/// Renames a file or a directory within one file system, atomically. Without `overwrite` nothing is
/// replaced, even in a race.
///
/// # Errors
/// One line: the name is taken, or the error of the system.
pub(super) fn move_to(from: &Path, to: &Path, overwrite: bool) -> io::Result<()> {
    let moved = if overwrite {
        fs::rename(from, to)
    } else {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system or the kernel has no such rename (rename(2)).
            Err(Errno::INVAL | Errno::NOSYS) => move_in_two_steps(from, to),
            renamed => renamed.map_err(io::Error::from),
        }
    };
    moved.map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return io_error(error.kind(), format!("{} exists already", shown(to)));
        }
        io_error(error.kind(), format!("cannot create {}: {}", shown(to), cause(&error)))
    })
}

/// Does the same without that rename. A link never replaces a file; if the second step fails, the
/// file has both names, and nothing is lost. A directory cannot be linked, but can replace an empty
/// one, which is created for it.
fn move_in_two_steps(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(from)?.is_dir() {
        fs::create_dir(to)?;
        return fs::rename(from, to);
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Returns the name of the unfinished file, cut if too long.
pub(super) fn partial_name(name: &OsStr, number: u32) -> OsString {
    let room = NAME_MAX_BYTES - SUFFIX_ROOM_BYTES;
    let mut partial = match name.to_str() {
        Some(text) => OsString::from(&text[..text.floor_char_boundary(room)]),
        None => OsStr::from_bytes(&name.as_bytes()[..name.len().min(room)]).to_owned(),
    };
    if number > 1 {
        partial.push(format!(".{number}"));
    }
    partial.push(".partial");
    partial
}

/// Returns an error with our own message.
pub(super) fn io_error(kind: ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, text)
}

/// Whether this is an empty regular file.
pub(super) fn is_empty_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0)
}

/// Formats a path for a message.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

#[cfg(test)]
mod tests;
