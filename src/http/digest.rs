//! `Repr-Digest` (RFC 9530) for SHA-256: formats and parses the field value. PURE: the digest is
//! computed elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The length of a SHA-256, in bytes.
pub const SHA_256_BYTES: usize = 32;

/// The key of SHA-256 in the registry of RFC 9530, section 7.2.
const KEY: &str = "sha-256";

/// Returns the value of a `Repr-Digest` (or `Content-Digest`) field with this digest:
/// `sha-256=:BASE64:`.
pub fn field_value(sha_256: &[u8; SHA_256_BYTES]) -> String {
    format!("{KEY}=:{}:", STANDARD.encode(sha_256))
}

/// Returns the SHA-256 among the digests of a field value, a dictionary of RFC 9651, section 3.2.
/// Other members and all parameters are ignored; of several SHA-256 the last counts, as in any
/// dictionary. Field lines of the same name must be joined with commas first.
///
/// `None` if it is absent or not a byte sequence of 32 bytes, or if the value is not a dictionary:
/// then all of it is ignored (RFC 9651, section 4.2).
pub fn sha_256(field_value: &[u8]) -> Option<[u8; SHA_256_BYTES]> {
    let digests: Dictionary = Parser::new(field_value).parse().ok()?;
    let ListEntry::Item(digest) = digests.get(KEY)? else { return None };
    let BareItem::ByteSequence(digest) = &digest.bare_item else { return None };
    digest.as_slice().try_into().ok()
}

/// Whether this is a valid, non-empty dictionary.
pub(super) fn is_dictionary(field_value: &[u8]) -> bool {
    let parsed = Parser::new(field_value).parse::<Dictionary>();
    parsed.is_ok_and(|dictionary| !dictionary.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The digest of the text `hello` and a line feed.
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
            ("after another", format!("sha-512=:AAAA:, {TEXT}")),
            ("in front of another", format!("{TEXT},sha-512=:AAAA:")),
            ("with parameters", format!("{TEXT};a=1;b=\"x,y\"")),
            ("a blank after a semicolon", format!("{TEXT}; a")),
            ("blanks around", format!("  {TEXT} ")),
            ("after a string with a comma", format!("a=\"x, sha-256=:AAAA:\", {TEXT}")),
            ("after escaped quotes", format!("a=\"\\\",\\\\\", {TEXT}")),
            ("after a list", format!("a=(1 2);q=3, {TEXT}")),
            ("after a flag", format!("a, {TEXT}")),
            ("the last of two", format!("sha-256=:AAAA:, {TEXT}")),
            ("without padding", TEXT.replace('=', "").replace("256", "256=")),
            ("bits after the end", TEXT.replace("gM=:", "gN=:")),
        ] {
            assert_eq!(sha_256(value.as_bytes()), Some(HELLO), "{name}");
        }
    }

    #[test]
    fn an_absent_or_invalid_digest_is_none() {
        for (name, value) in [
            ("empty", String::new()),
            ("another only", "sha-512=:AAAA:".to_owned()),
            ("inside of a string", format!("a=\"x, {TEXT}\"")),
            ("inside of open quotes", format!("a=\"x, {TEXT}")),
            ("another case", TEXT.to_uppercase()),
            ("no value", "sha-256".to_owned()),
            ("a token", TEXT.replace(':', "")),
            ("no end", TEXT.trim_end_matches(':').to_owned()),
            ("text after the end", format!("{TEXT}x")),
            ("a blank before a parameter", format!("{TEXT} ;a")),
            ("a broken member before it", format!("a=, {TEXT}")),
            ("a broken member after it", format!("{TEXT}, b=\"")),
            ("a comma at the end", format!("{TEXT},")),
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
        fn every_written_digest_is_read_back(digest: [u8; SHA_256_BYTES]) {
            prop_assert_eq!(sha_256(field_value(&digest).as_bytes()), Some(digest));
        }

        #[test]
        fn reading_never_panics(
            value in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b','), Just(b':')], 0..64)
        ) {
            let _ = sha_256(&value);
            let _ = sha_256(&[b"sha-256=", value.as_slice()].concat());
        }
    }
}
