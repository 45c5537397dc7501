//! Decodes a script into choices. Once the script is used up every choice is 0, so 0 must always be
//! the choice that makes progress.

use arbitrary::Unstructured;

/// The choices encoded in a fuzzer's bytes.
#[derive(Debug)]
pub(super) struct Choices<'d>(Unstructured<'d>);

impl<'d> Choices<'d> {
    pub(super) fn new(data: &'d [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// Whether all bytes were used, so that only zeros follow.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a number below `end`, which must not be 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.int_in_range(0..=end - 1).unwrap_or(0)
    }

    /// Returns true once in `times`, which is at least 2; false when the script is over.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 1
    }

    /// Returns one of several values.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Returns a byte.
    pub(super) fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Returns up to `max` bytes.
    pub(super) fn bytes(&mut self, max: usize) -> &'d [u8] {
        let count = self.below(max + 1).min(self.0.len());
        self.0.bytes(count).unwrap_or_default()
    }

    /// Returns a size of one of the magnitudes that the relay treats differently, up to 100 KiB;
    /// mostly a small one, because time spent moving bytes is not spent exploring.
    pub(super) fn size(&mut self) -> usize {
        match self.below(10) {
            0 => 1 + self.below(8),
            2 => 4000 + self.below(200),
            3 => (16 << 10) - 8 + self.below(16),
            4 => 1 + self.below(40 << 10),
            5 => 1 + self.below(100 << 10),
            _ => 1 + self.below(700),
        }
    }

    /// Returns all bytes that are left.
    pub(super) fn rest(self) -> &'d [u8] {
        self.0.take_rest()
    }
}
