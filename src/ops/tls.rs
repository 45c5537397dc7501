//! The settings of TLS, and the files they name: read with the configuration, never by the loop.

mod acceptor;
mod certificate;
mod files;

pub use acceptor::Acceptor;
pub use certificate::{Certificate, subject};
pub use files::{Authorities, Chain, Key};

use super::units;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;

/// The settings whose values are read from files.
pub(super) const FILES: [&str; 3] = ["tls-cert", "tls-key", "tls-client-ca"];

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// A connection without a certificate is served, too.
    Optional,
    /// A connection without a certificate is refused.
    #[default]
    Required,
}

/// TLS on listeners of its own.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub struct TlsSettings {
    /// Address and port for HTTPS (TLS 1.2 and 1.3), in addition; it needs tls-cert and tls-key;
    /// repeatable
    #[arg(long, value_name = "ADDR:PORT", value_parser = units::listen)]
    pub tls_listen: Vec<SocketAddr>,

    /// Certificate of the relay and its intermediates (PEM), reloaded with the configuration;
    /// repeatable: a client gets the one for the host it names, else the first
    #[arg(long, value_name = "FILE", value_parser = Chain::read)]
    pub tls_cert: Vec<Chain>,

    /// Private key (PEM) of the certificate in the same position; repeatable
    #[arg(long, value_name = "FILE", value_parser = Key::read)]
    pub tls_key: Vec<Key>,

    /// Authorities (PEM) of client certificates; without it clients need none
    #[arg(long, value_name = "FILE", value_parser = Authorities::read)]
    pub tls_client_ca: Option<Authorities>,

    /// Whether clients need a certificate of tls-client-ca: optional or required
    #[arg(long, value_name = "MODE", default_value = "required", hide_possible_values = true)]
    pub tls_client_auth: ClientAuth,

    /// Maximum concurrent TLS handshakes, half of them of one address; further connections are closed
    #[arg(long, value_name = "N", default_value = "512", value_parser = units::count(1))]
    pub max_handshakes: usize,

    /// Redirect requests on the plain listeners to HTTPS (308)
    #[arg(
        long, default_value = "false", default_missing_value = "true", num_args = 0..=1,
        require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL"
    )]
    pub http_redirect: bool,

    /// What the files amount to.
    #[arg(skip)]
    acceptor: Option<Acceptor>,
}

impl TlsSettings {
    /// Returns what accepts connections, if any certificate is configured.
    pub fn acceptor(&self) -> Option<&Acceptor> {
        self.acceptor.as_ref()
    }

    /// Returns the certificates by name, and the seconds until each expires; negative once it has.
    pub fn seconds_left(&self, unix_s: i64) -> Vec<(String, i64)> {
        let certificates = self.acceptor.iter().flat_map(Acceptor::certificates);
        certificates.map(|one| (one.label().to_owned(), one.seconds_left(unix_s))).collect()
    }

    /// Builds what accepts connections from the files.
    ///
    /// # Errors
    /// Files that do not belong together, or a setting without another that it needs.
    pub fn prepare(&mut self) -> Result<(), String> {
        if self.tls_cert.len() != self.tls_key.len() {
            return Err(format!(
                "{} tls-cert and {} tls-key: each certificate needs its key, in the same position",
                self.tls_cert.len(),
                self.tls_key.len()
            ));
        }
        if self.tls_cert.is_empty() {
            for (name, given) in [
                ("tls-listen", !self.tls_listen.is_empty()),
                ("tls-client-ca", self.tls_client_ca.is_some()),
                ("http-redirect", self.http_redirect),
            ] {
                if given {
                    return Err(format!("{name} needs tls-cert and tls-key"));
                }
            }
        }
        self.acceptor = if self.tls_cert.is_empty() { None } else { Some(Acceptor::new(self)?) };
        Ok(())
    }

    /// Takes the files that were read with these settings; returns which of [`FILES`] differ from
    /// those of the `effective` ones, of which unchanged ones keep their session tickets valid.
    pub(super) fn adopt(&mut self, files: Self, effective: &Self) -> Vec<&'static str> {
        let Self { tls_cert, tls_key, tls_client_ca, acceptor, .. } = files;
        (self.tls_cert, self.tls_key, self.tls_client_ca) = (tls_cert, tls_key, tls_client_ca);
        // Without a certificate, listeners that stay open until a restart keep the last one.
        let changed = acceptor.is_some() && acceptor != effective.acceptor;
        self.acceptor = if changed { acceptor } else { effective.acceptor.clone() };
        let differs = [
            self.tls_cert != effective.tls_cert,
            self.tls_key != effective.tls_key,
            self.tls_client_ca != effective.tls_client_ca,
        ];
        FILES
            .into_iter()
            .zip(differs)
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}
