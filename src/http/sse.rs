//! Server-sent events (HTML Standard, *Interpreting an event stream*). The reader takes bytes,
//! however they are split, and returns the data of each complete event. The writer writes one event
//! at a time. PURE, and bounded in memory.

use std::fmt;
use std::mem;

/// Longest accepted event, in bytes, including its field names and comments. The relay's own events
/// have a few hundred bytes; the limit guards against other servers.
pub const EVENT_MAX_BYTES: usize = 1 << 20;

/// Formats an event with this name, which holds no line end. Each line of `data` becomes a `data`
/// line.
pub fn event(name: &str, data: &str) -> Vec<u8> {
    let mut event = ["event: ", name, "\n"].concat();
    for line in data.split(['\r', '\n']) {
        event.extend(["data: ", line, "\n"]);
    }
    event.push('\n');
    event.into_bytes()
}

/// Parser state between two pieces of one event stream.
///
/// Only `data` is kept. Names, ids and retry times of events are skipped, as are comments; an event
/// without data is ignored, and one cut off by the end of the stream is never returned.
#[derive(Debug, Default)]
pub struct Events {
    /// The current, incomplete line.
    line: Vec<u8>,
    /// The data of the current event; a line feed after each of its lines.
    data: Vec<u8>,
    /// The bytes of the current event so far.
    event_bytes: usize,
    /// Whether the last byte was a carriage return, so that a line feed right after it ends
    /// nothing.
    after_return: bool,
    /// Whether a line was read, so that a byte order mark is no longer recognized.
    begun: bool,
}

impl Events {
    /// Adds the next bytes of the stream, and appends the data of every event they complete to
    /// `events`. Invalid UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// An event is longer than [`EVENT_MAX_BYTES`]. The stream must not be read any further.
    pub fn received(
        &mut self,
        mut bytes: &[u8],
        events: &mut Vec<String>,
    ) -> Result<(), EventTooLong> {
        if bytes.is_empty() {
            return Ok(());
        }
        if mem::take(&mut self.after_return) {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) {
            self.take(&bytes[..end])?;
            events.extend(self.end_line());
            bytes = match &bytes[end..] {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                [_end, rest @ ..] => rest,
                [] => &[],
            };
        }
        self.take(bytes)
    }

    /// Adds to the current line.
    fn take(&mut self, piece: &[u8]) -> Result<(), EventTooLong> {
        self.event_bytes += piece.len();
        if self.event_bytes > EVENT_MAX_BYTES {
            return Err(EventTooLong);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// Ends the line; returns the data of the event if that ends, too.
    fn end_line(&mut self) -> Option<String> {
        let line = mem::take(&mut self.line);
        let mark: &[u8] = if mem::replace(&mut self.begun, true) { b"" } else { b"\xef\xbb\xbf" };
        let line = line.strip_prefix(mark).unwrap_or(&line);
        if line.is_empty() {
            return self.end_event();
        }
        // The line end counts, too: many empty lines would otherwise be free.
        self.event_bytes += 1;
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        if &line[..colon] == b"data" {
            let value = line.get(colon + 1..).unwrap_or_default();
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            self.data.push(b'\n');
        }
        None
    }

    fn end_event(&mut self) -> Option<String> {
        self.event_bytes = 0;
        let data = mem::take(&mut self.data);
        data.strip_suffix(b"\n").map(|data| String::from_utf8_lossy(data).into_owned())
    }
}

/// An event is longer than [`EVENT_MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTooLong;

impl fmt::Display for EventTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event is longer than {EVENT_MAX_BYTES} bytes")
    }
}

