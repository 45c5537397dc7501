//! A file of records, found by its path.

use nix::errno::Errno;
use nix::sys::stat::{fstat, stat};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Prefix of every record.
const RECORD_BEGINS: &[u8] = b"{\"position\":\"";

/// Opens a file to append to. An unfinished record of an earlier process is removed: its sender was
/// not answered 201.
///
/// # Errors
/// Errors of open(2), or that the file ends within a line that is not a valid record.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let file = OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(path);
    // Anything but a regular file may be write-only.
    let file = match file {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            OpenOptions::new().append(true).open(path)?
        }
        file => file?,
    };
    if file.metadata()?.is_file() {
        let torn = torn_bytes(&file)?;
        if torn > 0 {
            file.set_len(file.metadata()?.len() - torn)?;
        }
    }
    Ok(file.into())
}

/// Returns the number of bytes after the last newline of a file.
fn torn_bytes(file: &File) -> io::Result<u64> {
    const STEP_BYTES: u64 = 64 << 10;
    let bytes = file.metadata()?.len();
    let mut at = bytes;
    while at > 0 {
        let start = at.saturating_sub(STEP_BYTES);
        let mut step = vec![0; usize::try_from(at - start).unwrap_or(0)];
        file.read_exact_at(&mut step, start)?;
        if let Some(newline) = memchr::memrchr(b'\n', &step) {
            at = start + newline as u64 + 1;
            break;
        }
        at = start;
    }
    if at == bytes {
        return Ok(0);
    }
    let mut begun = Vec::new();
    let mut tail = file.try_clone()?;
    tail.seek(SeekFrom::Start(at))?;
    tail.take(RECORD_BEGINS.len() as u64).read_to_end(&mut begun)?;
    if RECORD_BEGINS.starts_with(&begun) {
        return Ok(bytes - at);
    }
    Err(io::Error::other(
        "the last line is incomplete and not a valid record; complete it, or use another file",
    ))
}

/// Whether the path leads to this open file.
///
/// # Errors
/// Errors of fstat(2) and stat(2), except that nothing is at the path.
pub fn is_at(path: &Path, descriptor: &OwnedFd) -> Result<bool, Errno> {
    let ours = fstat(descriptor)?;
    match stat(path) {
        Ok(found) => Ok((found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}
