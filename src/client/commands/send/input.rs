//! The input of an upload: a file, a directory or several files as an archive, or standard input.

use crate::client::commands::{Exit, Failure};
use crate::client::known_length::known_length;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// The opened input.
#[derive(Debug)]
pub(super) enum Input {
    /// A regular file from its current position, and the number of bytes left.
    File(File, u64),
    /// A directory, or several files and directories.
    Archive(Vec<PathBuf>),
    /// A pipe, a terminal or a device, to its end.
    Stream(OwnedFd),
}

impl Input {
    /// Opens the input that these arguments name.
    ///
    /// # Errors
    /// Something does not exist or is not readable, or the arguments cannot be sent together.
    pub(super) fn open(what: &[PathBuf]) -> Result<Self, Failure> {
        let [what] = what else { return Self::several(what) };
        let opened = if is_standard_input(what) { Self::standard() } else { Self::of_path(what) };
        opened.map_err(|error| unreadable(what, error))
    }

    fn several(what: &[PathBuf]) -> Result<Self, Failure> {
        let refused = |why: String| Err(Failure::new(Exit::Usage, why));
        let mut names = HashSet::new();
        for path in what {
            if is_standard_input(path) {
                return refused("standard input cannot be sent together with files".into());
            }
            // Open all of them before the stream is created.
            Self::of_path(path).map_err(|error| unreadable(path, error))?;
            if let Some(name) = name_of(path)
                && !names.insert(name.clone())
            {
                return refused(format!(
                    "cannot send two files named {name} together; send them separately"
                ));
            }
        }
        Ok(Self::Archive(what.to_owned()))
    }

    /// Takes the length of a file again, which may have changed. Returns whether it has.
    pub(super) fn measure(&mut self) -> Result<bool, Failure> {
        let Self::File(file, bytes) = self else { return Ok(false) };
        let before = *bytes;
        let found = known_length(file);
        *bytes = found.map_err(|error| Failure::local("cannot read the file", error))?.unwrap_or(0);
        Ok(*bytes != before)
    }

    fn of_path(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() {
            fs::read_dir(path)?;
            return Ok(Self::Archive(vec![path.to_owned()]));
        }
        Self::of_file(File::open(path)?)
    }

    fn standard() -> io::Result<Self> {
        Self::of_file(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    fn of_file(file: File) -> io::Result<Self> {
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // An empty body with a length would not wait for the receiver: no `100 Continue` is due for
        // it.
        Ok(match known_length(&file)? {
            Some(left) => Self::File(file, left),
            None => Self::Stream(file.into()),
        })
    }
}

fn unreadable(what: &Path, error: io::Error) -> Failure {
    Failure::local(format_args!("cannot read {}", what.display()), error)
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
    fn files_directories_and_streams_are_distinguished() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::File::create(&path).unwrap().write_all(b"abc").unwrap();
        let open = |path: &Path| Input::open(&[path.to_owned()]);
        assert!(matches!(open(&path), Ok(Input::File(_, 3))));
        assert!(matches!(open(directory.path()), Ok(Input::Archive(_))));
        let several = Input::open(&[path.clone(), "/proc".into()]);
        assert!(matches!(several, Ok(Input::Archive(paths)) if paths.len() == 2));
        for unsized_file in ["/proc/self/status", "/sys/class/net/lo/mtu"] {
            assert!(
                matches!(open(Path::new(unsized_file)), Ok(Input::Stream(_))),
                "{unsized_file}"
            );
        }
        let error = open(Path::new("/nonexistent/x")).unwrap_err();
        assert!(error.why.contains("/nonexistent/x"), "{}", error.why);
    }

    #[test]
    fn a_name_is_that_of_the_resolved_path() {
        assert_eq!(name_of(Path::new("/a/b.txt")).as_deref(), Some("b.txt"));
        assert_eq!(name_of(Path::new("/usr/lib/..")).as_deref(), Some("usr"));
        assert_eq!(name_of(Path::new("/")), None);
    }
}
