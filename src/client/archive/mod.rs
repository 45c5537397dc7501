//! Packs files and directories into one stream and unpacks it: a tar archive (POSIX ustar with GNU
//! long names), optionally compressed with Zstandard (RFC 8878) or, for unpacking, gzip (RFC 1952).
//! Packing never sends a broken archive that looks complete; unpacking trusts nothing in an archive.
//! Neither holds a large file in memory.

mod entries;
mod format;
mod gzip;
mod limits;
mod links;
mod names;
mod notes;
mod pack;
mod size;
mod staging;
mod tree;
mod unpack;
mod walk;

pub(super) use format::{Format, peek};
pub use limits::{ENTRIES_MAX, Limits};
pub use notes::{Notes, PathNotes, SkipNotes, SkipReason};
pub use pack::{pack, pack_all, pack_all_compressed, pack_compressed};
pub use size::{size_bytes, size_of_all};
pub use unpack::{Unpacked, unpack};
pub(super) use unpack::{Unpacking, unpack_noted};

use super::output::shown;
use std::path::Path;

/// Block size of tar, in bytes; headers and contents are padded to full blocks.
const BLOCK_BYTES: usize = 512;

/// Size of the I/O buffers, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// Maximum length of a path from an archive in a message, in bytes: the path itself may be of any
/// length.
const SHOWN_MAX_BYTES: usize = 200;

/// Formats a path from an archive for a message.
fn named(path: &Path) -> String {
    let mut name = shown(path);
    name.truncate(name.floor_char_boundary(SHOWN_MAX_BYTES));
    name
}
