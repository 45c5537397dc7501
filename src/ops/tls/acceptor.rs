//! What accepts TLS connections: certificates by name, session tickets, client certificates.

use super::{Certificate, ClientAuth, TlsSettings};
use rustls::crypto::ring;
use rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerConfig, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// What accepts TLS connections. Two are equal if they were built from the same files.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    certificates: Arc<[Certificate]>,
    /// The digest of all files and settings it was built from.
    digest: [u8; 32],
}

impl Acceptor {
    /// Builds it from certificates and keys of equal number, at least one.
    ///
    /// # Errors
    /// A file that cannot be used, or two that do not belong together.
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let mut keys = Vec::new();
        let mut digest = Sha256::new();
        for (chain, key) in settings.tls_cert.iter().zip(&settings.tls_key) {
            let certificate = Certificate::read(&chain.certificates[0])
                .map_err(|why| format!("{}: {why}", chain.path()))?;
            let certified =
                CertifiedKey::from_der(chain.certificates.clone(), key.key.clone_key(), &provider)
                    .map_err(|error| unusable(chain.path(), key.path(), &error))?;
            chain.certificates.iter().for_each(|certificate| digest.update(certificate));
            digest.update(key.key.secret_der());
            keys.push((certificate, Arc::new(certified)));
        }
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?;
        let builder = match &settings.tls_client_ca {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                authorities.certificates.iter().for_each(|one| digest.update(one));
                let store = Arc::new(authorities.store()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(store, provider);
                let verifier = match settings.tls_client_auth {
                    ClientAuth::Required => verifier,
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build().map_err(|error| error.to_string())?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        digest.update([settings.tls_client_auth as u8]);
        let certificates = keys.iter().map(|(certificate, _)| certificate.clone()).collect();
        let mut config = builder.with_cert_resolver(Arc::new(ByName(keys)));
        // The kernel may take the keys.
        config.enable_secret_extraction = true;
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        // A ticket holds the session, encrypted, so that a resumption needs no memory here.
        let tickets = ring::Ticketer::new().map_err(|error| error.to_string())?;
        config.ticketer = Arc::new(ShortTickets(tickets));
        Ok(Self { config: Arc::new(config), certificates, digest: digest.finalize().into() })
    }

    /// Returns the configuration of a new session.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Returns the certificates, in the order of the settings.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }
}

/// Explains why a certificate and its key cannot be used.
fn unusable(chain: &str, key: &str, error: &rustls::Error) -> String {
    if matches!(error, rustls::Error::InconsistentKeys(_)) {
        return format!("{key} is not the key of the certificate in {chain}");
    }
    format!("{key}: not a private key that can be used: {error}")
}

impl PartialEq for Acceptor {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.certificates.iter().map(Certificate::label)).finish()
    }
}

/// Longest session in a ticket, in bytes. It includes the client's certificates: a usual chain has 2
/// to 5 KiB. The client returns the ticket in its next hello, which so fits into one record.
const SESSION_MAX: usize = 8 << 10;

/// Session tickets, but none with large certificates of a client. TLS 1.3 sends two tickets at once,
/// and clients that buffer 64 KiB of a handshake (rustls) fail at two of 32 KiB.
#[derive(Debug)]
struct ShortTickets(Arc<dyn ProducesTickets>);

impl ProducesTickets for ShortTickets {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if plain.len() <= SESSION_MAX { self.0.encrypt(plain) } else { None }
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

/// Chooses the certificate of a connection.
#[derive(Debug)]
struct ByName(Vec<(Certificate, Arc<CertifiedKey>)>);

impl ResolvesServerCert for ByName {
    /// Returns the first certificate for the host that the client names and with a key that it
    /// supports; for a client without a name, or with an unknown one, the first that it supports.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name().map(str::to_ascii_lowercase);
        let supported =
            |key: &CertifiedKey| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let named = host.and_then(|host| {
            self.0.iter().find(|(certificate, key)| certificate.covers(&host) && supported(key))
        });
        // One that it does not support ends the handshake with an alert.
        let chosen = named
            .or_else(|| self.0.iter().find(|(_, key)| supported(key)))
            .or_else(|| self.0.first());
        chosen.map(|(_, key)| Arc::clone(key))
    }
}
