//! The keys of a session, as the kernel takes them.

use nix::libc;
use nix::sys::socket::sockopt::TlsCryptoInfo;
use rustls::{ConnectionTrafficSecrets, ProtocolVersion, SupportedCipherSuite};

/// Bytes of a nonce.
pub const IV_BYTES: usize = 12;

/// Bytes of the salt in the nonce of AES-GCM; the rest is explicit in TLS 1.2 (RFC 5288).
const SALT_BYTES: usize = 4;

/// Maximum bytes that one key of AES-GCM encrypts: 2^24 full records (RFC 8446, section 5.5).
const SENDABLE_MAX: u64 = 1 << 38;

/// Returns how many bytes a key of this suite may encrypt.
pub fn sendable(suite: SupportedCipherSuite) -> u64 {
    let common = match suite {
        SupportedCipherSuite::Tls12(suite) => &suite.common,
        SupportedCipherSuite::Tls13(suite) => &suite.common,
    };
    if common.confidentiality_limit == u64::MAX { u64::MAX } else { SENDABLE_MAX }
}

/// Returns the key that the relay sends with. `None`: of an unknown suite.
pub fn sending(
    version: ProtocolVersion,
    (number, secrets): &(u64, ConnectionTrafficSecrets),
) -> Option<TlsCryptoInfo> {
    let gcm = !matches!(secrets, ConnectionTrafficSecrets::Chacha20Poly1305 { .. });
    info(version, *number, secrets, gcm && version == ProtocolVersion::TLSv1_2)
}

/// Returns the key that the client sends with. `None`: of an unknown suite.
pub fn receiving(
    version: ProtocolVersion,
    (number, secrets): &(u64, ConnectionTrafficSecrets),
) -> Option<TlsCryptoInfo> {
    info(version, *number, secrets, false)
}

fn info(
    version: ProtocolVersion,
    number: u64,
    secrets: &ConnectionTrafficSecrets,
    counted: bool,
) -> Option<TlsCryptoInfo> {
    let (cipher_type, key, iv) = match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (libc::TLS_CIPHER_AES_GCM_128, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (libc::TLS_CIPHER_AES_GCM_256, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
            (libc::TLS_CIPHER_CHACHA20_POLY1305, key, iv)
        }
        _ => return None,
    };
    let mut iv: [u8; IV_BYTES] = iv.as_ref().try_into().ok()?;
    if counted {
        skip_used(&mut iv);
    }
    of(libc::tls_crypto_info { version: version.into(), cipher_type }, key.as_ref(), iv, number)
}

/// Returns a key, with the number of the next record. `None`: the length of the key is wrong.
pub fn of(
    info: libc::tls_crypto_info,
    key: &[u8],
    iv: [u8; IV_BYTES],
    number: u64,
) -> Option<TlsCryptoInfo> {
    let rec_seq = number.to_be_bytes();
    let [a, b, c, d, rest @ ..] = iv;
    let (salt, rest) = ([a, b, c, d], rest);
    Some(match info.cipher_type {
        libc::TLS_CIPHER_AES_GCM_128 => {
            let key = key.try_into().ok()?;
            let info = libc::tls12_crypto_info_aes_gcm_128 { info, iv: rest, key, salt, rec_seq };
            TlsCryptoInfo::Aes128Gcm(info)
        }
        libc::TLS_CIPHER_AES_GCM_256 => {
            let key = key.try_into().ok()?;
            let info = libc::tls12_crypto_info_aes_gcm_256 { info, iv: rest, key, salt, rec_seq };
            TlsCryptoInfo::Aes256Gcm(info)
        }
        _ => {
            let (key, salt) = (key.try_into().ok()?, []);
            let info = libc::tls12_crypto_info_chacha20_poly1305 { info, iv, key, salt, rec_seq };
            TlsCryptoInfo::Chacha20Poly1305(info)
        }
    })
}

/// Changes the explicit part of a nonce of AES-GCM.
///
/// From there the kernel counts upwards in TLS 1.2, while rustls combined it with the number of each
/// record (XOR): the kernel's first record would get the nonce of an earlier one, which reveals the
/// key. The highest bit differs from all of those, and the cleared one after it keeps a carry away.
fn skip_used(iv: &mut [u8; IV_BYTES]) {
    iv[SALT_BYTES] = (iv[SALT_BYTES] ^ 0x80) & !0x40;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_nonce_of_the_handshake_is_used_again() {
        for first in [0u64, 1, u64::MAX, u64::MAX >> 1, 1 << 63, 0x3fff_ffff_ffff_ffff] {
            let mut iv = [7; IV_BYTES];
            iv[SALT_BYTES..].copy_from_slice(&first.to_be_bytes());
            skip_used(&mut iv);
            assert_eq!(iv[..SALT_BYTES], [7; SALT_BYTES]);
            let start = u64::from_be_bytes(iv[SALT_BYTES..].try_into().unwrap());
            for number in 0..1000 {
                let used = first ^ number;
                assert!(used.wrapping_sub(start) > 1 << 61, "{first:x} {number}");
            }
        }
    }
}
