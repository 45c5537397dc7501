//! Bodies in which every byte depends on the stream and on its position, made and compared at the
//! speed of copying: noise from an offset of the stream's own, with a stamp in each block.

use std::sync::LazyLock;

use super::random::mix;
use crate::support::pattern;

/// Prime, so that bytes which repeat or are missing in blocks of the relay shift the noise.
const NOISE_BYTES: u64 = 1_048_573;
/// A stamp, a hash of seed and position, begins each block of this size.
const BLOCK_BYTES: u64 = 512;
/// Size of a stamp.
const STAMP_BYTES: u64 = 8;

static NOISE: LazyLock<Vec<u8>> =
    LazyLock::new(|| pattern(0, usize::try_from(NOISE_BYTES).expect("64 bits")));

/// The body of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    seed: u64,
}

impl Pattern {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Appends `count` bytes of it, from `position` on.
    pub(crate) fn append(self, position: u64, count: usize, out: &mut Vec<u8>) {
        let start = out.len();
        let mut offset = index((mix(self.seed, 1) % NOISE_BYTES + position) % NOISE_BYTES);
        let mut left = count;
        while left > 0 {
            let run = left.min(NOISE.len() - offset);
            out.extend_from_slice(&NOISE[offset..offset + run]);
            left -= run;
            offset = 0;
        }
        self.stamp(position, &mut out[start..]);
    }

    /// Overwrites the parts of stamps in these bytes, which begin at `position`.
    fn stamp(self, position: u64, bytes: &mut [u8]) {
        let end = position + bytes.len() as u64;
        for block in position / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES) {
            let stamp = mix(self.seed, block + 2).to_le_bytes();
            let begins = block * BLOCK_BYTES;
            let (from, to) = (begins.max(position), (begins + STAMP_BYTES).min(end));
            if from < to {
                let part = &stamp[index(from - begins)..index(to - begins)];
                bytes[index(from - position)..index(to - position)].copy_from_slice(part);
            }
        }
    }

    /// The position of the first of these bytes that differs from the body.
    pub(crate) fn first_difference(self, position: u64, bytes: &[u8]) -> Option<u64> {
        let mut expected = Vec::with_capacity(bytes.len());
        self.append(position, bytes.len(), &mut expected);
        if expected == bytes {
            return None;
        }
        let differs = bytes.iter().zip(&expected).position(|(got, want)| got != want);
        differs.map(|at| position + at as u64)
    }
}

/// An index that fits, since it is one into memory.
fn index(number: u64) -> usize {
    usize::try_from(number).expect("64 bits")
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "these tests run in tests/sources/")]
mod tests;
