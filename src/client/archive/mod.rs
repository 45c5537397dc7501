//! A directory as one stream, and back: a tar archive (POSIX ustar with GNU's long names),
//! compressed with Zstandard (RFC 8878) if wanted. Packing never sends a broken archive that looks
//! whole; unpacking trusts nothing that an archive says. Neither holds a file in memory.

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

/// What tar counts in: headers and contents fill whole blocks, in bytes.
const BLOCK_BYTES: usize = 512;

/// How much is gathered before it is passed on, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// How many paths of a kind are kept; of the others, only the number.
const NOTED_MAX: usize = 100;

/// How much of a path from an archive is shown, in bytes: it may be of any length.
const SHOWN_MAX_BYTES: usize = 200;

/// Paths to tell the user of. However many there are, little memory is used.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PathNotes {
    /// The first 100 of them.
    pub first: Vec<PathBuf>,
    /// How many there were.
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

/// A path from an archive as it may stand in a message.
fn named(path: &Path) -> String {
    let mut name = shown(path);
    name.truncate(name.floor_char_boundary(SHOWN_MAX_BYTES));
    name
}
