//! Without the feature `tls` the relay has no settings of TLS, and accepts none.

use clap::Args;
use std::net::SocketAddr;

/// TLS on listeners of its own.
#[derive(Args, Clone, Debug, Default)]
pub struct TlsSettings {
    /// None.
    #[arg(skip)]
    pub tls_listen: Vec<SocketAddr>,
    /// None.
    #[arg(skip)]
    pub max_handshakes: usize,
    /// Off.
    #[arg(skip)]
    pub http_redirect: bool,
}

/// What accepts TLS connections.
#[derive(Clone, Debug)]
pub enum Acceptor {}

/// The settings whose values are read from files.
pub(super) const FILES: [&str; 0] = [];

impl TlsSettings {
    /// Returns none.
    pub fn acceptor(&self) -> Option<&Acceptor> {
        None
    }

    /// Returns none.
    pub fn seconds_left(&self, _: i64) -> Vec<(String, i64)> {
        Vec::new()
    }

    /// Does nothing.
    ///
    /// # Errors
    /// Never.
    pub fn prepare(&mut self) -> Result<(), String> {
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "the signature is that of the feature")]
    pub(super) fn adopt(&mut self, _: Self, _: &Self) -> Vec<&'static str> {
        Vec::new()
    }
}
