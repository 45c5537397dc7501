//! Writes `multipart/form-data` (RFC 7578): the bytes around the contents of a form. PURE: the
//! randomness of the boundary is passed in, the contents are never seen, and every length is known
//! before anything is written.

use super::fields::{is_field_value, is_token};
use std::fmt::{self, Write as _};

/// The delimiter between the parts of a form, random for each form. With 128 random bits no content
/// holds it by chance, and no content can be made to hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// Creates a boundary from 16 random bytes, which the caller must have generated for this form:
    /// 36 characters, all of them `bchars` (RFC 2046, section 5.1.1, which allows 70).
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(format!("rdv-{:032x}", u128::from_be_bytes(random)))
    }

    /// Returns the value of the form's `Content-Type` field.
    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.0)
    }
}

/// The head of one part: its name, and the metadata of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part(String);

impl Part {
    /// Creates a plain field of a form.
    pub fn field(name: &str) -> Self {
        Self(format!("Content-Disposition: form-data; name=\"{}\"\r\n", Escaped(name)))
    }

    /// Creates a file. Its content is `application/octet-stream` unless a type is given.
    ///
    /// # Errors
    /// The content type is not of the form `type/subtype` with parameters (RFC 9110, section
    /// 8.3.1), or contains bytes that are invalid in a field value.
    pub fn file(
        name: &str,
        file_name: &str,
        content_type: Option<&str>,
    ) -> Result<Self, NotAContentType> {
        let content_type = content_type.unwrap_or("application/octet-stream");
        if !is_content_type(content_type) {
            return Err(NotAContentType);
        }
        Ok(Self(format!(
            "Content-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: \
             {content_type}\r\n",
            Escaped(name),
            Escaped(file_name)
        )))
    }
}

/// The content type of a part is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAContentType;

impl fmt::Display for NotAContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a content type; it should read like text/plain")
    }
}

impl std::error::Error for NotAContentType {}

/// Writes one form: for each part, [`FormWriter::part`] and then its content; at the end
/// [`FormWriter::close`], once.
#[derive(Debug)]
pub struct FormWriter {
    boundary: Boundary,
    in_part: bool,
}

impl FormWriter {
    /// Creates a form without parts.
    pub fn new(boundary: Boundary) -> Self {
        Self { boundary, in_part: false }
    }

    /// Returns the bytes before the content of the next part: the end of the part before, if there
    /// is one, the delimiter, and the part's head.
    pub fn part(&mut self, part: &Part) -> Vec<u8> {
        let end = if self.in_part { "\r\n" } else { "" };
        self.in_part = true;
        format!("{end}--{}\r\n{}\r\n", self.boundary.0, part.0).into_bytes()
    }

    /// Returns the bytes after the content of the last part: the close delimiter. A form without
    /// parts is only this, as sent by browsers; RFC 2046 does not define it.
    pub fn close(self) -> Vec<u8> {
        let end = if self.in_part { "\r\n" } else { "" };
        format!("{end}--{}--\r\n", self.boundary.0).into_bytes()
    }

    /// Returns the length of a complete form, in bytes, from its parts and the lengths of their
    /// contents in bytes: the `Content-Length`. `None` if it exceeds a `u64`.
    pub fn length_bytes(boundary: &Boundary, parts: &[(Part, u64)]) -> Option<u64> {
        let mut form = Self::new(boundary.clone());
        let mut length: u64 = 0;
        for (part, content) in parts {
            length = length.checked_add(form.part(part).len() as u64)?.checked_add(*content)?;
        }
        length.checked_add(form.close().len() as u64)
    }
}

/// A name as written between quotes: UTF-8 as it is (RFC 7578, section 5.1), and the three
/// characters that would end the quotes or the line as escapes (HTML Standard, *multipart/form-data
/// encoding algorithm*). A `filename*` is forbidden here (RFC 7578, section 4.2).
struct Escaped<'n>(&'n str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '"' => f.write_str("%22"),
            '\r' => f.write_str("%0D"),
            '\n' => f.write_str("%0A"),
            _ => f.write_char(char),
        })
    }
}

/// Checks `type/subtype`, then nothing or parameters, which are not inspected.
fn is_content_type(text: &str) -> bool {
    let (essence, _parameters) = text.split_once(';').unwrap_or((text, ""));
    let Some((kind, subtype)) = essence.trim_end_matches([' ', '\t']).split_once('/') else {
        return false;
    };
    is_token(kind.as_bytes()) && is_token(subtype.as_bytes()) && is_field_value(text.as_bytes())
}

#[cfg(test)]
mod tests;
