//! `Repr-Digest` (RFC 9530, section 3) as the relay forwards it: the value of header fields or of
//! trailers, extracted and kept as received. Its digests are never verified, because the relay does
//! not inspect payload.

use super::digest::is_dictionary;

/// Longest value that is kept, in bytes. The longest digest in use, SHA-512, takes 98 with its
/// name.
pub const DIGEST_BYTES_MAX: usize = 512;

/// The name of the field, in any case.
pub const REPR_DIGEST: &str = "Repr-Digest";

/// The value of a `Repr-Digest` field: a non-empty dictionary of RFC 9651, in 1 to
/// [`DIGEST_BYTES_MAX`] bytes of visible ASCII and single spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReprDigest(Box<str>);

impl ReprDigest {
    /// Joins all field lines of this name with commas (RFC 9651, section 4.2), trims blanks and
    /// collapses other runs of blanks to one space. `None` if the value is absent, too long, or not
    /// such a dictionary: it must then be ignored.
    pub fn of_lines<'v>(lines: impl IntoIterator<Item = &'v [u8]>) -> Option<Self> {
        let mut joined = Joined::default();
        for line in lines {
            joined.begin_line();
            for &byte in line {
                joined.push(byte);
            }
        }
        joined.digest()
    }

    /// Returns the value as received.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the approximate memory used, in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.0.len()
    }
}

/// A value joined from its lines, at most [`DIGEST_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Default)]
struct Joined {
    text: Vec<u8>,
    /// Whether nothing of the current line was kept yet.
    begins: bool,
    /// Whether the last byte of the line was a blank.
    blank: bool,
    is_too_long: bool,
}

impl Joined {
    fn begin_line(&mut self) {
        (self.begins, self.blank) = (true, false);
    }

    /// Adds the next byte of the current line. A line of blanks only is ignored.
    fn push(&mut self, byte: u8) {
        if matches!(byte, b' ' | b'\t') {
            self.blank = true;
            return;
        }
        let between: &[u8] = match (self.begins, self.blank) {
            (true, _) if self.text.is_empty() => b"",
            (true, _) => b", ",
            (false, true) => b" ",
            (false, false) => b"",
        };
        if self.text.len() + between.len() >= DIGEST_BYTES_MAX {
            self.is_too_long = true;
        }
        if !self.is_too_long {
            self.text.extend_from_slice(between);
            self.text.push(byte);
        }
        (self.begins, self.blank) = (false, false);
    }

    fn digest(&self) -> Option<ReprDigest> {
        if self.is_too_long || !is_dictionary(&self.text) {
            return None;
        }
        str::from_utf8(&self.text).ok().map(|text| ReprDigest(text.into()))
    }
}

/// Extracts a `Repr-Digest` from trailer lines that arrive in pieces. It stores one value at most,
/// and nothing of lines of other names.
#[derive(Clone, Debug, Default)]
pub struct DigestTrailer {
    seen_bytes: usize,
    place: TrailerState,
    /// The joined lines of our name so far.
    joined: Joined,
    digest: Option<ReprDigest>,
}

/// The position of the next byte in a trailer line.
#[derive(Clone, Copy, Debug)]
enum TrailerState {
    /// In a name whose bytes so far, this many, match ours.
    Name(usize),
    /// In our line, after the colon.
    Value,
    /// In the line of another name.
    Other,
}

impl Default for TrailerState {
    fn default() -> Self {
        Self::Name(0)
    }
}

impl DigestTrailer {
    /// Returns how many bytes of trailer lines were [`taken`](Self::take).
    pub fn seen_bytes(&self) -> usize {
        self.seen_bytes
    }

    /// Adds the next bytes of the trailer lines, each line with its CRLF and known to be
    /// well-formed.
    pub fn take(&mut self, bytes: &[u8]) {
        self.seen_bytes += bytes.len();
        for &byte in bytes {
            self.place = self.next(byte);
        }
    }

    /// Returns the value of our complete lines so far, if it is valid.
    pub fn digest(&self) -> Option<&ReprDigest> {
        self.digest.as_ref()
    }

