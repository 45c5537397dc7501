//! What the kernel can encrypt, tried once with connections over loopback: keys that it refused
//! would be lost with their session.

use super::keys::{self, IV_BYTES};
use nix::libc;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{TcpTlsRx, TcpTlsTx, TcpUlp};
use rustls::{CipherSuite, ProtocolVersion};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

/// Maximum time for a connection over loopback, which a firewall may drop.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(100);

/// The suites of both versions by the cipher that the kernel may support.
const SUITES: [([CipherSuite; 3], u16); 3] = [
    (
        [
            CipherSuite::TLS13_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        libc::TLS_CIPHER_AES_GCM_128,
    ),
    (
        [
            CipherSuite::TLS13_AES_256_GCM_SHA384,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ],
        libc::TLS_CIPHER_AES_GCM_256,
    ),
    (
        [
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        libc::TLS_CIPHER_CHACHA20_POLY1305,
    ),
];

/// The supported pairs of a version and a cipher.
static SUPPORTED: OnceLock<Vec<(u16, u16)>> = OnceLock::new();

/// Whether the kernel encrypts TLS. The first call tries, which takes a millisecond.
pub fn kernel_encrypts() -> bool {
    !supported().is_empty()
}

/// Whether the kernel encrypts what this suite of this version needs.
pub fn takes(version: ProtocolVersion, suite: CipherSuite) -> bool {
    let cipher = SUITES.iter().find(|(suites, _)| suites.contains(&suite));
    cipher.is_some_and(|(_, cipher)| supported().contains(&(version.into(), *cipher)))
}

fn supported() -> &'static [(u16, u16)] {
    SUPPORTED.get_or_init(|| {
        let versions = [libc::TLS_1_2_VERSION, libc::TLS_1_3_VERSION];
        let all = versions.iter().flat_map(|version| SUITES.map(|(_, cipher)| (*version, cipher)));
        let mut supported = Vec::new();
        for (version, cipher) in all {
            match is_taken(version, cipher) {
                Ok(true) => supported.push((version, cipher)),
                Ok(false) => {}
                // Without the module there is nothing more to try.
                Err(_) => break,
            }
        }
        supported
    })
}

/// Tries one kind of key; an error: the kernel has no TLS.
fn is_taken(version: u16, cipher_type: u16) -> std::io::Result<bool> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(1)?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.connect_timeout(&listener.local_addr()?, CONNECT_TIMEOUT)?;
    setsockopt(&socket, TcpUlp::default(), b"tls")?;
    let key_bytes = if cipher_type == libc::TLS_CIPHER_AES_GCM_128 { 16 } else { 32 };
    let info = libc::tls_crypto_info { version, cipher_type };
    let Some(key) = keys::of(info, &[0; 32][..key_bytes], [0; IV_BYTES], 0) else {
        return Ok(false);
    };
    let sends = setsockopt(&socket, TcpTlsTx, &key).is_ok();
    Ok(sends && setsockopt(&socket, TcpTlsRx, &key).is_ok())
}
