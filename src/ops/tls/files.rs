//! PEM files: certificates, private keys, authorities. Errors name the file, never its contents.

use crate::ops::cause;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

/// Maximum size of a file: a thousand certificates.
const FILE_MAX: u64 = 4 << 20;

/// The supported forms of a private key.
const KEY_FORMS: &str = "PEM, not encrypted: PKCS#8, PKCS#1 or SEC1";

/// A certificate and its intermediates.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain {
    path: Arc<str>,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// A private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    path: Arc<str>,
    pub(super) key: Arc<PrivateKeyDer<'static>>,
}

/// Authorities of client certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities {
    path: Arc<str>,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

impl Chain {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Reads a file of at least one certificate.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn read(path: &str) -> Result<Self, String> {
        Ok(Self { path: path.into(), certificates: certificates(path)? })
    }
}

impl Authorities {
    /// Reads a file of at least one certificate.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn read(path: &str) -> Result<Self, String> {
        Ok(Self { path: path.into(), certificates: certificates(path)? })
    }

    /// Returns them as a store.
    pub(super) fn store(&self) -> Result<RootCertStore, String> {
        let mut store = RootCertStore::empty();
        for certificate in &self.certificates {
            store
                .add(certificate.clone())
                .map_err(|error| format!("{}: not a valid authority: {error}", self.path))?;
        }
        Ok(store)
    }
}

impl Key {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Reads a file with one private key: PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub fn read(path: &str) -> Result<Self, String> {
        let key = PrivateKeyDer::from_pem_slice(&bytes(path)?).map_err(|error| {
            if matches!(error, pem::Error::NoItemsFound) {
                return format!("{path}: no private key that can be used ({KEY_FORMS})");
            }
            format!("{path}: {error}")
        })?;
        Ok(Self { path: path.into(), key: Arc::new(key) })
    }
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path)?).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!("{path}: no certificate (PEM)")),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{path}: {error}")),
    }
}

fn bytes(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{path}: {}", cause(&error)))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(format!("{path}: at most {FILE_MAX} bytes are read"));
    }
    Ok(bytes)
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({})", self.path)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.path)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.path)
    }
}
