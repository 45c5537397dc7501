//! Reads the first part of a form (`multipart/form-data`, RFC 7578) as it is received. PURE. It
//! keeps the head of the part, at most [`HEAD_MAX`], and nothing of its content: a delimiter is
//! found wherever the reads end, because the bytes that may begin one are known.

use super::content_type::without_html;
use super::response::HeadWriter;
use memchr::{memchr, memchr_iter, memmem};
use std::borrow::Cow;
use std::fmt;

/// Maximum bytes of the part's head, from the end of the delimiter to the empty line.
pub const HEAD_MAX: usize = 8 << 10;

/// Maximum fields of the part's head.
const FIELDS_MAX: usize = 16;

/// Why a form is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormError {
    /// It ends before its first part begins.
    NoPart,
    /// The head of the part is malformed.
    BadHead,
    /// A line of it ends with LF alone.
    BareLf,
    /// The head of the part exceeds the limit.
    HeadTooLong,
    /// It ends within the part.
    Unterminated,
}

impl FormError {
    /// What is wrong, for the sender.
    pub fn message(self) -> &'static str {
        match self {
            Self::NoPart => "The form has no part",
            Self::BadHead => "The head of the form's first part is malformed",
            Self::BareLf => "The lines of a form end with CR LF, not with LF alone",
            Self::HeadTooLong => "The head of the form's first part is longer than 8 KiB",
            Self::Unterminated => "The form ended within its first part",
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for FormError {}

/// How much of the form was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first delimiter.
    Preamble,
    /// After the first delimiter.
    Head,
    /// In the content of the first part.
    Content,
    /// After the first part: nothing of it matters.
    Rest,
}

/// A reader of the first part of one form.
#[derive(Clone, Debug)]
pub struct FirstPart {
    /// CR, LF, two hyphens and the boundary. CR is only at its start.
    delimiter: Box<[u8]>,
    /// How many bytes of the delimiter were just read.
    matched: usize,
    /// The byte after a complete delimiter, if it does not yet say whether that was one.
    after: Option<u8>,
    place: Place,
    head: Vec<u8>,
    content_type: Option<Box<[u8]>>,
    content_disposition: Option<Box<[u8]>>,
}

impl FirstPart {
    /// Creates a reader for a form with this boundary, which has no control characters.
    pub fn new(boundary: &[u8]) -> Self {
        debug_assert!(!boundary.contains(&b'\r'), "only the first byte of a delimiter is CR");
        Self {
            delimiter: [b"\r\n--", boundary].concat().into_boxed_slice(),
            // The first delimiter may be at the very beginning.
            matched: 2,
            after: None,
            place: Place::Preamble,
            head: Vec::new(),
            content_type: None,
            content_disposition: None,
        }
    }

    /// Reads more of the form, and appends what is content of the part.
    ///
    /// # Errors
    /// Returns why the form is refused; what was appended before is valid.
    pub fn received(&mut self, bytes: &[u8], content: &mut Vec<u8>) -> Result<(), FormError> {
        let mut rest = bytes;
        while !rest.is_empty() && self.place != Place::Rest {
            rest = match self.place {
                Place::Preamble => self.seek(rest, &mut Vec::new(), Place::Head)?,
                Place::Head => self.read_head(rest)?,
                Place::Content => self.seek(rest, content, Place::Rest)?,
                Place::Rest => &[],
            };
        }
        Ok(())
    }

    /// Whether the head of the part was read.
    pub fn has_head(&self) -> bool {
        matches!(self.place, Place::Content | Place::Rest)
    }

    /// Returns why the form cannot end here; `None`: its first part is complete.
    pub fn end(&self) -> Option<FormError> {
        match self.place {
            Place::Content if self.has_delimiter() => None,
            Place::Preamble => Some(FormError::NoPart),
            Place::Head if self.head.starts_with(b"--") => Some(FormError::NoPart),
            Place::Head | Place::Content => Some(FormError::Unterminated),
            Place::Rest => None,
        }
    }

