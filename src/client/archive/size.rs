//! Computes the size of an archive in advance.

use super::BLOCK_BYTES;
use super::links::Links;
use super::pack::{SHORT_NAME_BYTES, top_name};
use super::walk::{Walk, unreadable};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Returns the size of the archive that [`pack`](super::pack()) would write, in bytes, if nothing
/// changes in the meantime: the total for progress reports.
///
/// # Errors
/// One line: something cannot be read.
pub fn size_bytes(directory: &Path) -> io::Result<u64> {
    size_of_all(&[directory.to_owned()])
}

/// Returns the same for [`pack_all`](super::pack_all()).
///
/// # Errors
/// As [`size_bytes`].
pub fn size_of_all(paths: &[PathBuf]) -> io::Result<u64> {
    let end = 2 * BLOCK_BYTES as u64;
    paths.iter().try_fold(end, |total, path| Ok(total + size_of(path)?))
}

/// Returns the size of a file or directory in an archive.
fn size_of(directory: &Path) -> io::Result<u64> {
    let top = top_name(directory)?;
    let metadata = fs::metadata(directory).map_err(|error| unreadable(directory, &error))?;
    if !metadata.is_dir() {
        return Ok(entry_bytes(top.len(), metadata.len()));
    }
    let mut links = Links::default();
    let mut total = entry_bytes(top.len() + 1, 0);
    for found in Walk::new(directory)? {
        let (path, metadata) = found?;
        let below = path.strip_prefix(directory).unwrap_or(&path).as_os_str().len();
        let name = top.len() + 1 + below + usize::from(metadata.is_dir());
        if metadata.is_symlink() {
            let target = fs::read_link(&path).map_or(0, |target| target.as_os_str().len());
            total += entry_bytes(name, 0) + long_name_bytes(target);
        } else if metadata.is_file()
            && let Some(first) = links.first(&metadata, &path)
        {
            let target = first.strip_prefix(directory).unwrap_or(&first).as_os_str().len();
            total += entry_bytes(name, 0) + long_name_bytes(top.len() + 1 + target);
        } else if metadata.is_file() {
            total += entry_bytes(name, metadata.len());
        } else if metadata.is_dir() {
            total += entry_bytes(name, 0);
        }
    }
    Ok(total)
}

fn entry_bytes(name_bytes: usize, content_bytes: u64) -> u64 {
    let block = BLOCK_BYTES as u64;
    block + long_name_bytes(name_bytes) + content_bytes.div_ceil(block) * block
}

/// Returns the bytes that a name takes outside the header: its own header, the name and a zero
/// byte.
fn long_name_bytes(name_bytes: usize) -> u64 {
    let blocks =
        if name_bytes > SHORT_NAME_BYTES { 1 + (name_bytes + 1).div_ceil(BLOCK_BYTES) } else { 0 };
    (blocks * BLOCK_BYTES) as u64
}
