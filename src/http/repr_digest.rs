//! `Repr-Digest` (RFC 9530, section 3) as the relay passes it on: the value of a header field or of a
//! trailer, picked out and kept as it came. It is never understood nor checked, because the relay
//! does not look at payload.

/// Longest value that is kept, in bytes. The longest digest in use, of SHA-512, takes 98 with its name.
pub const DIGEST_BYTES_MAX: usize = 512;

/// The name of the field, in any case.
pub const REPR_DIGEST: &str = "Repr-Digest";

/// The value of a `Repr-Digest` field: 1 to [`DIGEST_BYTES_MAX`] bytes of visible ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReprDigest(Box<str>);

impl ReprDigest {
    /// The value of the only field of its name; `None` if there is none, if there are several, or if
    /// it is empty, too long, or holds anything but visible ASCII. Blanks around it are not to be
    /// part of it.
    pub fn sole<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<Self> {
        let mut values = values.into_iter();
        let value = values.next()?;
        let fits = (1..=DIGEST_BYTES_MAX).contains(&value.len());
        if values.next().is_some() || !fits || !value.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        str::from_utf8(value).ok().map(|text| Self(text.into()))
    }

    /// As it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.0.len()
    }
}

/// Picks a `Repr-Digest` out of trailer lines that come in pieces. It holds one value at most; of
/// lines of other names it holds nothing.
#[derive(Clone, Debug, Default)]
pub struct DigestTrailer {
    seen_bytes: usize,
    place: Place,
    /// The value of the line at hand; each run of blanks in it is one space, so that it is bounded.
    value: Vec<u8>,
    /// How many lines of this name have begun.
    lines: usize,
    digest: Option<ReprDigest>,
}

/// Where in a trailer line the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In a name that agrees with ours in so many bytes, which are all it has so far.
    Name(usize),
    /// In our line, behind the colon.
    Value,
    /// In the line of another name.
    Other,
}

impl Default for Place {
    fn default() -> Self {
        Self::Name(0)
    }
}

impl DigestTrailer {
    /// How many bytes of trailer lines were [`taken`](Self::take).
    pub fn seen_bytes(&self) -> usize {
        self.seen_bytes
    }

    /// The next bytes of the trailer lines, each line with its CRLF and known to be well-formed.
    pub fn take(&mut self, bytes: &[u8]) {
        self.seen_bytes += bytes.len();
        for &byte in bytes {
            self.place = self.next(byte);
        }
    }

    /// The value, if the lines so far hold exactly one of our name, and that is one to keep.
    pub fn digest(&self) -> Option<&ReprDigest> {
        self.digest.as_ref().filter(|_| self.lines == 1)
    }

    fn next(&mut self, byte: u8) -> Place {
        match (self.place, byte) {
            (Place::Value, b'\n') => {
                let value = self.value.trim_ascii_end();
                self.digest = ReprDigest::sole([value]);
                Place::default()
            }
            (Place::Other, b'\n') => Place::default(),
            (Place::Name(agree), b':') if agree == REPR_DIGEST.len() => {
                self.lines += 1;
                self.value.clear();
                Place::Value
            }
            (Place::Name(agree), _) => match REPR_DIGEST.as_bytes().get(agree) {
                Some(ours) if ours.eq_ignore_ascii_case(&byte) => Place::Name(agree + 1),
                Some(_) | None => Place::Other,
            },
            (Place::Value, _) => {
                self.keep(byte);
                Place::Value
            }
            (Place::Other, _) => Place::Other,
        }
    }

    /// One byte of the value, or the CR behind it. Of a value that is too long enough is kept to
    /// tell: the longest, a blank, and something behind it.
    fn keep(&mut self, byte: u8) {
        let blank = matches!(byte, b' ' | b'\t' | b'\r');
        let full = self.value.len() == DIGEST_BYTES_MAX + 2;
        let needless = blank && self.value.last().is_none_or(|&last| last == b' ');
        if !full && !needless {
            self.value.push(if blank { b' ' } else { byte });
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
        assert!(trailer.value.len() <= DIGEST_BYTES_MAX + 2, "what is held is bounded");
        trailer.digest().map(|digest| digest.as_str().to_owned())
    }

    #[test]
    fn a_digest_is_picked_out_of_the_trailers_however_they_are_cut() {
        let (longest, longer) = ("x".repeat(DIGEST_BYTES_MAX), "x".repeat(DIGEST_BYTES_MAX + 1));
        let blanks = " \t".repeat(2000);
        for (name, lines, expected) in [
            ("none", String::new(), None),
            ("alone", "Repr-Digest: sha-256=:AA==:\r\n".into(), Some("sha-256=:AA==:")),
            ("any case", "rEPR-dIGEST:x\r\n".into(), Some("x")),
            ("among others", "A: b\r\nRepr-Digest:x\r\nC:\r\n".into(), Some("x")),
            ("blanks around", format!("Repr-Digest:{blanks}x{blanks}\r\n"), Some("x")),
            ("blanks within", "Repr-Digest: a=:A:, b=:B:\r\n".into(), None),
            ("a tab within", "Repr-Digest: a\tb\r\n".into(), None),
            ("a longer name", "Repr-Digest-2: x\r\n".into(), None),
            ("a shorter name", "Repr-Diges: x\r\n".into(), None),
            ("the name as a value", "A: Repr-Digest:x\r\n".into(), None),
            ("two", "Repr-Digest: x\r\nRepr-Digest: x\r\n".into(), None),
            ("two, one of them empty", "Repr-Digest: x\r\nRepr-Digest:\r\n".into(), None),
            ("three", "Repr-Digest: x\r\n".repeat(3), None),
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
    fn a_header_field_is_kept_by_the_same_rule() {
        let long = vec![b'x'; DIGEST_BYTES_MAX + 1];
        for (name, values, kept) in [
            ("none", &[][..], false),
            ("one", &[&b"sha-256=:AA==:"[..]], true),
            ("two", &[b"x", b"x"], false),
            ("the longest", &[&long[1..]], true),
            ("too long", &[&long], false),
            ("empty", &[b""], false),
            ("a blank", &[b"a b"], false),
            ("a control byte", &[b"a\x7f"], false),
            ("not ASCII", &[b"\xff"], false),
        ] {
            let found = ReprDigest::sole(values.iter().copied());
            assert_eq!(found.is_some(), kept, "{name}");
        }
    }
}
