//! Chunked bodies: a strict decoder of what a relay sends, which has no extensions and no trailers.

/// Position within the framing.
pub(crate) struct Chunks {
    /// A line that is not complete.
    line: Vec<u8>,
    state: State,
}

/// What is next.
enum State {
    /// A line with a size.
    Size,
    /// This number of payload bytes.
    Payload(u64),
    /// The empty line after a chunk, or after the last one.
    End { last: bool },
    /// Nothing.
    Over,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self { line: Vec::new(), state: State::Size }
    }

    /// Whether the last chunk was received.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Decodes bytes up to the end of the body, and returns their number.
    pub(crate) fn take(&mut self, bytes: &[u8], body: &mut dyn FnMut(&[u8])) -> usize {
        let mut used = 0;
        while used < bytes.len() && !self.ended() {
            let rest = &bytes[used..];
            used += match &mut self.state {
                State::Payload(left) => {
                    let count = rest.len().min(usize::try_from(*left).expect("64 bits"));
                    body(&rest[..count]);
                    *left -= count as u64;
                    if *left == 0 {
                        self.state = State::End { last: false };
                    }
                    count
                }
                State::Size | State::End { .. } => self.take_line(rest),
                State::Over => 0,
            };
        }
        used
    }

    fn take_line(&mut self, bytes: &[u8]) -> usize {
        let end = memchr::memchr(b'\n', bytes);
        let count = end.map_or(bytes.len(), |end| end + 1);
        self.line.extend_from_slice(&bytes[..count]);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            let text = line.strip_suffix(b"\r\n").and_then(|text| std::str::from_utf8(text).ok());
            let text = text.unwrap_or_else(|| panic!("a line of chunked framing: {line:?}"));
            self.state = self.after(text);
        }
        count
    }

    fn after(&self, line: &str) -> State {
        match self.state {
            State::Size => {
                let size = u64::from_str_radix(line, 16);
                match size.unwrap_or_else(|_| panic!("the size of a chunk: {line:?}")) {
                    0 => State::End { last: true },
                    size => State::Payload(size),
                }
            }
            State::End { last } => {
                assert!(line.is_empty(), "after a chunk: {line:?}");
                if last { State::Over } else { State::Size }
            }
            State::Payload(_) | State::Over => unreachable!("lines are framing"),
        }
    }
}