    fn next(&mut self, byte: u8) -> TrailerState {
        match (self.place, byte) {
            // The CR of the line end is not part of the value.
            (TrailerState::Value, b'\r') => TrailerState::Value,
            (TrailerState::Value, b'\n') => {
                self.digest = self.joined.digest();
                TrailerState::default()
            }
            (TrailerState::Other, b'\n') => TrailerState::default(),
            (TrailerState::Name(agree), b':') if agree == REPR_DIGEST.len() => {
                self.joined.begin_line();
                TrailerState::Value
            }
            (TrailerState::Name(agree), _) => match REPR_DIGEST.as_bytes().get(agree) {
                Some(ours) if ours.eq_ignore_ascii_case(&byte) => TrailerState::Name(agree + 1),
                Some(_) | None => TrailerState::Other,
            },
            (TrailerState::Value, _) => {
                self.joined.push(byte);
                TrailerState::Value
            }
            (TrailerState::Other, _) => TrailerState::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailer(lines: &str, stride: usize) -> Option<String> {
        let mut trailer = DigestTrailer::default();
        lines.as_bytes().chunks(stride).for_each(|piece| trailer.take(piece));
        assert_eq!(trailer.seen_bytes(), lines.len());
        assert!(trailer.joined.text.len() <= DIGEST_BYTES_MAX, "what is held is bounded");
        trailer.digest().map(|digest| digest.as_str().to_owned())
    }

    #[test]
    fn a_digest_is_found_in_trailers_split_anywhere() {
        let (longest, longer) = ("x".repeat(DIGEST_BYTES_MAX), "x".repeat(DIGEST_BYTES_MAX + 1));
        let blanks = " \t".repeat(2000);
        for (name, lines, expected) in [
            ("none", String::new(), None),
            ("alone", "Repr-Digest: sha-256=:AA==:\r\n".into(), Some("sha-256=:AA==:")),
            ("any case", "rEPR-dIGEST:x\r\n".into(), Some("x")),
            ("among others", "A: b\r\nRepr-Digest:x\r\nC:\r\n".into(), Some("x")),
            ("blanks around", format!("Repr-Digest:{blanks}x{blanks}\r\n"), Some("x")),
            ("a blank within", "Repr-Digest: a=:AA==:, b\r\n".into(), Some("a=:AA==:, b")),
            ("blanks within", format!("Repr-Digest: a{blanks},{blanks}b\r\n"), Some("a , b")),
            ("no comma", "Repr-Digest: a\tb\r\n".into(), None),
            ("no key", "Repr-Digest: =:AA==:\r\n".into(), None),
            ("no end of a digest", "Repr-Digest: a=:AA==\r\n".into(), None),
            ("a longer name", "Repr-Digest-2: x\r\n".into(), None),
            ("a shorter name", "Repr-Diges: x\r\n".into(), None),
            ("the name as a value", "A: Repr-Digest:x\r\n".into(), None),
            ("two", "Repr-Digest: x\r\nA: b\r\nRepr-Digest: y \r\n".into(), Some("x, y")),
            ("an empty one after it", "Repr-Digest: x\r\nRepr-Digest:\r\n".into(), Some("x")),
            ("an empty one before it", "Repr-Digest: \r\nRepr-Digest:x\r\n".into(), Some("x")),
            ("a broken one before it", "Repr-Digest: X\r\nRepr-Digest:x\r\n".into(), None),
            ("too long together", format!("Repr-Digest: {longest}\r\nRepr-Digest: y\r\n"), None),
            ("empty", "Repr-Digest:\r\n".into(), None),
            ("blank", "Repr-Digest: \t \r\n".into(), None),
            ("the longest", format!("Repr-Digest: {longest}\r\n"), Some(longest.as_str())),
            ("too long", format!("Repr-Digest: {longer}\r\n"), None),
            ("too long by far", format!("Repr-Digest: {}\r\n", longer.repeat(9)), None),
            ("too long for its blank", format!("Repr-Digest: {longest} x\r\n"), None),
            ("not ASCII", "Repr-Digest: é\r\n".into(), None),
            ("cut off", "Repr-Digest: x".into(), None),
        ] {
            for stride in [usize::MAX, 1, 2, 7] {
                let found = trailer(&lines, stride);
                assert_eq!(found.as_deref(), expected, "{name}, {stride} bytes at a time");
            }
        }
    }

    #[test]
    fn a_header_field_follows_the_same_rules() {
        let long = vec![b'x'; DIGEST_BYTES_MAX + 1];
        for (name, values, kept) in [
            ("none", &[][..], false),
            ("one", &[&b"sha-256=:AA==:"[..]], true),
            ("two", &[b"x", b"y=:AA==:"], true),
            ("two, one of them broken", &[b"x", b"="], false),
            ("the longest", &[&long[1..]], true),
            ("too long", &[&long], false),
            ("empty", &[b""], false),
            ("no comma", &[b"a b"], false),
            ("a comma and a blank", &[b"a, b"], true),
            ("a control byte", &[b"a\x7f"], false),
            ("not ASCII", &[b"\xff"], false),
        ] {
            let found = ReprDigest::of_lines(values.iter().copied());
            assert_eq!(found.is_some(), kept, "{name}");
        }
    }
}
