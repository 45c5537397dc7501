//! A JSON array as the body of a response, written piece by piece, and by one worker after the other.

use super::answer::Streamed;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::relay::io::OnFlushed;

/// What follows the pieces written so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// More of this worker.
    Here,
    /// What the next worker has.
    Elsewhere,
    /// Nothing.
    Over,
}

/// An array that is being written.
#[derive(Debug)]
pub struct JsonArray {
    /// No element is written yet.
    is_empty: bool,
    progress: Progress,
    /// The workers whose elements follow those of this one.
    others: usize,
    streamed: Streamed,
}

impl JsonArray {
    /// Begins an array; the elements of this many other workers follow.
    pub fn new(streamed: Streamed, others: usize) -> Self {
        Self { is_empty: true, progress: Progress::Here, others, streamed }
    }

    /// Adds an element to a piece.
    pub fn add(&mut self, element: &str, piece: &mut Vec<u8>) {
        piece.extend_from_slice(if self.is_empty { b"[" } else { b",\n" });
        self.is_empty = false;
        piece.extend_from_slice(element.as_bytes());
    }

    /// Writes a piece in the framing of the response; returns the number of framing bytes. `last`:
    /// this worker has no more elements.
    pub fn write(&mut self, mut piece: Vec<u8>, last: bool, out: &mut Vec<u8>) -> usize {
        if last && self.others > 0 {
            (self.progress, self.others) = (Progress::Elsewhere, self.others - 1);
        } else if last {
            self.progress = Progress::Over;
            piece.extend_from_slice(if self.is_empty { b"[]\n" } else { b"]\n" });
        }
        let mut framing = write_framed(out, &piece, self.streamed.chunked);
        if self.progress == Progress::Over && self.streamed.chunked {
            out.extend_from_slice(LAST_CHUNK);
            framing += LAST_CHUNK.len();
        }
        framing
    }

    /// Returns what follows once all of it is written; `None`: there is more.
    pub fn over(&self) -> Option<OnFlushed> {
        (self.progress == Progress::Over).then_some(self.streamed.after)
    }

    /// Whether the elements of the next worker follow.
    pub fn continues_elsewhere(&self) -> bool {
        self.progress == Progress::Elsewhere
    }

    /// Continues at the next worker.
    pub fn arrived(self) -> Self {
        Self { progress: Progress::Here, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(others: usize, parts: &[&[&str]], chunked: bool) -> String {
        let streamed = Streamed { chunked, after: OnFlushed::NextRequest };
        let mut array = JsonArray::new(streamed, others);
        let mut out = Vec::new();
        for part in parts {
            for element in *part {
                let mut piece = Vec::new();
                array.add(element, &mut piece);
                array.write(piece, false, &mut out);
                assert!(array.over().is_none() && !array.continues_elsewhere());
            }
            array.write(Vec::new(), true, &mut out);
            if array.continues_elsewhere() {
                array = array.arrived();
            }
        }
        assert_eq!(array.over(), Some(OnFlushed::NextRequest));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_array_is_the_same_however_many_workers_write_it() {
        for (name, others, parts, array) in [
            ("empty", 0, &[&[][..]][..], "[]\n"),
            ("one", 0, &[&["1"]], "[1]\n"),
            ("two pieces", 0, &[&["1", "2"]], "[1,\n2]\n"),
            ("three workers", 2, &[&["1"], &["2"], &["3"]], "[1,\n2,\n3]\n"),
            ("the first has none", 1, &[&[], &["2"]], "[2]\n"),
            ("the last has none", 1, &[&["1"], &[]], "[1]\n"),
            ("none has any", 2, &[&[], &[], &[]], "[]\n"),
        ] {
            assert_eq!(written(others, parts, false), array, "{name}");
        }
        assert_eq!(written(1, &[&[], &["1"]], true), "2\r\n[1\r\n2\r\n]\n\r\n0\r\n\r\n");
    }
}
