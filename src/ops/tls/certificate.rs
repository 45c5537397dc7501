//! What the relay has to know of a certificate: the names it is for, and its last day.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// One of the relay's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The DNS names it is for, in lower case; a leading `*.` covers one label.
    names: Vec<String>,
    /// Its subject, such as `CN=relay.example`.
    subject: String,
    /// When it expires, in seconds since 1970.
    not_after_s: i64,
}

impl Certificate {
    /// Reads the first certificate of a chain.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der)
            .map_err(|error| format!("the first certificate is not valid: {error}"))?;
        let mut names = Vec::new();
        if let Ok(Some(alternative)) = parsed.subject_alternative_name() {
            for name in &alternative.value.general_names {
                if let GeneralName::DNSName(name) = name {
                    names.push(name.to_ascii_lowercase());
                }
            }
        }
        Ok(Self {
            names,
            subject: parsed.subject().to_string(),
            not_after_s: parsed.validity().not_after.timestamp(),
        })
    }

    /// Whether it is for this host, in lower case.
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix('*') {
            // The asterisk covers exactly one label (RFC 9525, section 6.3).
            Some(parent) => host.find('.').is_some_and(|dot| dot > 0 && host[dot..] == *parent),
            None => name == host,
        })
    }

    /// Returns what it is called in metrics and messages: its first name, else its subject.
    pub fn label(&self) -> &str {
        self.names.first().unwrap_or(&self.subject)
    }

    /// Returns the time until it expires in seconds; negative once it has.
    pub fn seconds_left(&self, unix_s: i64) -> i64 {
        self.not_after_s.saturating_sub(unix_s)
    }
}

/// Returns the subject of a client certificate, such as `CN=ci, O=Example`.
pub fn subject(der: &CertificateDer<'_>) -> Option<Box<str>> {
    X509Certificate::from_der(der).ok().map(|(_, parsed)| parsed.subject().to_string().into())
}
