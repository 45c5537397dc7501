//! The PROXY protocol: the verdict does not depend on how the bytes arrive, a header is no longer
//! than its bound, and one written here is read back, unless its checksum does not match.

use super::choices::Choices;
use crate::http::proxy_protocol::{MAX_BYTES, ProxyHeader, parse};
use std::net::{Ipv4Addr, SocketAddr};

/// Noise after the beginning of a header, or a header of version 2 and a change to it.
pub fn proxy_protocol(data: &[u8]) {
    let mut choices = Choices::new(data);
    let beginnings = [&b""[..], b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00"];
    match choices.below(beginnings.len() + 1) {
        kind if kind < beginnings.len() => {
            check_splits(&[beginnings[kind], choices.rest()].concat());
        }
        _ => check_composed(&mut choices),
    }
}

/// Checks that the verdict is that on the shortest beginning that has one.
fn check_splits(bytes: &[u8]) {
    let verdict = parse(bytes);
    let first = (0..=bytes.len()).map(|len| (len, parse(&bytes[..len])));
    match first.into_iter().find(|(_, found)| *found != Ok(None)) {
        Some((len, found)) => {
            assert_eq!(found, verdict, "after {len} bytes");
            assert!(len <= MAX_BYTES, "a verdict after {len} bytes");
            assert!(!matches!(found, Ok(Some(header)) if header.len != len), "{len} bytes");
        }
        None => assert_eq!(verdict, Ok(None)),
    }
}

/// Writes a header, reads it, and reads it again with a changed address.
fn check_composed(choices: &mut Choices<'_>) {
    let address = Ipv4Addr::from([0; 4].map(|_: u8| choices.byte()));
    let id = choices.bytes(128);
    let mut block = [&address.octets()[..], &[127, 0, 0, 1, 0, 7, 0, 80]].concat();
    block.extend([&[5, 0, len(id)][..], id, &[3, 0, 4]].concat());
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00".to_vec();
    header.push(len(&block) + 4);
    header.extend(block);
    let sum = crc32c(&[&header[..], &[0; 4]].concat());
    header.extend(sum.to_be_bytes());
    check_splits(&header);
    let Ok(Some(ProxyHeader { client: Some(client), len })) = parse(&header) else {
        panic!("{} is not read", header.escape_ascii())
    };
    assert_eq!(client.address, SocketAddr::from((address, 7)));
    assert_eq!(client.unique_id.as_deref(), Some(id));
    assert_eq!(len, header.len());
    header[16 + choices.below(12)] ^= 1 << choices.below(8);
    assert!(parse(&header).is_err(), "a changed address passes its checksum");
}

#[allow(clippy::cast_possible_truncation, reason = "at most 128 and a few bytes")]
fn len(bytes: &[u8]) -> u8 {
    bytes.len() as u8
}

/// Returns the CRC-32C by polynomial division of the reflected message, as in its definition.
fn crc32c(bytes: &[u8]) -> u32 {
    let bits = bytes.iter().flat_map(|byte| (0..8).map(move |at| u64::from(byte >> at & 1)));
    let mut register = u64::from(u32::MAX);
    for bit in bits {
        register <<= 1;
        if (register >> 32 ^ bit) & 1 == 1 {
            register ^= 0x1_1edc_6f41;
        }
        register &= u64::from(u32::MAX);
    }
    #[allow(clippy::cast_possible_truncation, reason = "32 bits are left")]
    let register = register as u32;
    !register.reverse_bits()
}
