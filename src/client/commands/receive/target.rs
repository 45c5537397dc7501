//! The target of received data.

use crate::client::Response;
use crate::client::commands::{Exit, Failure};
use crate::client::{file_name, output};
use crate::http::disposition;
use crate::ops::cause;
use crate::ops::human::size;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::statvfs::{fstatvfs, statvfs};
use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The target, as far as it is known before any data is received.
#[derive(Debug)]
pub(super) enum Target {
    /// Standard output, unless it is a regular file.
    StandardOutput,
    /// Standard output, which is this regular file.
    Redirected(File),
    /// An existing device or named pipe, already open.
    Special(PathBuf, File),
    /// This file.
    File(PathBuf),
    /// A file in this directory, named by the sender.
    Into(PathBuf),
    /// Extracted into this directory.
    Extracted(PathBuf),
}

impl Target {
    /// Whether the data becomes a file or a directory, which the receiver can vouch for.
    pub(super) fn is_kept(&self) -> bool {
        match self {
            Self::StandardOutput | Self::Special(..) => false,
            Self::Redirected(_) | Self::File(_) | Self::Into(_) | Self::Extracted(_) => true,
        }
    }

    /// Returns the target for these arguments.
    ///
    /// # Errors
    /// The arguments contradict each other, or the target cannot be created or written.
    pub(super) fn of(output: Option<&Path>, extract: bool, force: bool) -> Result<Self, Failure> {
        let here = || PathBuf::from(".");
        match output {
            Some(path) if path.as_os_str() == "-" && extract => {
                let why = "an archive cannot be extracted to standard output; remove --extract";
                Err(Failure::new(Exit::Usage, why))
            }
            Some(path) if path.as_os_str() == "-" => Ok(standard_output()),
            Some(path) if extract => directory(path).map(Self::Extracted),
            Some(path) if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                directory(path).map(Self::Into)
            }
            Some(path) if is_special(path) => {
                let refused = |why| Failure::new(Exit::Local, format!("{}: {why}", path.display()));
                Ok(Self::Special(path.to_owned(), opened(path).map_err(refused)?))
            }
            Some(path) => {
                let refused = |error: io::Error| Failure::new(Exit::Local, cause(&error));
                output::check_target(path, force).map_err(refused)?;
                directory(parent_of(path))?;
                Ok(Self::File(path.to_owned()))
            }
            None if extract => directory(&here()).map(Self::Extracted),
            None => directory(&here()).map(Self::Into),
        }
    }
}

impl Target {
    /// Checks that the file system of the target has space for this many bytes.
    ///
    /// # Errors
    /// It has less.
    pub(super) fn check_space(&self, bytes: u64) -> Result<(), Failure> {
        let (place, found, bytes) = match self {
            Self::StandardOutput | Self::Special(..) => return Ok(()),
            Self::Redirected(file) => {
                let bytes = bytes.saturating_sub(replaced_bytes(file));
                (Path::new("standard output"), fstatvfs(file), bytes)
            }
            Self::File(path) => (parent_of(path), statvfs(parent_of(path)), bytes),
            Self::Into(place) | Self::Extracted(place) => (place.as_ref(), statvfs(place), bytes),
        };
        let Ok(found) = found else { return Ok(()) };
        let available = found.blocks_available().saturating_mul(found.fragment_size());
        // Some network file systems report no sizes at all.
        if found.blocks() == 0 || available >= bytes {
            return Ok(());
        }
        let (needed, available) = (size(bytes), size(available));
        let why = format!("{}: {needed} needed, {available} available", place.display());
        Err(Failure::new(Exit::Local, why))
    }
}

/// Returns standard output as a target.
fn standard_output() -> Target {
    let opened = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    match opened {
        Ok(file) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => {
            Target::Redirected(file)
        }
        Ok(_) | Err(_) => Target::StandardOutput,
    }
}

/// Returns the number of bytes from the position of a file to its end.
fn replaced_bytes(mut file: &File) -> u64 {
    let position = file.stream_position().unwrap_or(0);
    file.metadata().map_or(0, |metadata| metadata.len().saturating_sub(position))
}

/// Whether a file exists that can be written, but not replaced.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir())
}

