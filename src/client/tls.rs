//! TLS for `https` on a non-blocking socket: a partial write is reported, not waited for. A
//! connection that ends without `close_notify` is distinguished from one that was closed (RFC 8446,
//! section 6.1); otherwise an attacker could truncate a body by cutting the connection.

use super::Error;
use crate::splice::copy::{Read, Write};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, InvalidMessage, RootCertStore};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Maximum bytes buffered for sending in user memory.
const BUFFER_BYTES: usize = 256 << 10;

/// The trusted authorities: those of a file, or of the system. They are read once, for the first
/// connection; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    file: Option<PathBuf>,
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Trust {
    /// Trusts the authorities in this PEM file only.
    pub(super) fn file(path: PathBuf) -> Self {
        Self { file: Some(path), config: Arc::default() }
    }

    /// Returns the configuration of TLS.
    ///
    /// # Errors
    /// [`Error::Input`] if the file is unusable, or the system trusts no authority.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(trusted(self.file.as_deref())?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(config))))
    }
}

/// One TLS session and its socket. One thread can read while another one writes: neither waits while
/// it holds the session.
#[derive(Debug)]
pub(crate) struct Tls {
    session: Mutex<ClientConnection>,
    socket: TcpStream,
}

impl Tls {
    /// Creates a session with `host`, which its certificate must name; sends nothing yet.
    ///
    /// # Errors
    /// [`Error::Input`] if the host or the file of authorities is unusable.
    pub(super) fn new(socket: TcpStream, host: &str, trust: &Trust) -> Result<Self, Error> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            Error::Input(format!("'{host}' is not a valid host name for a certificate"))
        })?;
        let mut session = ClientConnection::new(trust.config()?, name).map_err(unusable)?;
        session.set_buffer_limit(Some(BUFFER_BYTES));
        Ok(Self { session: Mutex::new(session), socket })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn session(&self) -> MutexGuard<'_, ClientConnection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts bytes to send; with `more` they can be held back until the next ones.
    pub(super) fn write(&self, bytes: &[u8], more: bool) -> io::Result<Write> {
        let mut session = self.session();
        loop {
            let taken = session.writer().write(bytes)?;
            if more && taken == bytes.len() {
                return Ok(Write::Moved(taken));
            }
            let all_sent = self.flush_session(&mut session)?;
            match taken {
                0 if bytes.is_empty() => return Ok(Write::Moved(0)),
                0 if all_sent => {}
                0 => return Ok(Write::Blocked),
                taken => return Ok(Write::Moved(taken)),
            }
        }
    }

    /// Ends the sent data with a `close_notify` alert (RFC 8446, section 6.1), and the sending side of
    /// the socket.
    #[cfg(feature = "socket")]
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        let mut session = self.session();
        session.send_close_notify();
        // Without it, the peer takes the data to be truncated.
        let _ = self.flush_session(&mut session);
        self.socket.shutdown(std::net::Shutdown::Write)
    }

    /// Flushes; returns whether all accepted bytes have been passed to the kernel.
    pub(super) fn flush(&self) -> io::Result<bool> {
        self.flush_session(&mut self.session())
    }

    fn flush_session(&self, session: &mut ClientConnection) -> io::Result<bool> {
        while session.wants_write() {
            match session.write_tls(&mut &self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads available bytes into `buffer`, which must not be empty.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Read> {
        let mut session = self.session();
        loop {
            match session.reader().read(buffer) {
                Ok(0) => return Ok(Read::Eof),
                Ok(count) => return Ok(Read::Moved(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let why = "the connection was cut (no TLS close_notify)";
                    return Err(io::Error::new(error.kind(), why));
                }
                Err(error) => return Err(error),
            }
            if self.receive(&mut session)?.is_none() {
                return Ok(Read::Blocked);
            }
        }
    }

    /// Advances the handshake without blocking; returns whether it is complete.
    pub(super) fn handshake(&self) -> io::Result<bool> {
        let mut session = self.session();
        while session.is_handshaking() {
            self.flush_session(&mut session)?;
            match self.receive(&mut session)? {
                None => return Ok(false),
                Some(0) => {
                    let why = "the server closed the connection; does it use TLS?";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
                }
                Some(_) => {}
            }
        }
        self.flush_session(&mut session)
    }

    /// Receives records; returns their size in bytes (0: the end), or `None` if there are none now.
    fn receive(&self, session: &mut ClientConnection) -> io::Result<Option<usize>> {
        let count = match session.read_tls(&mut &self.socket) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Err(error) = session.process_new_packets() {
            // Try to send the alert that gives the server the reason.
            let _ = self.flush_session(session);
            return Err(io::Error::new(io::ErrorKind::InvalidData, explain(&error)));
        }
        // Ignore failures: the next send reports them, and the response being read takes
        // precedence.
        let _ = self.flush_session(session);
        Ok(Some(count))
    }
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::network("cannot set up TLS", io::Error::other(error))
}

/// Describes a certificate error, and what to do about it where the client can do something.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls adds to its errors; the others speak for themselves"
)]
pub(crate) fn explain(error: &rustls::Error) -> String {
    use rustls::Error as Tls;
    let certificate = match error {
        Tls::InvalidCertificate(certificate) => certificate,
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => {
            return "the server does not use TLS; try http:// instead of https://".into();
        }
        _ => return error.to_string(),
    };
    match certificate {
        // The signature is also bad if another authority has the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate is self-signed or from an unknown authority; use --cacert FILE to trust it"
                .into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another host name".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired, or the clock of this machine is wrong".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet, or the clock of this machine is wrong".into()
        }
        // An error of webpki, whose type rustls hides.
        CertificateError::Other(inner) if inner.to_string() == "CaUsedAsEndEntity" => {
            "the certificate is for an authority, not for a server; make one with CA:FALSE".into()
        }
        other => format!("invalid certificate: {other}"),
    }
}

/// Loads the authorities of this file, or of the system.
fn trusted(authorities: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    let Some(path) = authorities else {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        return if store.is_empty() {
            let hint = "install ca-certificates, or name a file with --cacert";
            Err(Error::Input(format!("the system trusts no certificate authority; {hint}")))
        } else {
            Ok(store)
        };
    };
    let wrong = |why: String| Error::Input(format!("{}: {why}", path.display()));
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        store.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(wrong("no certificate found; use a PEM file".into()));
    }
    Ok(store)
}
