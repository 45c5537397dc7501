//! Parser of acknowledgements: one JSON object per line, `{"ack":"<position>"}`, with the position
//! as in the record.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use uuid::Uuid;

/// Maximum length of a line, in bytes.
const LINE_MAX_BYTES: usize = 4096;

/// Lines as far as they have been received.
#[derive(Debug, Default)]
pub struct Acks {
    begun: Vec<u8>,
    /// Whether the current line is too long, and is dropped to its end.
    skipping: bool,
}

/// A parsed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AckLine {
    /// The record at this position was acknowledged.
    Acknowledged(Uuid),
    /// Not an acknowledgement; the beginning of the line.
    Nonsense(String),
}

impl Acks {
    /// Takes bytes as they were read; returns the lines that are complete by now.
    pub fn take(&mut self, mut bytes: &[u8]) -> Vec<AckLine> {
        let mut said = Vec::new();
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.begun.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.begun);
            if !std::mem::take(&mut self.skipping) && !line.trim_ascii().is_empty() {
                said.push(read(&line));
            }
        }
        self.begun.extend_from_slice(bytes);
        if self.begun.len() > LINE_MAX_BYTES {
            if !std::mem::replace(&mut self.skipping, true) {
                said.push(nonsense(&self.begun));
            }
            self.begun.clear();
        }
        said
    }

    /// Drops an unfinished line after the peer was lost: the next one does not continue it.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

fn read(line: &[u8]) -> AckLine {
    let position = serde_json::from_slice::<Value>(line)
        .ok()
        .and_then(|object| position(object.get("ack")?.as_str()?));
    position.map_or_else(|| nonsense(line), AckLine::Acknowledged)
}

fn nonsense(line: &[u8]) -> AckLine {
    let beginning = &line[..line.len().min(60)];
    AckLine::Nonsense(beginning.escape_ascii().to_string())
}

/// Parses a position as written in a record, or as its UUID.
pub fn position(text: &str) -> Option<Uuid> {
    if let Ok(position) = Uuid::try_parse(text) {
        return Some(position);
    }
    Uuid::try_parse_ascii(&BASE64_STANDARD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0199_1234_5678_7abc_8def_0123_4567_89ab);

    fn line(position: Uuid) -> Vec<u8> {
        let text = BASE64_STANDARD.encode(position.to_string());
        format!("{{\"ack\":\"{text}\"}}\n").into_bytes()
    }

    #[test]
    fn lines_are_read_in_pieces_of_any_size() {
        let whole = [line(ID), b"\r\n".to_vec(), line(Uuid::max())].concat();
        let expected = [AckLine::Acknowledged(ID), AckLine::Acknowledged(Uuid::max())];
        for step in [1, 7, whole.len()] {
            let mut acks = Acks::default();
            let said: Vec<_> = whole.chunks(step).flat_map(|bytes| acks.take(bytes)).collect();
            assert_eq!(said, expected, "in steps of {step}");
        }
    }

    #[test]
    fn a_uuid_is_a_position_too() {
        assert_eq!(position(&ID.to_string()), Some(ID));
        assert_eq!(position("nothing"), None);
    }

    #[test]
    fn invalid_acknowledgements_are_reported_and_skipped() {
        for bad in ["{}", "{\"ack\":7}", "[", "{\"ack\":\"bm8=\"}", "\u{1b}[2J"] {
            let mut acks = Acks::default();
            let said = acks.take(&[bad.as_bytes(), b"\n", &line(ID)].concat());
            assert!(
                matches!(&said[0], AckLine::Nonsense(text) if !text.contains('\u{1b}')),
                "{bad}"
            );
            assert_eq!(said[1], AckLine::Acknowledged(ID), "{bad}");
        }
    }

    #[test]
    fn an_endless_line_uses_bounded_memory() {
        let mut acks = Acks::default();
        let mut said = Vec::new();
        for _ in 0..100 {
            said.extend(acks.take(&[b'x'; 1000]));
            assert!(acks.begun.len() <= LINE_MAX_BYTES);
        }
        assert_eq!(said.len(), 1, "it is told once");
        assert_eq!(acks.take(&[b"\n".to_vec(), line(ID)].concat()), [AckLine::Acknowledged(ID)]);
    }
}