/// Opens the target before the stream is joined, since joining uses it up. A named pipe must have a
/// reader by then; waiting for one (fifo(7)) could block indefinitely.
fn opened(special: &Path) -> Result<File, String> {
    let is_fifo = fs::metadata(special).is_ok_and(|there| there.file_type().is_fifo());
    let at_once = if is_fifo { OFlag::O_NONBLOCK } else { OFlag::empty() };
    let file = File::options().write(true).custom_flags(at_once.bits()).open(special);
    let file = file.map_err(|error| {
        if is_fifo && error.raw_os_error() == Some(Errno::ENXIO as i32) {
            return "no process reads from this named pipe; start the reader first".to_owned();
        }
        format!("{}; choose another place", cause(&error))
    })?;
    // Only the opening must not block; a slow reader is waited for.
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).map_err(|error| error.desc().to_owned())?;
    Ok(file)
}

/// Returns a directory that must exist and accept new files: joining the stream uses it up.
fn directory(path: &Path) -> Result<PathBuf, Failure> {
    let refused = |why: &str| Failure::new(Exit::Local, format!("{}: {why}", path.display()));
    if !path.is_dir() {
        return Err(refused("no such directory; create it first"));
    }
    // More than the permissions can forbid it: quotas, inodes, read-only file systems.
    tempfile::tempfile_in(path).map_err(|error| {
        refused(&format!("no file can be created there: {}; choose another place", cause(&error)))
    })?;
    Ok(path.to_owned())
}

/// Returns the directory that will contain this file.
fn parent_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => file,
    }
}

/// Returns the name of a download: the one from the response, made safe, or one from the ID of the
/// stream.
pub(super) fn name(response: &Response, id: Option<Uuid>) -> String {
    let brought = response.field("Content-Disposition").and_then(disposition::file_name);
    brought.and_then(|name| file_name::safe(&name)).unwrap_or_else(|| match id {
        Some(id) => format!("rdv-{:.8}", id.to_string()),
        None => "download".into(),
    })
}

/// Returns the expected size in bytes, as far as it is declared.
pub(super) fn size_bytes(response: &mut Response) -> Option<u64> {
    let announced = response.field("Content-Disposition").and_then(disposition::size);
    // A response to HEAD has no body, and the length of that of the GET.
    response.declared_bytes().or_else(|| response.body().len_bytes()).or(announced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_determine_the_output() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let file = path.join("f");
        for (name, output, extract, target) in [
            ("nothing", None, false, Target::Into(".".into())),
            ("a new file", Some(file.as_path()), false, Target::File(file.clone())),
            ("a directory", Some(path), false, Target::Into(path.into())),
            ("an archive", None, true, Target::Extracted(".".into())),
            ("an archive elsewhere", Some(path), true, Target::Extracted(path.into())),
        ] {
            let found = Target::of(output, extract, false).unwrap();
            assert_eq!(format!("{found:?}"), format!("{target:?}"), "{name}");
        }
        let dash = Target::of(Some(Path::new("-")), false, false).unwrap();
        let is_standard = matches!(dash, Target::StandardOutput | Target::Redirected(_));
        assert!(is_standard, "a dash: {dash:?}");
        let device = Target::of(Some(Path::new("/dev/null")), false, false).unwrap();
        assert!(matches!(device, Target::Special(..)), "a device: {device:?}");
    }

    #[test]
    fn invalid_outputs_are_refused_before_receiving() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().join("there");
        std::fs::write(&there, "x").unwrap();
        let none = directory.path().join("none/");
        for (name, output, extract, exit, hint) in [
            ("extract to a dash", Path::new("-"), true, Exit::Usage, "--extract"),
            ("a file that is there", &there, false, Exit::Local, "--force"),
            ("no directory", &none, false, Exit::Local, "create it first"),
            ("no directory to extract into", &none, true, Exit::Local, "create it first"),
            ("no directory for a file", &none.join("f"), false, Exit::Local, "create it first"),
        ] {
            let failure = Target::of(Some(output), extract, false).unwrap_err();
            assert_eq!(failure.exit, exit, "{name}");
            assert!(failure.why.contains(hint), "{name}: {}", failure.why);
        }
        assert!(Target::of(Some(&there), false, true).is_ok());
    }
}