    /// Writes the fields of the part.
    pub fn fields<'o>(&self, mut head: HeadWriter<'o>) -> HeadWriter<'o> {
        if let Some(value) = &self.content_type {
            head = head.field("Content-Type", value);
        }
        if let Some(value) = &self.content_disposition {
            head = head.field("Content-Disposition", value);
        }
        head
    }

    /// Whether all bytes of a delimiter were just read.
    fn has_delimiter(&self) -> bool {
        self.matched == self.delimiter.len()
    }

    /// Appends what is before the next delimiter, and returns what is after it. The bytes that may
    /// begin a delimiter are appended once they do not.
    fn seek<'b>(
        &mut self,
        bytes: &'b [u8],
        before: &mut Vec<u8>,
        then: Place,
    ) -> Result<&'b [u8], FormError> {
        let mut rest = bytes;
        while let [byte, tail @ ..] = rest {
            if self.has_delimiter() {
                if self.confirm(*byte, before, then)? {
                    rest = tail;
                }
                if self.place == then {
                    return Ok(rest);
                }
            } else if *byte == self.delimiter[self.matched] {
                self.matched += 1;
                rest = tail;
            } else if self.matched > 0 {
                before.extend_from_slice(&self.delimiter[..self.matched]);
                self.matched = 0;
            } else {
                let end = memchr(b'\r', rest).unwrap_or(rest.len());
                before.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            }
        }
        Ok(rest)
    }

    /// Judges a byte after those of a delimiter; whether it is used up. They are one only before two
    /// hyphens, a blank or CR LF (RFC 2046, section 5.1.1), with which the head begins.
    fn confirm(&mut self, byte: u8, before: &mut Vec<u8>, then: Place) -> Result<bool, FormError> {
        match (self.after.take(), byte) {
            (None, b'-' | b'\r') => {
                self.after = Some(byte);
                Ok(true)
            }
            (None, b'\n') if then == Place::Head => Err(FormError::BareLf),
            (after @ None, b' ' | b'\t')
            | (after @ Some(b'-'), b'-')
            | (after @ Some(b'\r'), b'\n') => {
                self.head.extend(after.into_iter().chain([byte]));
                (self.matched, self.place) = (0, then);
                Ok(true)
            }
            (after, _) => {
                before.extend_from_slice(&self.delimiter);
                before.extend(after.filter(|byte| *byte != b'\r'));
                // This CR may begin a delimiter.
                self.matched = usize::from(after == Some(b'\r'));
                Ok(false)
            }
        }
    }

    /// Collects the head of the part; returns what is after it.
    fn read_head<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], FormError> {
        const END: &[u8] = b"\r\n\r\n";
        let seen = self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD_MAX - seen)]);
        let from = seen.saturating_sub(END.len() - 1);
        let Some(end) = memmem::find(&self.head[from..], END) else {
            let full = self.head.len() == HEAD_MAX;
            return if full { Err(FormError::HeadTooLong) } else { Ok(&[]) };
        };
        let end = from + end + END.len();
        let head = std::mem::take(&mut self.head);
        self.parse(&head[..end])?;
        self.place = Place::Content;
        Ok(&bytes[end - seen..])
    }

    /// Parses the rest of the delimiter's line, and the fields after it (RFC 2046, section 5.1.1).
    fn parse(&mut self, head: &[u8]) -> Result<(), FormError> {
        if head.starts_with(b"--") {
            return Err(FormError::NoPart);
        }
        let bare = |at: usize| at == 0 || head[at - 1] != b'\r';
        if memchr_iter(b'\n', head).any(bare) {
            return Err(FormError::BareLf);
        }
        let padding = head.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let fields = head[padding..].strip_prefix(b"\r\n").ok_or(FormError::BadHead)?;
        // Without a field the empty line directly follows.
        let mut slots = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let parsed = httparse::parse_headers(fields, &mut slots).map_err(|_| FormError::BadHead)?;
        let httparse::Status::Complete((length, fields_read)) = parsed else {
            return Err(FormError::BadHead);
        };
        if length != fields.len() {
            return Err(FormError::BadHead);
        }
        let value = |name: &str| {
            let field = fields_read.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            field.map(|field| field.value)
        };
        self.content_type =
            value("Content-Type").map(without_html).map(Cow::into_owned).map(Vec::into_boxed_slice);
        self.content_disposition = value("Content-Disposition").map(Box::from);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
