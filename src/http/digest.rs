//! `Repr-Digest` (RFC 9530) for SHA-256: a digest to its field value and back. PURE: the digest is
//! computed elsewhere.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The length of a SHA-256, in bytes.
pub const SHA_256_BYTES: usize = 32;

/// The key of SHA-256 in the registry of RFC 9530, section 7.2.
const KEY: &[u8] = b"sha-256";

/// As RFC 9651, section 4.2.7, asks of a parser: missing padding and bits behind the end are no
/// errors. What is written is padded.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The value of a `Repr-Digest` (or `Content-Digest`) field that says this digest:
/// `sha-256=:BASE64:`.
pub fn field_value(sha_256: &[u8; SHA_256_BYTES]) -> String {
    format!("sha-256=:{}:", BASE64.encode(sha_256))
}

/// The SHA-256 among the digests of a field value, a dictionary of RFC 9651, section 3.2. Other
/// members and all parameters are ignored; of several SHA-256 the last counts, as in any
/// dictionary. Field lines of the same name are to be joined with commas first.
///
/// `None` if it is absent, or is no byte sequence of 32 bytes.
pub fn sha_256(field_value: &[u8]) -> Option<[u8; SHA_256_BYTES]> {
    let members = Members(field_value).filter_map(member);
    let (_key, value) = members.filter(|(key, _)| *key == KEY).last()?;
    let encoded = value.strip_prefix(b":")?;
    let end = encoded.iter().position(|&byte| byte == b':')?;
    let (encoded, behind) = (&encoded[..end], &encoded[end + 1..]);
    if !matches!(behind.trim_ascii_start(), [] | [b';', ..]) {
        return None;
    }
    BASE64.decode(encoded).ok()?.try_into().ok()
}

/// Key and value of a member; `None` where it has no value, which is true then.
fn member(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = text.iter().position(|&byte| byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..]))
}

/// The members of a dictionary: what stands between its commas, those inside of strings not
/// counted.
struct Members<'v>(&'v [u8]);

impl Members<'_> {
    /// Where the next comma is that separates.
    fn separator(&self) -> Option<usize> {
        let (mut quoted, mut escaped) = (false, false);
        self.0.iter().position(|&byte| {
            let separates = byte == b',' && !quoted;
            quoted ^= byte == b'"' && !escaped;
            escaped = quoted && byte == b'\\' && !escaped;
            separates
        })
    }
}

impl<'v> Iterator for Members<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.separator();
        let member = &self.0[..end.unwrap_or(self.0.len())];
        self.0 = end.map_or(&[], |comma| &self.0[comma + 1..]);
        Some(member.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of the text `hello` and a line feed.
    const HELLO: [u8; SHA_256_BYTES] = [
        0x58, 0x91, 0xb5, 0xb5, 0x22, 0xd5, 0xdf, 0x08, 0x6d, 0x0f, 0xf0, 0xb1, 0x10, 0xfb, 0xd9,
        0xd2, 0x1b, 0xb4, 0xfc, 0x71, 0x63, 0xaf, 0x34, 0xd0, 0x82, 0x86, 0xa2, 0xe8, 0x46, 0xf6,
        0xbe, 0x03,
    ];

    const TEXT: &str = "sha-256=:WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=:";

    #[test]
    fn a_digest_is_a_byte_sequence() {
        assert_eq!(field_value(&HELLO), TEXT);
        assert_eq!(sha_256(TEXT.as_bytes()), Some(HELLO));
    }

    #[test]
    fn the_sha_256_is_found_among_other_members() {
        for (name, value) in [
            ("behind another", format!("sha-512=:AAAA:, {TEXT}")),
            ("in front of another", format!("{TEXT},sha-512=:AAAA:")),
            ("with parameters", format!("{TEXT};a=1;b=\"x,y\"")),
            ("a blank before a parameter", format!("{TEXT} ;a")),
            ("blanks around", format!(" \t{TEXT}\t ")),
            ("behind a string with a comma", format!("a=\"x, sha-256=:AAAA:\", {TEXT}")),
            ("behind escaped quotes", format!("a=\"\\\",\\\\\", {TEXT}")),
            ("behind a list", format!("a=(1 2);q=3, {TEXT}")),
            ("behind a flag", format!("a, {TEXT}")),
            ("the last of two", format!("sha-256=:AAAA:, {TEXT}")),
            ("without padding", TEXT.replace('=', "").replace("256", "256=")),
            ("bits behind the end", TEXT.replace("gM=:", "gN=:")),
        ] {
            assert_eq!(sha_256(value.as_bytes()), Some(HELLO), "{name}");
        }
    }

    #[test]
    fn what_is_absent_or_broken_is_none() {
        for (name, value) in [
            ("empty", String::new()),
            ("another only", "sha-512=:AAAA:".to_owned()),
            ("inside of a string", format!("a=\"x, {TEXT}\"")),
            ("inside of open quotes", format!("a=\"x, {TEXT}")),
            ("another case", TEXT.to_uppercase()),
            ("no value", "sha-256".to_owned()),
            ("a token", TEXT.replace(':', "")),
            ("no end", TEXT.trim_end_matches(':').to_owned()),
            ("text behind the end", format!("{TEXT}x")),
            ("too short", "sha-256=:AAAA:".to_owned()),
            ("too long", TEXT.replace("WJG1", "WJG1WJG1")),
            ("no base64", TEXT.replace('J', "!")),
            ("a blank in front of the value", TEXT.replace("=:W", "= :W")),
            ("the last of two is broken", format!("{TEXT}, sha-256=:AAAA:")),
        ] {
            assert_eq!(sha_256(value.as_bytes()), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_digest_comes_back(digest: [u8; SHA_256_BYTES]) {
            prop_assert_eq!(sha_256(field_value(&digest).as_bytes()), Some(digest));
        }

        #[test]
        fn nothing_makes_reading_panic(
            value in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b','), Just(b':')], 0..64)
        ) {
            let _ = sha_256(&value);
            let _ = sha_256(&[b"sha-256=", value.as_slice()].concat());
        }
    }
}
