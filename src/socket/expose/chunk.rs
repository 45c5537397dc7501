//! Chunk encoding in place: the size is written before the bytes already in the buffer, so that
//! each chunk takes one system call and one packet.

/// Space for the size and its line end: 16 digits are enough for any size.
const SIZE_LINE_MAX_BYTES: usize = 18;

/// A buffer for one chunk with its framing.
pub(super) struct ChunkBuffer {
    bytes: Vec<u8>,
}

impl ChunkBuffer {
    /// Creates a buffer for chunks of at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: vec![0; SIZE_LINE_MAX_BYTES + most + 2] }
    }

    /// Returns the space for the bytes.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let end = self.bytes.len() - 2;
        &mut self.bytes[SIZE_LINE_MAX_BYTES..end]
    }

    /// Returns the first `count` bytes without framing.
    pub(super) fn plain(&self, count: usize) -> &[u8] {
        &self.bytes[SIZE_LINE_MAX_BYTES..SIZE_LINE_MAX_BYTES + count]
    }

    /// Returns the first `count` bytes as a chunk; `count` is not 0 (RFC 9112, section 7.1).
    pub(super) fn chunk(&mut self, count: usize) -> &[u8] {
        debug_assert!(count > 0, "an empty chunk is the last one");
        let size = format!("{count:x}\r\n");
        let start = SIZE_LINE_MAX_BYTES - size.len();
        self.bytes[start..SIZE_LINE_MAX_BYTES].copy_from_slice(size.as_bytes());
        let end = SIZE_LINE_MAX_BYTES + count;
        self.bytes[end..end + 2].copy_from_slice(b"\r\n");
        &self.bytes[start..end + 2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_framed_as_a_chunk() {
        let mut buffer = ChunkBuffer::new(300);
        buffer.room().fill(b'x');
        assert_eq!(buffer.room().len(), 300);
        assert_eq!(buffer.chunk(2), b"2\r\nxx\r\n");
        buffer.room().fill(b'y');
        assert_eq!(buffer.plain(3), b"yyy");
        assert_eq!(buffer.chunk(300), format!("12c\r\n{}\r\n", "y".repeat(300)).as_bytes());
    }
}
