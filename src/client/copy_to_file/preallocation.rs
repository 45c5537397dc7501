//! Preallocates space in a file in large steps: that takes a fifth off the cost of writing to
//! tmpfs, and avoids fragmentation on disks. A full disk is detected before the bytes are received.

use crate::client::Error;
use crate::client::response::Body;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::fstat;
use nix::unistd::{Whence, ftruncate, lseek};
use std::os::fd::BorrowedFd;

/// Size of one step, in bytes; also the most that a sender with a false length can reserve for a
/// while.
const STEP_BYTES: u64 = 64 << 20;

/// The preallocated space of one file.
pub(super) struct Preallocation<'o> {
    out: BorrowedFd<'o>,
    /// Offset of the next byte; `None` for anything but a regular file, or if unsupported.
    at: Option<u64>,
    /// End of the preallocated space.
    until: u64,
    /// Expected end of the file.
    end: u64,
}

impl<'o> Preallocation<'o> {
    /// Returns the state for this file, if it is seekable and the body's length is known; allocates
    /// nothing yet.
    pub(super) fn of(body: &Body, out: BorrowedFd<'o>) -> Self {
        let at = lseek(out, 0, Whence::SeekCur).ok().and_then(|at| u64::try_from(at).ok());
        let length = body.len_bytes().map(|length| length - body.received_bytes());
        let at = at.filter(|_| length.is_some_and(|length| length >= STEP_BYTES));
        let end = at.unwrap_or(0).saturating_add(length.unwrap_or(0));
        Self { out, at, until: at.unwrap_or(0), end }
    }

    /// Records `bytes` as written, and allocates the next step if needed.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn used(&mut self, bytes: u64) -> Result<(), Error> {
        let Some(at) = &mut self.at else { return Ok(()) };
        *at += bytes;
        let at = *at;
        if at + STEP_BYTES / 2 < self.until || self.until >= self.end {
            return Ok(());
        }
        let from = self.until.max(at);
        let step = STEP_BYTES.min(self.end.saturating_sub(from));
        if step == 0 {
            return Ok(());
        }
        let (Ok(offset), Ok(length)) = (i64::try_from(from), i64::try_from(step)) else {
            self.at = None;
            return Ok(());
        };
        // Keep the size at what was written: a partial file must not look complete.
        match fallocate(self.out, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length) {
            Ok(()) => self.until = from + step,
            Err(Errno::EINTR) => {}
            Err(full @ (Errno::ENOSPC | Errno::EDQUOT)) => {
                return Err(Error::local("cannot make room for what is still to come", full));
            }
            // File systems without support grow files as they are written.
            Err(_) => self.at = None,
        }
        Ok(())
    }

    /// Releases the unused space.
    pub(super) fn give_back(self) {
        if self.at.is_some_and(|at| at < self.until)
            && let Ok(file) = fstat(self.out)
        {
            // On failure the file only takes more space than it needs; its contents are the same.
            let _ = ftruncate(self.out, file.st_size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;

    fn room(out: &File, length: u64) -> Preallocation<'_> {
        let out = out.as_fd();
        Preallocation { out, at: Some(0), until: 0, end: length }
    }

    #[test]
    fn a_file_is_never_longer_than_what_was_written() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 5000]).unwrap();
        let mut room = room(&file, 3 * STEP_BYTES);
        room.used(5000).unwrap();
        assert!(room.until >= STEP_BYTES || room.at.is_none());
        assert_eq!(file.metadata().unwrap().len(), 5000);
        room.give_back();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 5000);
        assert!(metadata.blocks() * 512 < STEP_BYTES, "the rest was given back");
    }

    #[test]
    fn no_more_is_allocated_than_expected() {
        let file = tempfile::tempfile().unwrap();
        let mut room = room(&file, STEP_BYTES + 10);
        for _ in 0..4 {
            room.used(STEP_BYTES / 4).unwrap();
        }
        assert!(room.until == STEP_BYTES + 10 || room.at.is_none(), "{}", room.until);
    }

    #[test]
    fn files_without_preallocation_are_written_directly() {
        let file = File::options().read(true).write(true).open("/dev/full").unwrap();
        let mut room = room(&file, 3 * STEP_BYTES);
        assert!(room.used(1).is_ok());
        assert_eq!(room.at, None);
    }
}
