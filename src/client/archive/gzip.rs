//! Decompresses gzip (RFC 1952): one member or several, and the zeros that tapes and block devices
//! add, as gzip(1) does.

use super::super::output::io_error;
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, ErrorKind, Read};

/// The first byte of a member (RFC 1952, section 2.3.1).
const MEMBER: u8 = 0x1f;

/// A decoder of all members of an input; `None` at its end.
pub(super) struct GzipDecoder<R>(Option<GzDecoder<R>>);

impl<R: BufRead> GzipDecoder<R> {
    /// Creates a decoder of this input.
    pub fn new(input: R) -> Self {
        Self(Some(GzDecoder::new(input)))
    }
}

impl<R: BufRead> Read for GzipDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let mut rest = self.0.take().map(GzDecoder::into_inner);
            self.0 = match rest.as_mut().map(following).transpose()? {
                Some(true) => rest.map(GzDecoder::new),
                Some(false) | None => None,
            };
        }
        Ok(0)
    }
}

/// Whether another member follows; else reads the padding to its end.
///
/// # Errors
/// Something else follows.
fn following(rest: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let found = rest.fill_buf()?;
        let padding = found.iter().take_while(|byte| **byte == 0).count();
        match found.get(padding) {
            Some(&MEMBER) => {
                rest.consume(padding);
                return Ok(true);
            }
            Some(_) => {
                let text = "something that is not gzip follows the compressed archive";
                return Err(io_error(ErrorKind::InvalidData, text.to_owned()));
            }
            None if padding == 0 => return Ok(false),
            None => rest.consume(padding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::{BufReader, Write as _};

    fn member(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_and_padding_are_read_and_nothing_else() {
        let (one, other, zeros) = (member(b"ab"), member(b"cd"), vec![0; 100]);
        for (name, parts, expected) in [
            ("one member", vec![&one], Ok("ab")),
            ("several", vec![&one, &other, &one], Ok("abcdab")),
            ("an empty one", vec![&one, &member(b""), &other], Ok("abcd")),
            ("padding", vec![&one, &zeros], Ok("ab")),
            ("padding between", vec![&one, &zeros, &other, &zeros], Ok("abcd")),
            ("text", vec![&one, &b"text".to_vec()], Err("not gzip follows")),
            ("text after padding", vec![&one, &zeros, &b"text".to_vec()], Err("not gzip follows")),
            ("half a member", vec![&one, &other[..15].to_vec()], Err("unexpected end of file")),
        ] {
            let input: Vec<u8> = parts.into_iter().flatten().copied().collect();
            for capacity in [1, 7, 4096] {
                let mut text = String::new();
                let input = BufReader::with_capacity(capacity, &input[..]);
                let read = GzipDecoder::new(input).read_to_string(&mut text);
                match (read, expected) {
                    (Ok(_), Ok(expected)) => assert_eq!(text, expected, "{name}"),
                    (Err(error), Err(words)) => {
                        assert!(error.to_string().contains(words), "{name}: {error}");
                    }
                    (read, _) => panic!("{name}: {read:?}"),
                }
            }
        }
    }
}
