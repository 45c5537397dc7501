//! Two sockets and a pipe in memory only. Like those of the kernel they are edge triggered: after a
//! blocked operation the caller is notified once when it can proceed.

use super::choices::Choices;
use super::upload::{Upload, UploadEnding};
use crate::rendezvous::transfer::Loss;
use std::collections::VecDeque;
use std::ops::Range;

/// The result of a read or a fill.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// This range of the wire; never empty.
    Moved(Range<usize>),
    Blocked,
    Gone(Loss),
}

/// The uploading connection.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) upload: Upload,
    /// Bytes of the wire that were read.
    pub(super) read: usize,
    /// Bytes of the wire that have arrived.
    arrived: usize,
    /// Whether the end of the connection has arrived, if it has one.
    ended: bool,
    /// The owner's readiness latch.
    pub(super) readable: bool,
}

impl Source {
    /// Creates a connection whose first `read` bytes arrived with the upload's head.
    pub(super) fn new(upload: Upload, read: usize) -> Self {
        Self { upload, read, arrived: read, ended: false, readable: true }
    }

    /// Takes up to `max` bytes, sometimes fewer.
    pub(super) fn take(&mut self, max: usize, choices: &mut Choices<'_>) -> Taken {
        assert!(max > 0, "asking for nothing reads as the end");
        let there = (self.arrived - self.read).min(max);
        if there > 0 {
            let count = fewer(there, choices);
            self.read += count;
            return Taken::Moved(self.read - count..self.read);
        }
        match self.upload.ending {
            UploadEnding::End(loss) if self.ended => Taken::Gone(loss),
            UploadEnding::End(_) | UploadEnding::Silence => Taken::Blocked,
        }
    }

    /// Delivers more bytes, and after the last one the end.
    pub(super) fn advance(&mut self, bytes: usize) {
        let left = self.upload.wire.len() - self.arrived;
        self.ended |= left == 0;
        self.arrived += bytes.min(left);
        self.readable = true;
    }

    /// Whether a read would make progress.
    pub(super) fn has_news(&self) -> bool {
        let end = self.ended && self.upload.ending != UploadEnding::Silence;
        self.arrived > self.read || end
    }
}

/// The downloading connection.
#[derive(Debug)]
pub(super) struct Destination {
    /// The bytes it received.
    pub(super) sink: Vec<u8>,
    room: usize,
    /// How many bytes it takes before it is lost, and how.
    pub(super) lost_at: Option<(usize, Loss)>,
    /// The owner's readiness latch.
    pub(super) writable: bool,
}

impl Destination {
    pub(super) fn new(lost_at: Option<(usize, Loss)>, room: usize) -> Self {
        Self { sink: Vec::new(), room, lost_at, writable: true }
    }

    /// Writes some of the slices' bytes; returns how many, or 0 when the buffer is full.
    pub(super) fn put(
        &mut self,
        slices: &[&[u8]],
        choices: &mut Choices<'_>,
    ) -> Result<usize, Loss> {
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(offered > 0, "writes are never empty");
        let mut room = self.room;
        if let Some((end, loss)) = self.lost_at {
            if self.sink.len() == end {
                return Err(loss);
            }
            room = room.min(end - self.sink.len());
        }
        if room == 0 {
            self.writable = false;
            return Ok(0);
        }
        let count = fewer(offered.min(room), choices);
        self.room -= count;
        let mut left = count;
        for slice in slices {
            let some = left.min(slice.len());
            self.sink.extend_from_slice(&slice[..some]);
            left -= some;
        }
        Ok(count)
    }

    /// Frees buffer space, as the reader does.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.room = self.room.saturating_add(bytes);
        self.writable = true;
    }

    /// Whether a write would make progress.
    pub(super) fn has_news(&self) -> bool {
        self.room > 0
    }
}

/// A pipe: a number of slots, each of which holds one piece, however small.
#[derive(Debug)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    pieces: VecDeque<usize>,
    slots: usize,
}

impl Pipe {
    pub(super) fn new(slots: usize) -> Self {
        Self { bytes: VecDeque::new(), pieces: VecDeque::new(), slots }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Reads all its bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into()
    }

    /// Splices from the source; returns the number of bytes, 0 when either end blocks.
    pub(super) fn fill(
        &mut self,
        source: &mut Source,
        max: usize,
        choices: &mut Choices<'_>,
    ) -> Result<usize, Loss> {
        let free = self.slots - self.pieces.len();
        let segment = choices.pick(&[1448, 65536, 1, 100]);
        let max = max.min(free * segment);
        if max == 0 {
            return Ok(0);
        }
        match source.take(max, choices) {
            Taken::Gone(loss) => Err(loss),
            Taken::Blocked => Ok(0),
            Taken::Moved(range) => {
                let count = range.len();
                self.bytes.extend(&source.upload.wire[range]);
                self.pieces.extend((0..count).step_by(segment).map(|at| segment.min(count - at)));
                Ok(count)
            }
        }
    }

    /// Splices up to `max` bytes to the destination; returns how many, 0 when it takes none.
    pub(super) fn drain(
        &mut self,
        destination: &mut Destination,
        bytes: usize,
        choices: &mut Choices<'_>,
    ) -> Result<usize, Loss> {
        let offered = &self.bytes.make_contiguous()[..bytes];
        let count = destination.put(&[offered], choices)?;
        self.bytes.drain(..count);
        let mut left = count;
        while left > 0 {
            let piece = self.pieces.front_mut().expect("bytes are in pieces");
            let some = left.min(*piece);
            (*piece, left) = (*piece - some, left - some);
            if *piece == 0 {
                self.pieces.pop_front();
            }
        }
        Ok(count)
    }
}

/// Returns mostly `count`, sometimes less, never 0.
fn fewer(count: usize, choices: &mut Choices<'_>) -> usize {
    if choices.one_in(4) { 1 + choices.below(count) } else { count }
}
