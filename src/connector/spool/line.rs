//! Lines: one record each, as `{"position":"BASE64",...}` and a line feed. PURE. Only the position
//! of a record is parsed; the rest is kept as appended, without line feeds and NUL bytes, which
//! JSON never contains unescaped (RFC 8259, section 7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr2;
use uuid::Uuid;

const PREFIX: &[u8] = br#"{"position":""#;

/// The length of the base64 of a UUID's 36 characters.
const ENCODED_BYTES: usize = 48;

/// The minimum length of a line: up to the quote after its position.
pub(super) const HEAD_BYTES: usize = PREFIX.len() + ENCODED_BYTES + 1;

/// Returns the start of the line of a record; a comma or a brace must follow.
pub fn head(position: Uuid) -> String {
    format!("{{\"position\":\"{}\"", STANDARD.encode(position.to_string()))
}

/// Parses the position at the start of a line; `None` if it is invalid.
pub fn position(line: &[u8]) -> Option<Uuid> {
    let head = line.get(..HEAD_BYTES)?.strip_prefix(PREFIX)?.strip_suffix(b"\"")?;
    Uuid::try_parse_ascii(&STANDARD.decode(head).ok()?).ok()
}

/// The reason why bytes are not valid lines of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A NUL byte: never written, but found where a file system lost unsynced data.
    Nul,
    /// A line that does not begin with a position.
    NoPosition,
    /// A position that is not greater than the previous one.
    Order,
    /// No line, or an unterminated one.
    Unended,
}

/// Checks lines that are received in pieces, and finds the end of the last complete one.
#[derive(Debug)]
pub(super) struct LineChecker {
    head: [u8; HEAD_BYTES],
    /// How many bytes of the current line's head were read.
    head_bytes: usize,
    /// The fault of the current line; reported at its end, because an unterminated line is torn.
    fault: Option<Fault>,
    /// The position of the current line, else of the last one.
    newest: Option<Uuid>,
    /// The position of the first line.
    pub(super) first: Option<Uuid>,
    /// The number of bytes read.
    seen_bytes: u64,
    /// The number of bytes up to the end of the last complete line.
    pub(super) whole_bytes: u64,
    /// The position of the last complete line, else the lower bound of all positions.
    pub(super) last: Option<Uuid>,
}

impl LineChecker {
    /// Creates a checker for lines whose positions are greater than `last`.
    pub(super) fn after_last_line(last: Option<Uuid>) -> Self {
        Self {
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            fault: None,
            newest: last,
            first: None,
            seen_bytes: 0,
            whole_bytes: 0,
            last,
        }
    }

    /// Takes the next bytes, split anywhere.
    pub(super) fn take(&mut self, mut piece: &[u8]) -> Result<(), Fault> {
        while !piece.is_empty() {
            let end = memchr2(b'\n', 0, piece);
            let part = &piece[..end.unwrap_or(piece.len())];
            self.begin(part);
            self.seen_bytes += part.len() as u64;
            let Some(end) = end else { return Ok(()) };
            self.end(piece[end])?;
            piece = &piece[end + 1..];
        }
        Ok(())
    }

    /// Checks that there was a line, and that the last one ended.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        let ended = self.whole_bytes > 0 && self.whole_bytes == self.seen_bytes;
        if ended { Ok(()) } else { Err(Fault::Unended) }
    }

    /// Reads the head of a line as far as it was received.
    fn begin(&mut self, part: &[u8]) {
        let missing = HEAD_BYTES - self.head_bytes;
        if missing == 0 {
            return;
        }
        let part = &part[..part.len().min(missing)];
        self.head[self.head_bytes..self.head_bytes + part.len()].copy_from_slice(part);
        self.head_bytes += part.len();
        if part.len() < missing {
            return;
        }
        match position(&self.head) {
            Some(position) if Some(position) > self.newest => {
                self.newest = Some(position);
                self.first.get_or_insert(position);
            }
            Some(_) => self.fault = Some(Fault::Order),
            None => self.fault = Some(Fault::NoPosition),
        }
    }

    /// Ends a line at a line feed, or fails at a NUL byte.
    fn end(&mut self, byte: u8) -> Result<(), Fault> {
        if byte == 0 {
            return Err(Fault::Nul);
        }
        if self.head_bytes < HEAD_BYTES {
            return Err(Fault::NoPosition);
        }
        self.fault.map_or(Ok(()), Err)?;
        self.head_bytes = 0;
        self.seen_bytes += 1;
        self.whole_bytes = self.seen_bytes;
        self.last = self.newest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_records::{at, line};
    use super::*;

    #[test]
    fn a_position_is_the_base64_of_the_text_of_a_uuid() {
        let text = "01890a5d-ac96-774b-bcce-b302099a8057";
        let position_of = |line: &str| position(line.as_bytes()).map(|found| found.to_string());
        let good = r#"{"position":"MDE4OTBhNWQtYWM5Ni03NzRiLWJjY2UtYjMwMjA5OWE4MDU3","a":1}"#;
        assert_eq!(position_of(good), Some(text.into()));
        assert!(good.starts_with(&head(text.parse().unwrap())));
        for (name, line) in [
            ("empty", String::new()),
            ("too short", good[..61].to_owned()),
            ("another member first", good.replace("position", "positiom")),
            ("a blank", good.replace(":\"", ": \"")),
            ("no base64", good.replace("MDE4", "M!E4")),
            ("no UUID", good.replace("MDE4", "LS0t")),
        ] {
            assert_eq!(position_of(&line), None, "{name}");
        }
    }

    #[test]
    fn lines_are_validated_alike_in_pieces_of_any_size() {
        let (one, two) = (line(1, "x"), line(2, "yy"));
        let whole = one.len() as u64;
        for (name, text, fault, whole_bytes, last) in [
            ("two", format!("{one}{two}"), Ok(()), whole + two.len() as u64, Some(at(2))),
            ("none", String::new(), Err(Fault::Unended), 0, None),
            ("no end", format!("{one}{}", two.trim_end()), Err(Fault::Unended), whole, Some(at(1))),
            ("a torn head", format!("{one}{{\"pos"), Err(Fault::Unended), whole, Some(at(1))),
            (
                "noise without end",
                format!("{one}{}", "n".repeat(99)),
                Err(Fault::Unended),
                whole,
                Some(at(1)),
            ),
            (
                "noise",
                format!("{one}{}\n", "n".repeat(99)),
                Err(Fault::NoPosition),
                whole,
                Some(at(1)),
            ),
            ("an empty line", format!("{one}\n"), Err(Fault::NoPosition), whole, Some(at(1))),
            ("the same again", format!("{one}{one}"), Err(Fault::Order), whole, Some(at(1))),
            ("backwards", format!("{two}{one}"), Err(Fault::Order), two.len() as u64, Some(at(2))),
            ("a hole", format!("{one}\0\0{two}"), Err(Fault::Nul), whole, Some(at(1))),
            ("a hole inside", one.replace('x', "\0"), Err(Fault::Nul), 0, None),
        ] {
            for step in [1, 2, 61, 62, 63, 1000] {
                let mut lines = LineChecker::after_last_line(None);
                let taken = text.as_bytes().chunks(step).try_for_each(|piece| lines.take(piece));
                assert_eq!(taken.and_then(|()| lines.finish()), fault, "{name} by {step}");
                assert_eq!(
                    (lines.whole_bytes, lines.last),
                    (whole_bytes, last),
                    "{name} by {step}"
                );
            }
        }
    }
}
