//! The input of an upload: a file, a directory as an archive, or standard input.

use crate::client::commands::Failure;
use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// The opened input.
#[derive(Debug)]
pub(super) enum Input {
    /// A regular file from its current position, and the number of bytes left.
    File(File, u64),
    /// A directory.
    Directory(PathBuf),
    /// A pipe, a terminal or a device, to its end.
    Stream(OwnedFd),
}

impl Input {
    /// Opens the input that this argument names.
    ///
    /// # Errors
    /// It does not exist, or is not readable.
    pub(super) fn open(what: &Path) -> Result<Self, Failure> {
        let opened = if is_standard_input(what) { Self::standard() } else { Self::of_path(what) };
        opened.map_err(|error| Failure::local(format_args!("reading {}", what.display()), error))
    }

    fn of_path(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() {
            fs::read_dir(path)?;
            return Ok(Self::Directory(path.to_owned()));
        }
        Self::of_file(File::open(path)?)
    }

    fn standard() -> io::Result<Self> {
        Self::of_file(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    fn of_file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Files in /proc have a size of 0, but contents.
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(Self::Stream(file.into()));
        }
        let left = metadata.len().saturating_sub(file.stream_position()?);
        // An empty body with a length would not wait for the receiver: no `100 Continue` is due for
        // it.
        Ok(if left == 0 { Self::Stream(file.into()) } else { Self::File(file, left) })
    }
}

/// Whether this argument means standard input.
pub(super) fn is_standard_input(what: &Path) -> bool {
    what.as_os_str() == "-"
}

/// Returns the last component of the canonical path: `.` and `..` have names, too.
pub(super) fn name_of(what: &Path) -> Option<String> {
    let named = what.file_name().map(ToOwned::to_owned);
    let name = named.or_else(|| fs::canonicalize(what).ok()?.file_name().map(ToOwned::to_owned))?;
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn files_directories_and_streams_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::File::create(&path).unwrap().write_all(b"abc").unwrap();
        assert!(matches!(Input::open(&path), Ok(Input::File(_, 3))));
        assert!(matches!(Input::open(directory.path()), Ok(Input::Directory(_))));
        assert!(matches!(Input::open(Path::new("/proc/self/status")), Ok(Input::Stream(_))));
        let error = Input::open(Path::new("/nonexistent/x")).unwrap_err();
        assert!(error.why.contains("/nonexistent/x"), "{}", error.why);
    }

    #[test]
    fn a_name_is_that_of_the_real_directory() {
        assert_eq!(name_of(Path::new("/a/b.txt")).as_deref(), Some("b.txt"));
        assert_eq!(name_of(Path::new("/usr/lib/..")).as_deref(), Some("usr"));
        assert_eq!(name_of(Path::new("/")), None);
    }
}
