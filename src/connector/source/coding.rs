//! Content codings of bodies (RFC 9110, section 8.4.1), decoded where a body is read as JSON.

use crate::api::Failure;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use std::io::{self, Read};

/// Binary logarithm of the largest window of zstd as a content coding, 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A content coding that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip` (RFC 1952).
    Gzip,
    /// `deflate`, in the zlib format (RFC 1950).
    Deflate,
    /// `zstd` (RFC 8878).
    Zstd,
}

impl Coding {
    /// Parses `Content-Encoding`; `None` if nothing is encoded.
    ///
    /// # Errors
    /// If it names another coding, or more than one.
    pub fn parse(field: &str) -> Result<Option<Self>, Failure> {
        let names = field.split(',').map(|name| name.trim().to_ascii_lowercase());
        let mut names = names.filter(|name| !name.is_empty() && name != "identity");
        let coding = match names.next().as_deref() {
            None => return Ok(None),
            Some("gzip" | "x-gzip") => Self::Gzip,
            Some("deflate") => Self::Deflate,
            Some("zstd") => Self::Zstd,
            Some(_) => return Err(Failure::UnknownCoding),
        };
        if names.next().is_some() { Err(Failure::UnknownCoding) } else { Ok(Some(coding)) }
    }

    /// Decodes a complete body.
    ///
    /// # Errors
    /// If it is malformed, or decodes to more than `bytes_max`.
    pub fn decode(self, body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Failure> {
        let mut decoded = Vec::new();
        // One byte more shows that it is too long.
        let limit = bytes_max as u64 + 1;
        let read =
            self.decoder(body).and_then(|reader| reader.take(limit).read_to_end(&mut decoded));
        match read {
            Ok(_) if decoded.len() > bytes_max => Err(Failure::BodyTooLarge(bytes_max)),
            Ok(_) => Ok(decoded),
            Err(error) => {
                let why = format!("The body is not valid {}: {error}", self.name());
                Err(Failure::InvalidBody(why))
            }
        }
    }

    fn decoder(self, body: &[u8]) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(body)),
            Self::Deflate => Box::new(ZlibDecoder::new(body)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::new(body)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_known_coding_is_decoded() {
        for (field, coding) in [
            ("", Ok(None)),
            ("identity", Ok(None)),
            ("gzip", Ok(Some(Coding::Gzip))),
            ("X-GZip", Ok(Some(Coding::Gzip))),
            (" deflate ,", Ok(Some(Coding::Deflate))),
            ("identity, zstd", Ok(Some(Coding::Zstd))),
            ("br", Err(Failure::UnknownCoding)),
            ("gzip, gzip", Err(Failure::UnknownCoding)),
            ("gzip;q=1", Err(Failure::UnknownCoding)),
        ] {
            assert_eq!(Coding::parse(field), coding, "{field:?}");
        }
    }
}
