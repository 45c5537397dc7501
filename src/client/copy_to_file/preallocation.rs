//! Room in a file for what is still to come, asked for in large pieces: that takes a fifth off the
//! cost of writing to tmpfs, and keeps files in one piece on disks. A full disk is found out before
//! the bytes are here.

use crate::client::Error;
use crate::client::response::Body;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::fstat;
use nix::unistd::{Whence, ftruncate, lseek};
use std::os::fd::BorrowedFd;

/// Asked for at once; also how much a sender who announces much and sends little takes away for a
/// while.
const STEP_BYTES: u64 = 64 << 20;

/// The room ahead in one file.
pub(super) struct Preallocation<'o> {
    out: BorrowedFd<'o>,
    /// Where the next byte goes; `None` if this is no file, or cannot be asked.
    at: Option<u64>,
    /// Up to where there is room.
    until: u64,
    /// Where the file will end.
    end: u64,
}

impl<'o> Preallocation<'o> {
    /// Of this file, if it is one and the body's length is known; nothing is asked for yet.
    pub(super) fn of(body: &Body, out: BorrowedFd<'o>) -> Self {
        let at = lseek(out, 0, Whence::SeekCur).ok().and_then(|at| u64::try_from(at).ok());
        let length = body.len_bytes().map(|length| length - body.received_bytes());
        let at = at.filter(|_| length.is_some_and(|length| length >= STEP_BYTES));
        let end = at.unwrap_or(0).saturating_add(length.unwrap_or(0));
        Self { out, at, until: at.unwrap_or(0), end }
    }

    /// So many more bytes were written; there will be room for as many more.
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
        // The size stays what was written: a partial file must not look whole.
        match fallocate(self.out, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length) {
            Ok(()) => self.until = from + step,
            Err(Errno::EINTR) => {}
            Err(full @ (Errno::ENOSPC | Errno::EDQUOT)) => {
                return Err(Error::local("making room for what is still to come", full));
            }
            // File systems that know nothing of it grow files as they are written.
            Err(_) => self.at = None,
        }
        Ok(())
    }

    /// Gives back what was not used.
    pub(super) fn give_back(self) {
        if self.at.is_some_and(|at| at < self.until)
            && let Ok(file) = fstat(self.out)
        {
            // If it fails, the file takes more room than it needs, and holds the same.
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
    fn a_file_never_looks_longer_than_what_was_written() {
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
    fn no_more_is_asked_for_than_will_come() {
        let file = tempfile::tempfile().unwrap();
        let mut room = room(&file, STEP_BYTES + 10);
        for _ in 0..4 {
            room.used(STEP_BYTES / 4).unwrap();
        }
        assert!(room.until == STEP_BYTES + 10 || room.at.is_none(), "{}", room.until);
    }

    #[test]
    fn what_knows_nothing_of_room_is_written_as_it_is() {
        let file = File::options().read(true).write(true).open("/dev/full").unwrap();
        let mut room = room(&file, 3 * STEP_BYTES);
        assert!(room.used(1).is_ok());
        assert_eq!(room.at, None);
    }
}
