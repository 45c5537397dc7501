//! Creates a file and fills it once: the minimum kernel cost of a receiver, whatever the origin of
//! its bytes.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};

use crate::Result;

/// Size of each preallocation, as in `rdv receive`.
const ROOM_BYTES: u64 = 64 << 20;

/// Creates and fills the file.
pub(crate) fn run(path: &Path, bytes: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let block = vec![1; 1 << 20];
    let mut written = 0;
    while written < bytes {
        if written % ROOM_BYTES == 0 {
            let room = i64::try_from(ROOM_BYTES.min(bytes - written))?;
            fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, i64::try_from(written)?, room)?;
        }
        let count = block.len().min(usize::try_from(bytes - written)?);
        file.write_all(&block[..count])?;
        written += count as u64;
    }
    Ok(())
}
