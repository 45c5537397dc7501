//! TLS for plain servers, by a third-party implementation (Python's `ssl`, which is OpenSSL), with
//! certificates of a test authority.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use rdv::client::Options;
use tempfile::TempDir;

use super::clock::eventually;
use super::process::Process;

/// A test certificate authority.
pub(crate) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
    /// How many certificates it has signed.
    signed: AtomicUsize,
}

/// A server's certificate and key, as files.
pub(crate) struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

/// A TLS proxy for a plain server.
pub(crate) struct Terminator {
    port: u16,
    _process: Process,
    _input: std::io::PipeWriter,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        Authority::named("an authority of tests")
    }

    pub(crate) fn named(name: &str) -> Authority {
        let directory = tempfile::tempdir().expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(directory.path().join("authority.pem"), certificate.pem())
            .expect("a certificate");
        Authority { directory, issuer: Issuer::new(params, key), signed: AtomicUsize::new(0) }
    }

    /// The file of its certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// Options that trust only this authority.
    pub(crate) fn trusted(&self) -> Options {
        let mut options = Options::default();
        options.trust_only(self.file());
        options
    }

    /// A certificate for this name or address.
    pub(crate) fn server(&self, name: &str) -> Identity {
        self.signed(&CertificateParams::new(vec![name.to_owned()]).expect("a certificate"))
    }

    /// A certificate for a client with this common name.
    pub(crate) fn client(&self, name: &str) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.signed(&params)
    }

    /// The same with custom certificate options.
    pub(crate) fn signed(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let number = self.signed.fetch_add(1, Ordering::Relaxed);
        let place = |kind: &str| self.directory.path().join(format!("{number}.{kind}"));
        let identity = Identity { certificate: place("pem"), key: place("key") };
        std::fs::write(&identity.certificate, certificate.pem()).expect("a certificate");
        std::fs::write(&identity.key, key.serialize_pem()).expect("a certificate");
        identity
    }
}

impl Identity {
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &Path {
        &self.key
    }

    /// Copies it into another directory, as `relay.crt` and `relay.key`.
    pub(crate) fn copy_to(&self, directory: &Path) {
        for (from, name) in [(&self.certificate, "relay.crt"), (&self.key, "relay.key")] {
            std::fs::copy(from, directory.join(name)).expect("a copy");
        }
    }
}

impl Terminator {
    /// A proxy for a server at this address; `cut` closes connections without a `close_notify`.
    pub(crate) fn start(identity: &Identity, server: SocketAddr, flags: &[&str]) -> Terminator {
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/tls.py"));
        command.args([&identity.certificate, &identity.key]);
        command.arg(server.to_string()).args(flags);
        let (input, writer) = std::io::pipe().expect("a pipe");
        let mut process = Process::reading(command, Stdio::from(input));
        let port = eventually("TLS listens", || {
            assert!(!process.ended(), "{}", process.stderr());
            process.stdout().trim_end().parse().ok()
        });
        Terminator { port, _process: process, _input: writer }
    }

    pub(crate) fn url(&self) -> String {
        self.url_of("localhost")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub(crate) fn url_of(&self, host: &str) -> String {
        format!("https://{host}:{}/files", self.port)
    }
}
