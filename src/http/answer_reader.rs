//! Reads the head of the final response from the bytes of a connection. Its bytes, the interim
//! responses before it and the cost of parsing it again are bounded.

use super::answer::{ANSWER_HEAD_MAX_BYTES, AnswerError, AnswerHead};
use memchr::memchr_iter;

/// Maximum interim responses (RFC 9110, section 15.2) before the final one. A server sends one or
/// two, 100 and 103; without a limit, one that never stops would be read indefinitely.
const INTERIM_MAX: usize = 16;

/// The state of reading the head of one response.
#[derive(Debug, Default)]
pub struct AnswerReader {
    /// Bytes already parsed and found to be an incomplete head.
    seen: usize,
    /// Interim responses so far.
    interim: usize,
    /// Whether `100 Continue` was among them.
    continued: bool,
    /// Whether any number of `102 Processing` is accepted.
    waits: bool,
}

impl AnswerReader {
    /// Creates a reader for a server that sends `102 Processing` (RFC 2518, section 10.1) as a
    /// heartbeat for as long as the response takes.
    pub fn waiting() -> Self {
        Self { waits: true, ..Self::default() }
    }

    /// Takes the head of the final response off the received bytes once it is complete; what
    /// follows stays. A head that trickles in is parsed again only at an empty line: its end.
    ///
    /// # Errors
    /// [`AnswerError::NotHttp`], [`AnswerError::TooLarge`] and [`AnswerError::Interim`].
    pub fn take(&mut self, received: &mut Vec<u8>) -> Result<Option<AnswerHead>, AnswerError> {
        loop {
            if self.seen == 0 {
                skip_empty_lines(received);
            }
            if received.is_empty() || !self.is_worth_parsing(received) {
                return Ok(None);
            }
            let Some(answer) = AnswerHead::parse(received)? else {
                self.seen = received.len();
                return Ok(None);
            };
            received.drain(..answer.len);
            self.seen = 0;
            if !answer.is_interim() {
                return Ok(Some(answer));
            }
            self.continued |= answer.status == 100;
            if self.waits && answer.status == 102 {
                continue;
            }
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Err(AnswerError::Interim);
            }
        }
    }

    /// Whether parsing has a new result now: of the first bytes, of too many, or at an empty line.
    pub fn is_worth_parsing(&self, received: &[u8]) -> bool {
        let before = self.seen.saturating_sub(EMPTY_LINE_MAX - 1);
        self.seen == 0
            || received.len() >= ANSWER_HEAD_MAX_BYTES
            || has_empty_line(&received[before..])
    }

    /// Whether the server requested the body of the request (`100 Continue`).
    pub fn continued(&self) -> bool {
        self.continued
    }

    /// Whether there were interim responses.
    pub fn has_interim(&self) -> bool {
        self.interim > 0
    }
}

/// The longest end of a line with an empty one.
const EMPTY_LINE_MAX: usize = b"\n\r\n".len();

/// Whether a line is followed by an empty one; the parser takes a lone LF for the end of a line.
fn has_empty_line(bytes: &[u8]) -> bool {
    memchr_iter(b'\n', bytes).any(|at| {
        let rest = &bytes[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

/// Removes empty lines before a head: the parser skips them, and would again with each new one.
fn skip_empty_lines(received: &mut Vec<u8>) {
    let mut rest = received.as_slice();
    while let Some(next) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
        rest = next;
    }
    let empty = received.len() - rest.len();
    received.drain(..empty);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINAL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const INTERIM: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

    #[test]
    fn the_final_head_is_found_after_interim_ones_split_anywhere() {
        for (name, text) in [
            ("alone", FINAL.to_owned()),
            ("after an interim one", format!("{INTERIM}{FINAL}")),
            ("after as many as there may be", format!("{}{FINAL}", INTERIM.repeat(INTERIM_MAX))),
            ("after empty lines", format!("\r\n\n\r\n{FINAL}")),
        ] {
            for size in [1, 2, 7, text.len()] {
                let (mut reader, mut received) = (AnswerReader::default(), Vec::new());
                let mut found = None;
                for piece in text.as_bytes().chunks(size) {
                    received.extend_from_slice(piece);
                    if found.is_none() {
                        found = reader.take(&mut received).unwrap();
                    }
                }
                assert_eq!(found.map(|head| head.status), Some(200), "{name}, {size} at a time");
                assert_eq!(received, b"ok", "{name}, {size} at a time: the body stays");
            }
        }
    }

    #[test]
    fn a_heartbeat_is_accepted_by_a_client_that_waits() {
        let text = "HTTP/1.1 102 Processing\r\n\r\n".repeat(INTERIM_MAX + 1) + FINAL;
        for (mut reader, found) in [
            (AnswerReader::waiting(), Ok(Some(200))),
            (AnswerReader::default(), Err(AnswerError::Interim)),
        ] {
            let head = reader.take(&mut text.clone().into_bytes());
            assert_eq!(head.map(|head| head.map(|head| head.status)), found);
        }
    }

    #[test]
    fn endless_heads_are_refused() {
        let interim = INTERIM.repeat(INTERIM_MAX + 1);
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(ANSWER_HEAD_MAX_BYTES));
        for (name, text) in [("interim heads", interim), ("a long head", long)] {
            let (mut reader, mut received) = (AnswerReader::default(), Vec::new());
            let mut broke = false;
            for piece in text.as_bytes().chunks(4096) {
                received.extend_from_slice(piece);
                broke |= reader.take(&mut received).is_err();
            }
            assert!(broke, "{name}");
        }
    }

    #[test]
    fn a_head_that_trickles_in_is_parsed_at_its_end() {
        let mut reader = AnswerReader::default();
        let mut received = b"HTTP/1.1 200 OK\r\nA: ".to_vec();
        assert_eq!(reader.take(&mut received), Ok(None));
        for _ in 0..1000 {
            received.push(b'x');
            assert!(!reader.is_worth_parsing(&received));
            assert_eq!(reader.take(&mut received), Ok(None));
        }
        for byte in *b"\r\nB: y\r\n\r" {
            received.push(byte);
            assert!(!reader.is_worth_parsing(&received));
            assert_eq!(reader.take(&mut received), Ok(None));
        }
        received.push(b'\n');
        assert!(reader.is_worth_parsing(&received));
        assert_eq!(reader.take(&mut received).unwrap().map(|head| head.status), Some(200));
    }
}
