//! Recognizes an archive by its first block, before anything is written, and decompresses it.

use super::entries::is_header;
use super::gzip::GzipDecoder;
use super::{BLOCK_BYTES, BUFFER_BYTES};
use std::io::{self, BufReader, Cursor, Read};

/// The magic number of a Zstandard frame (RFC 8878, section 3.1.1).
const ZSTANDARD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The magic number of a gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Other formats that may be taken for an archive that can be extracted.
const OTHERS: [(&[u8], &str); 6] = [
    (b"\xfd7zXZ\0", "xz-compressed data"),
    (b"BZh", "bzip2-compressed data"),
    (b"\x04\x22\x4d\x18", "lz4-compressed data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
];

/// Maximum number of bytes read to find the first block of an archive: a Zstandard block has at most
/// 128 KiB, but empty and skippable frames can precede it.
const PEEK_MAX_BYTES: usize = 1 << 20;

/// Maximum window size of a sender, as a power of two: 128 MiB, the most that the command `zstd`
/// uses without `--long`, at its highest level.
const WINDOW_LOG_MAX: u32 = 27;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::client) enum Compression {
    /// Not at all.
    None,
    /// As `.tar.gz`.
    Gzip,
    /// As `.tar.zst`.
    Zstandard,
}

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::client) enum Format {
    /// A tar archive.
    Tar(Compression),
    /// Something else, in words if it is recognized.
    Other(Option<&'static str>),
}

/// Reads the beginning of an input until its format is known; returns both.
///
/// # Errors
/// The input failed.
pub(in crate::client) fn peek(input: &mut impl Read) -> io::Result<(Vec<u8>, Format)> {
    let mut begin = Vec::new();
    let mut wanted = BLOCK_BYTES;
    loop {
        let missing = wanted - begin.len();
        let is_over = input.by_ref().take(missing as u64).read_to_end(&mut begin)? < missing;
        let compression = compression_of(&begin);
        if let Some(block) = first_block(&begin, compression) {
            let other = Format::Other(name_of(&begin));
            let format = if is_header(&block) { Format::Tar(compression) } else { other };
            return Ok((begin, format));
        }
        if is_over || wanted >= PEEK_MAX_BYTES {
            let format = Format::Other(name_of(&begin));
            return Ok((begin, format));
        }
        // Doubled, so that decompressing again from the start costs no more than the last time.
        wanted *= 2;
    }
}

/// Returns the plain archive.
pub(super) fn decompressed<'i>(
    input: impl Read + 'i,
    compression: Compression,
) -> io::Result<Box<dyn Read + 'i>> {
    let buffered = BufReader::with_capacity(BUFFER_BYTES, input);
    Ok(match compression {
        Compression::None => Box::new(buffered),
        Compression::Gzip => Box::new(GzipDecoder::new(buffered)),
        Compression::Zstandard => {
            let mut decoder = zstd::Decoder::with_buffer(buffered)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

fn compression_of(begin: &[u8]) -> Compression {
    if begin.starts_with(ZSTANDARD_MAGIC) {
        Compression::Zstandard
    } else if begin.starts_with(GZIP_MAGIC) {
        Compression::Gzip
    } else {
        Compression::None
    }
}

/// Returns the first block of the plain archive, if this much of the input has it.
fn first_block(begin: &[u8], compression: Compression) -> Option<[u8; BLOCK_BYTES]> {
    let mut block = [0; BLOCK_BYTES];
    let mut plain = decompressed(Cursor::new(begin), compression).ok()?;
    plain.read_exact(&mut block).ok()?;
    Some(block)
}

fn name_of(begin: &[u8]) -> Option<&'static str> {
    match compression_of(begin) {
        Compression::Gzip => return Some("gzip-compressed data"),
        Compression::Zstandard => return Some("Zstandard-compressed data"),
        Compression::None => {}
    }
    let found = OTHERS.iter().find(|(magic, _)| begin.starts_with(magic));
    let empty = begin.is_empty().then_some("empty");
    found.map(|(_, name)| *name).or(empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, "a", &b"abc"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_archive_is_told_from_everything_else_and_nothing_read_is_lost() {
        let zstd = |plain: &[u8]| zstd::encode_all(plain, 1).unwrap();
        let skippable = |bytes: usize| {
            let size = u32::try_from(bytes).unwrap().to_le_bytes();
            [&[0x50, 0x2a, 0x4d, 0x18][..], &size, &vec![0; bytes]].concat()
        };
        let after = [zstd(b""), skippable(100_000), zstd(&archive())].concat();
        for (name, input, format) in [
            ("tar", archive(), Format::Tar(Compression::None)),
            ("an empty archive", vec![0; 1024], Format::Tar(Compression::None)),
            ("gzip", gzip(&archive()), Format::Tar(Compression::Gzip)),
            ("Zstandard", zstd(&archive()), Format::Tar(Compression::Zstandard)),
            ("frames before it", after, Format::Tar(Compression::Zstandard)),
            ("nothing", vec![], Format::Other(Some("empty"))),
            ("text", b"text".to_vec(), Format::Other(None)),
            ("a large text", vec![b'x'; 5000], Format::Other(None)),
            ("compressed text", gzip(b"text"), Format::Other(Some("gzip-compressed data"))),
            ("xz", b"\xfd7zXZ\0....".to_vec(), Format::Other(Some("xz-compressed data"))),
            (
                "endless frames",
                [zstd(b""), skippable(2 << 20)].concat(),
                Format::Other(Some("Zstandard-compressed data")),
            ),
        ] {
            let mut rest = input.as_slice();
            let (begin, found) = peek(&mut rest).unwrap();
            assert_eq!(found, format, "{name}");
            assert!(begin.len() <= PEEK_MAX_BYTES, "{name}");
            assert!([&begin, rest].concat() == input, "{name}");
        }
    }
}
