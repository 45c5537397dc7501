//! TLS for ureq, configured as in the other clients: rustls with ring, and the authorities of the
//! system or of one file.

use crate::client::{Error, Options};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::path::Path;
use std::sync::Arc;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Returns the configuration of `https` connections.
///
/// # Errors
/// [`Error::Input`] if the file of authorities is unusable, or the system trusts no authority.
pub(super) fn tls(options: &Options) -> Result<TlsConfig, Error> {
    let certificates = match &options.authorities {
        Some(path) => of_file(path)?,
        None => of_system()?,
    };
    let roots = certificates.iter().map(|one| Certificate::from_der(one).to_owned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |why: String| Error::Input(format!("{}: {why}", path.display()));
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let certificates: Vec<_> =
        read.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("no certificate found; use a PEM file".into()));
    }
    Ok(certificates)
}

fn of_system() -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        let hint = "install ca-certificates, or name a file with --cacert";
        return Err(Error::Input(format!("the system trusts no certificate authority; {hint}")));
    }
    Ok(found)
}
