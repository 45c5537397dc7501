//! The list of streams, written piece by piece as its reader takes it, so that a long one neither
//! blocks the loop nor fills memory. Each stream is shown in its state at that moment.

use crate::api::status;
use crate::relay::http1::JsonArray;
use crate::relay::io::OnFlushed;
use crate::rendezvous::Registry;

/// Cost of generating a byte of the list, in bytes that are read.
const BYTE_COST: usize = 64;

/// Cost of a visit, of one that is shown or not, in bytes that are read.
const VISIT_COST: usize = 256;

/// A reader's position in the list.
#[derive(Debug)]
pub struct StreamListing {
    next: u64,
    /// The first position not shown: streams created after the request, so that the list ends.
    end: u64,
    active_only: bool,
    array: JsonArray,
}

impl StreamListing {
    /// Starts at the oldest stream; `end` is the position of the first one that is not shown.
    pub fn new(end: u64, active_only: bool, array: JsonArray) -> Self {
        Self { next: 0, end, active_only, array }
    }

    /// Whether the streams of the next worker follow; there [`StreamListing::arrived`] continues it.
    pub fn departs(&self) -> bool {
        self.array.continues_elsewhere()
    }

    /// Continues at another worker; `end` as for a new one.
    pub fn arrived(self, end: u64) -> Self {
        Self { next: 0, end, array: self.array.arrived(), ..self }
    }

    /// Returns what follows once all of it is written; `None`: there is more.
    pub fn over(&self) -> Option<OnFlushed> {
        self.array.over()
    }

    /// Returns the position of the next stream.
    #[cfg(feature = "fuzzing")]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Writes the next streams in the response's framing, as many as the share of a turn allows;
    /// returns the number of framing bytes.
    pub fn write_piece(&mut self, registry: &Registry, share: usize, out: &mut Vec<u8>) -> usize {
        let mut piece = Vec::with_capacity(share / BYTE_COST + 1024);
        let last = !self.fill(registry, share, &mut piece);
        self.array.write(piece, last, out)
    }

    /// Fills a piece as far as the share allows; whether there are more.
    fn fill(&mut self, registry: &Registry, share: usize, piece: &mut Vec<u8>) -> bool {
        let (most, visits) = (share / BYTE_COST, share / VISIT_COST);
        for (visited, stream) in registry.from_sequence(self.next).enumerate() {
            if stream.sequence() >= self.end {
                break;
            }
            if visited == visits {
                return true;
            }
            self.next = stream.sequence() + 1;
            if self.active_only && !stream.is_active() {
                continue;
            }
            self.array.add(&status::object(stream).to_string(), piece);
            if piece.len() >= most {
                return true;
            }
        }
        false
    }
}
