//! Request body framing: the body ends by its length or by its chunks, never by guess. Anything
//! that two parsers could interpret differently is refused (RFC 9112, section 6.3), because such a
//! difference allows request smuggling.

use super::fields::members;
use super::head::Version;
use super::reject::Reject;

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes, below 2^63; 0 for a request without length fields.
    Length(u64),
    /// Chunks up to the last chunk and its trailers (RFC 9112, section 7.1).
    Chunked,
}

/// The first refused length: what does not fit an `i64` does not fit a file offset either.
const LENGTH_END: u64 = 1 << 63;

/// The framing declared by the fields read so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FramingFields {
    length: Option<u64>,
    codings: Codings,
}

/// The transfer codings read so far, in the order they were applied.
#[derive(Debug, Clone, Copy, Default)]
enum Codings {
    /// No Transfer-Encoding field.
    #[default]
    Absent,
    /// `chunked`, alone.
    Chunked,
    /// Codings other than `chunked`.
    Others,
    /// Other codings, then `chunked` as the last one.
    OthersChunked,
}

impl FramingFields {
    /// Adds one Content-Length value: a number, or the same one several times.
    pub(super) fn note_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        for member in members(value) {
            let length = parse_length(member).ok_or(Reject::LengthInvalid)?;
            if self.length.is_some_and(|earlier| earlier != length) {
                return Err(Reject::LengthsDiffer);
            }
            self.length = Some(length);
        }
        Ok(())
    }

    /// Adds one Transfer-Encoding value. Empty members are refused: RFC 9110, section 5.6.1 would
    /// skip them, but not every parser does.
    pub(super) fn note_codings(&mut self, value: &[u8]) -> Result<(), Reject> {
        for member in members(value) {
            self.codings = self.codings.then(member)?;
        }
        Ok(())
    }

    /// Decides the framing, once every field was added.
    pub(super) fn settle(self, version: Version) -> Result<Framing, Reject> {
        let framing = match self.codings {
            Codings::Absent => return Ok(Framing::Length(self.length.unwrap_or(0))),
            Codings::Chunked => Ok(Framing::Chunked),
            Codings::Others => Err(Reject::CodingInvalid),
            Codings::OthersChunked => Err(Reject::CodingUnsupported),
        };
        if self.length.is_some() {
            return Err(Reject::LengthAndCoding);
        }
        match version {
            Version::Http10 => Err(Reject::CodingInHttp10),
            Version::Http11 => framing,
        }
    }
}

impl Codings {
    /// Appends one more coding. Nothing is allowed to follow `chunked`.
    fn then(self, coding: &[u8]) -> Result<Self, Reject> {
        if coding.is_empty() {
            return Err(Reject::CodingInvalid);
        }
        let chunked = coding.eq_ignore_ascii_case(b"chunked");
        match self {
            Self::Chunked | Self::OthersChunked => Err(Reject::CodingInvalid),
            Self::Absent if chunked => Ok(Self::Chunked),
            Self::Others if chunked => Ok(Self::OthersChunked),
            Self::Absent | Self::Others => Ok(Self::Others),
        }
    }
}

/// Parses `1*DIGIT` below 2^63; leading zeros are allowed.
pub(crate) fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |length, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit).filter(|&length| length < LENGTH_END)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(version: Version, lengths: &[&str], codings: &[&str]) -> Result<Framing, Reject> {
        let mut claims = FramingFields::default();
        lengths.iter().try_for_each(|value| claims.note_length(value.as_bytes()))?;
        codings.iter().try_for_each(|value| claims.note_codings(value.as_bytes()))?;
        claims.settle(version)
    }

    #[test]
    fn a_length_is_digits_and_repeated_ones_must_agree() {
        for (name, lengths, expected) in [
            ("none", &[][..], Ok(Framing::Length(0))),
            ("one", &["3"], Ok(Framing::Length(3))),
            ("leading zeros", &["0000000000000000000000000003"], Ok(Framing::Length(3))),
            ("same twice", &["3", "3"], Ok(Framing::Length(3))),
            ("same in a list", &["3, 3 ,3"], Ok(Framing::Length(3))),
            ("largest", &["9223372036854775807"], Ok(Framing::Length((1 << 63) - 1))),
            ("too large", &["9223372036854775808"], Err(Reject::LengthInvalid)),
            ("overflow", &["18446744073709551617"], Err(Reject::LengthInvalid)),
            ("empty", &[""], Err(Reject::LengthInvalid)),
            ("empty member", &["3,"], Err(Reject::LengthInvalid)),
            ("sign", &["+3"], Err(Reject::LengthInvalid)),
            ("minus", &["-3"], Err(Reject::LengthInvalid)),
            ("hex", &["0x3"], Err(Reject::LengthInvalid)),
            ("inner space", &["3 3"], Err(Reject::LengthInvalid)),
            ("fraction", &["3.0"], Err(Reject::LengthInvalid)),
            ("differing fields", &["3", "4"], Err(Reject::LengthsDiffer)),
            ("differing list", &["3,4"], Err(Reject::LengthsDiffer)),
        ] {
            for version in [Version::Http11, Version::Http10] {
                assert_eq!(framing(version, lengths, &[]), expected, "{name}");
            }
        }
    }

    #[test]
    fn ambiguous_codings_are_refused() {
        for (name, codings, expected) in [
            ("chunked", &["chunked"][..], Ok(Framing::Chunked)),
            ("any case", &["ChUnKeD"], Ok(Framing::Chunked)),
            ("empty", &[""], Err(Reject::CodingInvalid)),
            ("empty member before", &[",chunked"], Err(Reject::CodingInvalid)),
            ("empty member after", &["chunked,"], Err(Reject::CodingInvalid)),
            ("twice in a list", &["chunked, chunked"], Err(Reject::CodingInvalid)),
            ("twice in two fields", &["chunked", "chunked"], Err(Reject::CodingInvalid)),
            ("not the last", &["chunked, gzip"], Err(Reject::CodingInvalid)),
            ("absent", &["gzip"], Err(Reject::CodingInvalid)),
            ("identity", &["identity"], Err(Reject::CodingInvalid)),
            ("parameter", &["chunked;a=b"], Err(Reject::CodingInvalid)),
            ("quoted", &["\"chunked\""], Err(Reject::CodingInvalid)),
            ("prefix", &["xchunked"], Err(Reject::CodingInvalid)),
            ("vertical tab", &["\x0bchunked"], Err(Reject::CodingInvalid)),
            ("gzip first", &["gzip, chunked"], Err(Reject::CodingUnsupported)),
            ("gzip in its own field", &["gzip", "chunked"], Err(Reject::CodingUnsupported)),
        ] {
            assert_eq!(framing(Version::Http11, &[], codings), expected, "{name}");
        }
    }

    #[test]
    fn a_coding_excludes_a_length_and_http_1_0() {
        let both = framing(Version::Http11, &["3"], &["chunked"]);
        assert_eq!(both, Err(Reject::LengthAndCoding));
        let both_other = framing(Version::Http11, &["0"], &["gzip, chunked"]);
        assert_eq!(both_other, Err(Reject::LengthAndCoding));
        assert_eq!(framing(Version::Http10, &[], &["chunked"]), Err(Reject::CodingInHttp10));
    }
}