impl std::error::Error for EventTooLong {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let (mut reader, mut events) = (Events::default(), Vec::new());
        for piece in pieces {
            reader.received(piece, &mut events).unwrap();
        }
        events
    }

    #[test]
    fn the_data_of_complete_events_is_returned() {
        for (name, text, expected) in [
            ("one", &b"data: a\n\n"[..], &["a"][..]),
            ("two", b"data: a\n\ndata: b\n\n", &["a", "b"]),
            ("several lines", b"data: a\ndata: b\n\n", &["a\nb"]),
            ("no blank", b"data:a\n\n", &["a"]),
            ("one blank goes", b"data:  a\n\n", &[" a"]),
            ("a colon inside", b"data: a: b\n\n", &["a: b"]),
            ("no colon", b"data\n\n", &[""]),
            ("two without colons", b"data\ndata\n\n", &["\n"]),
            ("empty data", b"data:\n\n", &[""]),
            ("other fields", b"event: x\nid: 1\nretry: 5\ndata: a\n\n", &["a"]),
            ("no data", b"event: x\n\ndata: a\n\n", &["a"]),
            ("another case", b"Data: a\n\n", &[]),
            ("a longer name", b"data2: a\n\n", &[]),
            ("a comment", b": hi\n\n:data: x\ndata: a\n\n", &["a"]),
            ("carriage returns", b"data: a\r\rdata: b\r\r", &["a", "b"]),
            ("both", b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", &["a\nb", "c"]),
            ("mixed", b"data: a\r\n\ndata: b\n\r\n", &["a", "b"]),
            ("a line feed, then a return", b"data: a\n\rdata: b\n\n", &["a", "b"]),
            ("a byte order mark", b"\xef\xbb\xbfdata: a\n\n", &["a"]),
            ("two marks", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", &[]),
            ("a mark later", b"\n\xef\xbb\xbfdata: a\n\n", &[]),
            ("no end", b"data: a\n\ndata: b\n", &["a"]),
            ("no UTF-8", b"data: \xff\n\n", &["\u{fffd}"]),
            ("nothing", b"", &[]),
        ] {
            assert_eq!(read(&[text]), expected, "{name}");
            let bytes: Vec<_> = text.chunks(1).collect();
            assert_eq!(read(&bytes), expected, "{name}, byte by byte");
            let halting: Vec<_> = bytes.iter().flat_map(|byte| [*byte, b""]).collect();
            assert_eq!(read(&halting), expected, "{name}, with nothing in between");
        }
    }

    #[test]
    fn a_written_event_is_read_back() {
        for (data, read_again) in [
            ("{}", "{}"),
            ("", ""),
            (" a", " a"),
            ("a\nb\n", "a\nb\n"),
            ("a\rdata: b", "a\ndata: b"),
        ] {
            let bytes = event("x", data);
            assert!(bytes.starts_with(b"event: x\ndata: "));
            assert_eq!(read(&[&bytes]), [read_again], "{data:?}");
        }
    }

    #[test]
    fn an_event_above_the_limit_is_an_error_whatever_its_fields() {
        let line = [b"data: ".as_slice(), &vec![b'x'; EVENT_MAX_BYTES - 6]].concat();
        let mut events = Vec::new();
        let mut reader = Events::default();
        reader.received(&line, &mut events).unwrap();
        assert_eq!(reader.received(b"x", &mut events), Err(EventTooLong), "one line");

        for (name, line) in
            [("comments", &b":\n"[..]), ("data", b"data\n"), ("names", b"event: x\r\n")]
        {
            let mut reader = Events::default();
            let whole = line.repeat(EVENT_MAX_BYTES / line.len() * 2);
            let result =
                whole.chunks(4096).try_for_each(|piece| reader.received(piece, &mut events));
            assert_eq!(result, Err(EventTooLong), "{name}");
        }
        assert_eq!(events, [""; 0]);
    }

    #[test]
    fn the_limit_applies_to_each_event() {
        let event = [b"data: ".as_slice(), &vec![b'x'; EVENT_MAX_BYTES - 16], b"\n\n"].concat();
        let mut reader = Events::default();
        let mut events = Vec::new();
        for _ in 0..3 {
            reader.received(&event, &mut events).unwrap();
        }
        assert_eq!(events.len(), 3);
    }

    proptest! {
        #[test]
        fn the_stream_may_be_split_anywhere(
            words in prop::collection::vec(
                prop::sample::select(&["data", ":", " ", "\r", "\n", "\r\n", "\n\n", "a", "\u{feff}", "ü"][..]),
                0..40
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)
        ) {
            let text = words.concat().into_bytes();
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let pieces: Vec<_> = at.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[&text]));
        }
    }
}
