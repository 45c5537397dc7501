//! The bytes of a line that is too long to be kept, divided as they come: what `payload.after` holds as
//! a string goes one way, the skeleton of the record another. It judges nothing else; the skeleton,
//! with an empty string in that place, is parsed as any record is.

#[cfg(test)]
mod tests;

use super::RecordError;

/// A name is read up to so many bytes: `payload` and `after`, each byte escaped, take 42 and 30.
const NAME_MAX_BYTES: usize = 48;

/// `\u002f`, the longest escape.
const ESCAPE_MAX_BYTES: usize = 6;

/// Where the two parts of a line go.
pub(super) trait PartSinks {
    /// The next bytes of the skeleton.
    fn skeleton(&mut self, bytes: &[u8]) -> Result<(), super::ReadError>;

    /// The next characters of the string, without escapes.
    fn content(&mut self, text: &[u8]) -> Result<(), super::ReadError>;
}

/// Where in a line the next byte stands.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// How many objects and arrays are open.
    depth: usize,
    /// Whether the object at depth 2 is the payload.
    in_payload: bool,
    place: ScanState,
    /// The name that was read last, where names matter, without its quotes.
    name: Vec<u8>,
    /// Whether a string is a name, not a value.
    expects_name: bool,
}

#[derive(Debug, Default)]
enum ScanState {
    #[default]
    Between,
    /// In a string of the skeleton; whether the next byte is escaped.
    String { escaped: bool, is_name: bool },
    /// In the string that goes the other way; an escape as far as it was read.
    Content { escape: Vec<u8> },
}

impl Scanner {
    /// Whether the line was in that string when it ended.
    pub(super) fn in_content(&self) -> bool {
        matches!(self.place, ScanState::Content { .. })
    }

    /// Divides the next bytes of the line.
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

    /// Takes characters of the content up to its end or an escape; how many bytes that were.
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

    /// Whether this is the name that was read last, escaped or not.
    fn is_named(&self, name: &str) -> bool {
        let text = [b"\"", &self.name[..], b"\""].concat();
        serde_json::from_slice::<String>(&text).is_ok_and(|read| read == name)
    }
}
