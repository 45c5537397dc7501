//! The body of a request or a response, read as it is received.

use std::fmt;
use std::io::{self, Cursor, Read};

/// A streamed body of any length. Reading an interrupted body returns an error: the bytes read
/// until then are incomplete.
pub struct Body {
    reader: Box<dyn Read + Send>,
    length_bytes: Option<u64>,
    /// Whether reading never blocks.
    in_memory: bool,
}

impl Body {
    /// Returns an empty body.
    pub fn empty() -> Self {
        Self::from(Vec::new())
    }

    /// Creates a body of unknown length.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Self {
        Self { reader: Box::new(reader), length_bytes: None, in_memory: false }
    }

    /// Creates a body of `length_bytes` bytes; if the reader ends early, the body is interrupted.
    pub fn sized(reader: impl Read + Send + 'static, length_bytes: u64) -> Self {
        Self { reader: Box::new(reader), length_bytes: Some(length_bytes), in_memory: false }
    }

    /// Returns the length of the body, if known.
    pub fn length_bytes(&self) -> Option<u64> {
        self.length_bytes
    }

    pub(super) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// Reads the entire body, up to `max_bytes` bytes.
    ///
    /// # Errors
    /// The body is interrupted, or longer than `max_bytes` (`FileTooLarge`).
    pub fn into_bytes(self, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("length_bytes", &self.length_bytes).finish_non_exhaustive()
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        let length_bytes = bytes.len() as u64;
        let reader = Box::new(Cursor::new(bytes));
        Self { reader, length_bytes: Some(length_bytes), in_memory: true }
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}
