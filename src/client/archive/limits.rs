//! Bounds of what an archive extracts to: a few KiB can decompress to terabytes, or to millions of
//! files.

use super::super::output::io_error;
use crate::ops::human::size;
use std::cell::Cell;
use std::io::{self, ErrorKind, Read};
use std::rc::Rc;

/// Maximum size of a decompressed archive without another limit, in received bytes. Sources, logs
/// and tables have ratios of 3 to 30.
const RATIO_MAX: u64 = 100;

/// Default maximum number of entries.
pub const ENTRIES_MAX: usize = 1_000_000;

/// Bytes that any archive may decompress to.
const FREE_BYTES: u64 = 1 << 20;

/// Bounds of what an archive extracts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of the decompressed archive, in bytes. Without one, a compressed archive can
    /// decompress to 100 times its size, and another one has no limit.
    pub bytes: Option<u64>,
    /// Maximum number of entries.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: None, entries: ENTRIES_MAX as u64 }
    }
}

impl Limits {
    /// Checks the number of an entry.
    ///
    /// # Errors
    /// One line: it is too high.
    pub(super) fn check_entries(&self, number: u64) -> io::Result<()> {
        if number <= self.entries {
            return Ok(());
        }
        let text = format!(
            "the archive has more than {} entries; receive it again with a higher --max-entries",
            self.entries
        );
        Err(io_error(ErrorKind::FileTooLarge, text))
    }
}

/// Counts what is read through it.
pub(super) struct Counted<R> {
    input: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Counted<R> {
    pub fn new(input: R) -> (Self, Rc<Cell<u64>>) {
        let count = Rc::new(Cell::new(0));
        (Self { input, count: Rc::clone(&count) }, count)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// A decompressed archive that fails beyond its limit.
pub(super) struct Bounded<R> {
    pub input: R,
    pub limits: Limits,
    /// Bytes received, if the archive is compressed.
    pub received_bytes: Option<Rc<Cell<u64>>>,
    pub bytes: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.bytes += count as u64;
        match (self.limits.bytes, &self.received_bytes) {
            (Some(max), _) if self.bytes > max => {
                let text = format!("the archive extracts to more than --max-size {}", size(max));
                Err(io_error(ErrorKind::FileTooLarge, text))
            }
            (None, Some(received)) if self.bytes > allowed(received.get()) => {
                let received = size(received.get());
                let text = format!(
                    "the archive extracts to more than {RATIO_MAX} times its size ({received} \
                     received); if that is right, receive it again with --max-size BYTES"
                );
                Err(io_error(ErrorKind::FileTooLarge, text))
            }
            (Some(_) | None, _) => Ok(count),
        }
    }
}

fn allowed(received_bytes: u64) -> u64 {
    received_bytes.saturating_mul(RATIO_MAX).max(FREE_BYTES)
}
