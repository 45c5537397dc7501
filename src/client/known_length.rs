//! The length of an open file, as far as it can be relied on.

use std::fs::File;
use std::io::{self, Seek as _};
use std::os::unix::fs::FileExt as _;

/// Returns the number of bytes from the position of a regular file to its end. `None` for an empty
/// rest, anything else, and a file without a last byte: those of `/proc` and `/sys` declare nothing
/// or a page, whatever they contain.
///
/// # Errors
/// The error of fstat(2) or lseek(2).
pub(crate) fn known_length(mut file: &File) -> io::Result<Option<u64>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let left = metadata.len().saturating_sub(file.stream_position()?);
    let is_true =
        left > 0 && file.read_at(&mut [0], metadata.len() - 1).is_ok_and(|read| read == 1);
    Ok(is_true.then_some(left))
}
