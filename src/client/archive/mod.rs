//! Packs a directory into one stream and unpacks it: a tar archive (POSIX ustar with GNU long
//! names), optionally compressed with Zstandard (RFC 8878). Packing never sends a broken archive
//! that looks complete; unpacking trusts nothing in an archive. Neither holds a file in memory.

mod entries;
mod links;
mod names;
mod pack;
mod size;
mod tree;
mod unpack;
mod walk;

pub use pack::{pack, pack_compressed};
pub use size::size_bytes;
pub(super) use unpack::unpack_noted;
pub use unpack::{Unpacked, unpack};

use super::output::shown;
use std::path::{Path, PathBuf};

/// Block size of tar, in bytes; headers and contents are padded to full blocks.
const BLOCK_BYTES: usize = 512;

/// Size of the I/O buffers, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// Maximum number of paths kept per kind; further ones are only counted.
const NOTED_MAX: usize = 100;

/// Maximum length of a path from an archive in a message, in bytes: the path itself may be of any
/// length.
const SHOWN_MAX_BYTES: usize = 200;

/// Paths to report to the user, in bounded memory.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PathNotes {
    /// The first 100 paths.
    pub first: Vec<PathBuf>,
    /// The total number of paths.
    pub total: u64,
}

impl PathNotes {
    fn note(&mut self, path: &Path) {
        if self.first.len() < NOTED_MAX {
            self.first.push(path.to_owned());
        }
        self.total += 1;
    }
}

/// Formats a path from an archive for a message.
fn named(path: &Path) -> String {
    let mut name = shown(path);
    name.truncate(name.floor_char_boundary(SHOWN_MAX_BYTES));
    name
}
