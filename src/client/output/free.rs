//! Free names: where a name from the sender is taken, the file gets the next free one.

use super::{Output, io_error, move_to, shown};
use crate::client::file_name::numbered;
use crate::client::unfinished::Unfinished;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Maximum number of files of one name.
const NUMBER_MAX: u32 = 9999;

impl Output {
    /// Does the same as [`Output::create_noted`], under the first name that is free, or that can be
    /// replaced.
    pub(crate) fn create_free(
        wanted: &Path,
        overwrite: bool,
        unfinished: &Unfinished,
    ) -> io::Result<Self> {
        first_free(wanted, 0, |target| {
            Self::create_noted(target, overwrite && target == wanted, unfinished)
        })
    }

    /// Renames the complete file to the first name that is free by now, and returns that.
    ///
    /// # Errors
    /// One line with the path of the data: the target cannot be created.
    pub(crate) fn complete_free(
        self,
        wanted: &Path,
        overwrite: bool,
        unfinished: &Unfinished,
    ) -> io::Result<PathBuf> {
        let mut noted = unfinished.lock();
        *noted = None;
        first_free(wanted, 0, |target| {
            let overwrite = overwrite && target == wanted && self.target == wanted;
            move_to(&self.partial, target, overwrite).map(|()| target.to_owned())
        })
        .map_err(|error| {
            let text = format!("{error}; everything was received into {}", shown(&self.partial));
            io_error(error.kind(), text)
        })
    }
}

/// Calls `attempt` with the wanted path, then with numbered ones, beginning with this number, until
/// it does not fail because the name is taken.
///
/// # Errors
/// Any other error of `attempt`, or its last one.
pub(in crate::client) fn first_free<T>(
    wanted: &Path,
    first: u32,
    mut attempt: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let name = wanted.file_name().unwrap_or_default();
    let mut number = first;
    loop {
        let path = match number {
            0 => wanted.to_owned(),
            number => wanted.with_file_name(numbered(name, number)),
        };
        match attempt(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < NUMBER_MAX => {
                number += 1;
            }
            result => return result,
        }
    }
}
