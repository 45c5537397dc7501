//! Chunk extensions (RFC 9112, section 7.1.1), byte by byte:
//!
//! ```text
//! chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
//! ```
//!
//! A recipient must accept the white space that the grammar allows; after the last extension, and
//! after a size without one, it allows none. The contents are not needed, so nothing is kept.

use super::ChunkError;
use crate::http::fields::is_token_byte;

/// The expected next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExtensionState {
    /// White space after the size or a value, or the semicolon of the next extension.
    Padding,
    /// White space after a semicolon, or the first byte of a name.
    Start,
    /// A byte of a name, or the byte after its end.
    Name,
    /// White space after a name, or the `=` or semicolon that follows.
    NamePadding,
    /// White space after the `=`, or the first byte of a value.
    ValueStart,
    /// A byte of a token value, or the byte after its end.
    Token,
    /// A byte between quotes, or the closing quote.
    Quoted,
    /// The byte after a backslash.
    Escaped,
    /// The byte after a closing quote.
    QuotedEnd,
}

impl ExtensionState {
    /// Returns the state after `byte`; `None` if it is the CR of the line.
    pub(super) fn next(self, byte: u8) -> Result<Option<Self>, ChunkError> {
        let next = match (self, byte) {
            (Self::Name | Self::Token | Self::QuotedEnd, b'\r') => return Ok(None),
            // A line never ends at a bare LF, in any state.
            (_, b'\n') => return Err(ChunkError::BadLineEnd),
            (Self::Quoted, b'"') => Self::QuotedEnd,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, _) if is_text(byte) => Self::Quoted,
            (Self::Padding | Self::Token | Self::QuotedEnd, b' ' | b'\t') => Self::Padding,
            (Self::Name | Self::NamePadding, b' ' | b'\t') => Self::NamePadding,
            (Self::Start | Self::ValueStart, b' ' | b'\t') => self,
            (
                Self::Padding | Self::Name | Self::NamePadding | Self::Token | Self::QuotedEnd,
                b';',
            ) => Self::Start,
            (Self::Name | Self::NamePadding, b'=') => Self::ValueStart,
            (Self::ValueStart, b'"') => Self::Quoted,
            (Self::Start | Self::Name, _) if is_token_byte(byte) => Self::Name,
            (Self::ValueStart | Self::Token, _) if is_token_byte(byte) => Self::Token,
            (
                Self::Padding
                | Self::Start
                | Self::Name
                | Self::NamePadding
                | Self::ValueStart
                | Self::Token
                | Self::Quoted
                | Self::Escaped
                | Self::QuotedEnd,
                _,
            ) => return Err(ChunkError::BadExtension),
        };
        Ok(Some(next))
    }

    /// Returns the fewest bytes that can end the line from here, including its CRLF.
    pub(super) fn shortest_end(self) -> u16 {
        match self {
            Self::Name | Self::Token | Self::QuotedEnd => 2,
            Self::Start | Self::ValueStart | Self::Quoted => 3,
            Self::Padding | Self::NamePadding | Self::Escaped => 4,
        }
    }
}

/// Whether a byte is valid in a field value or between quotes: no control byte but tab (RFC 9110,
/// section 5.5).
pub(super) fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the text between the size and the LF.
    fn read(text: &str) -> Result<bool, ChunkError> {
        let mut place = ExtensionState::Padding;
        for byte in text.bytes() {
            let Some(next) = place.next(byte)? else { return Ok(true) };
            place = next;
        }
        Ok(false)
    }

    #[test]
    fn every_valid_extension_is_accepted() {
        for (name, text) in [
            ("a name", ";a\r"),
            ("a token", ";a=b\r"),
            ("quotes", ";a=\"b c\"\r"),
            ("empty quotes", ";a=\"\"\r"),
            ("escapes between quotes", ";a=\"\\\"\\\\\\;\"\r"),
            ("separators between quotes", ";a=\";=,\t\"\r"),
            ("bytes above ASCII between quotes", ";a=\"é\"\r"),
            ("several", ";a;b=c;d=\"e\";f\r"),
            ("white space before the semicolon", " \t;a\r"),
            ("white space after the semicolon", "; \ta\r"),
            ("white space around the sign", ";a \t=\t b\r"),
            ("white space between two", ";a ; b=c ;d=\"e\" ; f\r"),
        ] {
            assert_eq!(read(text), Ok(true), "{name}");
        }
    }

    #[test]
    fn an_invalid_extension_is_refused_at_its_first_wrong_byte() {
        for (name, good, bad) in [
            ("white space alone", " \t", '\r'),
            ("no semicolon", " ", 'a'),
            ("no name", ";", '\r'),
            ("white space in place of a name", "; ", '\r'),
            ("no name before another extension", ";", ';'),
            ("no name before a value", ";", '='),
            ("a name in quotes", ";", '"'),
            ("two names", ";a ", 'b'),
            ("white space after a name", ";a ", '\r'),
            ("no value", ";a=", '\r'),
            ("white space in place of a value", ";a= ", '\r'),
            ("no value before another extension", ";a=", ';'),
            ("two signs", ";a=", '='),
            ("two values", ";a=b ", 'c'),
            ("a second sign", ";a=b", '='),
            ("white space after a value", ";a=b ", '\r'),
            ("white space after quotes", ";a=\"b\" ", '\r'),
            ("a byte after quotes", ";a=\"b\"", 'c'),
            ("quotes after a value", ";a=b", '"'),
            ("open quotes", ";a=\"b", '\r'),
            ("an escaped end", ";a=\"b\\", '\r'),
            ("a control byte between quotes", ";a=\"b", '\0'),
            ("an escaped control byte", ";a=\"b\\", '\x7f'),
            ("a control byte in a name", ";a", '\x01'),
            ("a separator in a name", ";a", ','),
        ] {
            assert_eq!(read(good), Ok(false), "{name}");
            assert_eq!(read(&format!("{good}{bad}")), Err(ChunkError::BadExtension), "{name}");
            assert_eq!(read(&format!("{good}\n")), Err(ChunkError::BadLineEnd), "{name}");
        }
    }

    #[test]
    fn the_shortest_end_ends_the_line() {
        for (so_far, end) in [
            (" ", ";a\r"),
            (";", "a\r"),
            (";a", "\r"),
            (";a ", ";b\r"),
            (";a=", "b\r"),
            (";a=b", "\r"),
            (";a=\"", "\"\r"),
            (";a=\"\\", "x\"\r"),
            (";a=\"\"", "\r"),
        ] {
            let place = so_far
                .bytes()
                .try_fold(ExtensionState::Padding, |place, byte| place.next(byte).ok()?);
            let bytes = place.map(|place| usize::from(place.shortest_end()));
            assert_eq!(bytes, Some(end.len() + 1), "{so_far:?}");
            assert_eq!(read(&format!("{so_far}{end}")), Ok(true), "{so_far:?}");
        }
    }
}
