//! A file being received. It has another name until it is complete, so nobody takes a part for the
//! whole; and it takes the place of no other file unless that is wanted.

use super::file_name::{SUFFIX_ROOM_BYTES, printable};
use super::unfinished::{Partial, Unfinished};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// How many files of one name may be unfinished at once; the numbers of their names go up to here.
const PARTIAL_MAX: u32 = 100;

/// How long a name may be, in bytes (`NAME_MAX`, pathconf(3)).
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
    /// Creates `NAME.partial` beside the file that is to be, with the permissions any new file has;
    /// `NAME.2.partial` and so on if that name is taken, which is not followed if it is a link.
    /// Without `overwrite`, the target must not exist: nobody is to download in vain.
    ///
    /// # Errors
    /// One line: the target exists, or is not a regular file and cannot be replaced by one; or no
    /// file can be created there.
    pub fn create(target: &Path, overwrite: bool) -> io::Result<Self> {
        check_target(target, overwrite)?;
        let name = target.file_name().ok_or_else(|| {
            told(ErrorKind::InvalidInput, format!("{} names no file", shown(target)))
        })?;
        let mut number = 1;
        loop {
            let partial = target.with_file_name(partial_name(name, number));
            match OpenOptions::new().read(true).write(true).create_new(true).open(&partial) {
                Ok(file) => return Ok(Self { file, partial, target: target.to_owned() }),
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    let text = format!("cannot create {}: {error}", shown(&partial));
                    return Err(told(error.kind(), text));
                }
                Err(error) if number == PARTIAL_MAX => {
                    let text = format!(
                        "{} and {} more unfinished files already exist; remove some",
                        shown(&partial),
                        PARTIAL_MAX - 1
                    );
                    return Err(told(error.kind(), text));
                }
                Err(_taken) => number += 1,
            }
        }
    }

    /// The file, open for writing and for reading what was written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the bytes are until the file is complete.
    pub fn partial_path(&self) -> &Path {
        &self.partial
    }

    /// Where the file is once it is complete.
    pub fn target_path(&self) -> &Path {
        &self.target
    }

    /// Gives the complete file its name, at once, and returns it. Without `overwrite`, a file of
    /// that name that has appeared meanwhile stays as it is.
    ///
    /// # Errors
    /// One line that says where the bytes are: the target exists now, or cannot be made.
    pub fn complete(self, overwrite: bool) -> io::Result<PathBuf> {
        move_to(&self.partial, &self.target, overwrite).map_err(|error| {
            let text = format!("{}; everything was received into {}", error, shown(&self.partial));
            told(error.kind(), text)
        })?;
        Ok(self.target)
    }

    /// Gives up. What was received stays, and where it is is returned; a file without a byte is
    /// removed instead, and `None` returned.
    pub fn abandon(self) -> Option<PathBuf> {
        let empty = self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if empty && fs::remove_file(&self.partial).is_ok() {
            return None;
        }
        Some(self.partial)
    }
}

/// The same for a command that may be interrupted: the file changes on disk and in what is noted in
/// one step each.
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
        // If it cannot be renamed, the error says where it is.
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

/// Whether a file may be made here, or put in place of what is there.
///
/// # Errors
/// One line: something is there and must not be replaced, or cannot be by a file.
pub(super) fn check_target(target: &Path, overwrite: bool) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(told(error.kind(), format!("{}: {error}", shown(target)))),
        // A rename would put a file in place of /dev/null just as well.
        Ok(found) if !(found.is_file() || found.is_symlink()) => {
            let kind = if found.is_dir() { "is a directory" } else { "is not a regular file" };
            let text = format!("{} {kind}; choose another name", shown(target));
            Err(told(ErrorKind::AlreadyExists, text))
        }
        Ok(_file) if !overwrite => Err(exists(target)),
        Ok(_file) => Ok(()),
    }
}

/// Gives a file or a directory another name in the same file system, atomically. Without
/// `overwrite` nothing is replaced, whatever happens meanwhile.
///
/// # Errors
/// One line: the name is taken, or the system's refusal.
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
            return exists(to);
        }
        told(error.kind(), format!("cannot create {}: {error}", shown(to)))
    })
}

/// The same without that rename. A link is never made over a file; if the second step fails, the
/// file has both names, and nothing is lost. A directory cannot be linked, but takes the place of an
/// empty one, which is made for it.
fn move_in_two_steps(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(from)?.is_dir() {
        fs::create_dir(to)?;
        return fs::rename(from, to);
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// The name of the unfinished file, cut where it would be too long.
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

pub(super) fn exists(path: &Path) -> io::Error {
    let text = format!("{} exists already; --force replaces it", shown(path));
    told(ErrorKind::AlreadyExists, text)
}

/// An error in our own words.
pub(super) fn told(kind: ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, text)
}

/// Whether this is a regular file without a byte.
pub(super) fn is_empty_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0)
}

/// A path as it may stand in a message.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

#[cfg(test)]
mod tests;
