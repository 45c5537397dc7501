//! TLS of the bench: a certificate for the servers, and the only version and cipher of the clients.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore};

use crate::Result;
use crate::wire::WRITE_BYTES;

/// The version and cipher of all connections, for titles.
pub(crate) const SUITE: &str = "TLS 1.3, AES-128-GCM, X25519, ECDSA P-256";

/// The host in the certificate.
const HOST: &str = "127.0.0.1";

/// Room for encrypted bytes that the socket has not taken: those of one write.
const UNSENT_BYTES: usize = WRITE_BYTES + (64 << 10);

/// Writes a new certificate (ECDSA P-256) and its key to `tls.crt` and `tls.key`, and both to
/// `tls.pem`.
pub(crate) fn create_certificate(directory: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    fs::write(directory.join("tls.pem"), certificate.clone() + &key)?;
    fs::write(directory.join("tls.crt"), certificate)?;
    Ok(fs::write(directory.join("tls.key"), key)?)
}

/// A configuration that accepts only this certificate, and offers one version, cipher and key
/// exchange, so that all servers select the same.
pub(crate) fn client_config(certificate: &Path, resume: bool) -> Result<Arc<ClientConfig>> {
    let provider = CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption =
        if resume { Resumption::in_memory_sessions(16) } else { Resumption::disabled() };
    Ok(Arc::new(config))
}

/// A connection of a client, plain or with TLS.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<Session>),
}

/// A TLS session and its socket, which is read 256 KiB at a time.
pub(crate) struct Session {
    tls: ClientConnection,
    socket: BufReader<TcpStream>,
}

impl Session {
    /// Performs the handshake.
    fn begin(socket: TcpStream, config: Arc<ClientConfig>) -> Result<Self> {
        let mut tls = ClientConnection::new(config, ServerName::try_from(HOST)?)?;
        tls.set_buffer_limit(Some(UNSENT_BYTES));
        let mut socket = BufReader::with_capacity(WRITE_BYTES, socket);
        while tls.is_handshaking() {
            if tls.wants_write() {
                tls.write_tls(socket.get_mut())?;
            } else if tls.read_tls(&mut socket)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            } else {
                tls.process_new_packets()?;
            }
        }
        Ok(Self { tls, socket })
    }

    /// Hands encrypted bytes to the socket.
    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(self.socket.get_mut())?;
        }
        Ok(())
    }
}

impl Connection {
    /// Begins a session, if there is a configuration for one.
    pub(crate) fn begin(socket: TcpStream, config: Option<&Arc<ClientConfig>>) -> Result<Self> {
        Ok(match config {
            None => Self::Plain(socket),
            Some(config) => Self::Tls(Box::new(Session::begin(socket, Arc::clone(config))?)),
        })
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(session) => session.socket.get_ref(),
        }
    }

    /// What its handshake was; none without TLS.
    pub(crate) fn handshake_kind(&self) -> Option<HandshakeKind> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(session) => session.tls.handshake_kind(),
        }
    }

    /// Whether the kernel does not have all bytes that were written.
    pub(crate) fn has_unsent(&self) -> bool {
        matches!(self, Self::Tls(session) if session.tls.wants_write())
    }

    /// Whether received bytes are no longer in the kernel: no event reports them.
    pub(crate) fn has_received(&self) -> bool {
        matches!(self, Self::Tls(session) if !session.socket.buffer().is_empty())
    }
}

impl Read for Connection {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let session = match self {
            Self::Plain(socket) => return socket.read(bytes),
            Self::Tls(session) => session,
        };
        let mut filled = 0;
        loop {
            match session.tls.reader().read(&mut bytes[filled..]) {
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            // What was already received is decrypted before it is returned, at most `bytes`.
            if filled == bytes.len() || filled > 0 && session.socket.buffer().is_empty() {
                return Ok(filled);
            }
            if session.tls.read_tls(&mut session.socket)? == 0 {
                return Ok(filled);
            }
            session.tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let session = match self {
            Self::Plain(socket) => return socket.write(bytes),
            Self::Tls(session) => session,
        };
        session.flush()?;
        let count = session.tls.writer().write(bytes)?;
        match session.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(session) => session.flush(),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}
