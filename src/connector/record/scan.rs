//! Splits the bytes of a line that is too long for memory as they arrive: the string in
//! `payload.after` goes to one sink, the skeleton of the record to another. Nothing else is
//! checked; the skeleton, with an empty string in that place, is parsed like any record.

#[cfg(test)]
mod tests;

use super::RecordError;

/// Maximum bytes kept of a name: `payload` and `after`, each byte escaped, take 42 and 30.
const NAME_MAX_BYTES: usize = 48;

/// Length of the longest escape, `\u002f`.
const ESCAPE_MAX_BYTES: usize = 6;

/// Destinations of the two parts of a line.
pub(super) trait PartSinks {
    /// Takes the next bytes of the skeleton.
    fn skeleton(&mut self, bytes: &[u8]) -> Result<(), super::ReadError>;

    /// Takes the next characters of the string, unescaped.
    fn content(&mut self, text: &[u8]) -> Result<(), super::ReadError>;
}

/// Splitter of a line; its state is the place of the next byte.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Number of open objects and arrays.
    depth: usize,
    /// Whether the object at depth 2 is the payload.
    in_payload: bool,
    place: ScanState,
    /// The last name read, where names matter, without its quotes.
    name: Vec<u8>,
    /// Whether a string is a name, not a value.
    expects_name: bool,
}

#[derive(Debug, Default)]
enum ScanState {
    #[default]
    Between,
    /// In a string of the skeleton; `escaped` is about the next byte.
    String { escaped: bool, is_name: bool },
    /// In the content string; `escape` is an escape as far as it has been read.
    Content { escape: Vec<u8> },
}

impl Scanner {
    /// Whether the line has ended in the content string.
    pub(super) fn in_content(&self) -> bool {
        matches!(self.place, ScanState::Content { .. })
    }

    /// Splits the next bytes of the line.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        parts: &mut impl PartSinks,
    ) -> Result<(), super::ReadError> {
        while !bytes.is_empty() {
            let count = match &mut self.place {
                ScanState::Content { escape } if escape.is_empty() => self.run(bytes, parts)?,
                ScanState::Content { .. } => self.escape(bytes[0], parts)?,
                ScanState::Between | ScanState::String { .. } => {
                    parts.skeleton(&bytes[..1])?;
                    self.step(bytes[0]);
                    1
                }
            };
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Takes characters of the content up to its end or an escape; returns the number of bytes.
    fn run(&mut self, bytes: &[u8], parts: &mut impl PartSinks) -> Result<usize, super::ReadError> {
        let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
        parts.content(&bytes[..end])?;
        match bytes.get(end) {
            None => Ok(end),
            Some(b'"') => {
                parts.skeleton(b"\"")?;
                self.place = ScanState::Between;
                Ok(end + 1)
            }
            Some(_) => {
                self.place = ScanState::Content { escape: vec![b'\\'] };
                Ok(end + 1)
            }
        }
    }

    /// Takes the next byte of an escape.
    fn escape(&mut self, byte: u8, parts: &mut impl PartSinks) -> Result<usize, super::ReadError> {
        let ScanState::Content { escape } = &mut self.place else { return Ok(0) };
        escape.push(byte);
        let is_whole = escape.len() == if escape[1] == b'u' { ESCAPE_MAX_BYTES } else { 2 };
        if is_whole {
            let text = [b"\"", &escape[..], b"\""].concat();
            escape.clear();
            let char: String =
                serde_json::from_slice(&text).map_err(|_| RecordError::Base64("payload.after"))?;
            parts.content(char.as_bytes())?;
        }
        Ok(1)
    }

    /// Takes the next byte of the skeleton.
    fn step(&mut self, byte: u8) {
        if let ScanState::String { escaped, is_name } = self.place {
            if byte == b'"' && !escaped {
                self.place = ScanState::Between;
                return;
            }
            if is_name && self.name.len() < NAME_MAX_BYTES {
                self.name.push(byte);
            }
            self.place = ScanState::String { escaped: byte == b'\\' && !escaped, is_name };
            return;
        }
        match byte {
            b'"' => self.open_string(),
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(),
            b',' => self.expects_name = self.names_matter(),
            b':' => self.expects_name = false,
            _ => {}
        }
    }

    fn open_string(&mut self) {
        if self.depth == 2 && self.in_payload && !self.expects_name && self.is_named("after") {
            self.place = ScanState::Content { escape: Vec::new() };
            return;
        }
        if self.expects_name {
            self.name.clear();
        }
        self.place = ScanState::String { escaped: false, is_name: self.expects_name };
    }

    fn open(&mut self, byte: u8) {
        self.depth += 1;
        if self.depth == 2 {
            self.in_payload = byte == b'{' && self.is_named("payload");
        }
        self.expects_name = byte == b'{' && self.names_matter();
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth < 2 {
            self.in_payload = false;
        }
        self.expects_name = false;
    }

    fn names_matter(&self) -> bool {
        self.depth == 1 || (self.depth == 2 && self.in_payload)
    }

    /// Whether the last name read is this one, escaped or not.
    fn is_named(&self, name: &str) -> bool {
        let text = [b"\"", &self.name[..], b"\""].concat();
        serde_json::from_slice::<String>(&text).is_ok_and(|read| read == name)
    }
}
