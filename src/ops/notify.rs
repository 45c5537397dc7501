//! The settings of notifications about ended streams.

use super::private_file;
use super::settings::is_in;
#[cfg(feature = "client")]
use super::settings::network;
use crate::http::webhook::SigningKey;
use clap::Args;
use ipnet::IpNet;
use std::net::IpAddr;

/// Maximum size of the file of the secret, in bytes.
const SECRET_MAX_BYTES: u64 = 4096;

/// Notifications. Without the feature `client` none can be sent, and no setting exists.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Notifications")]
pub struct NotifySettings {
    /// File of the secret that signs notifications (Standard Webhooks), whsec_BASE64 or any text,
    /// readable by its owner only; without it notify_url is refused
    #[allow(clippy::doc_markdown, reason = "this is the text of --help")]
    #[cfg_attr(feature = "client", arg(long, value_name = "FILE"))]
    #[cfg_attr(not(feature = "client"), arg(skip))]
    pub notify_secret_file: Option<String>,

    /// Network with special addresses, such as private ones (10.0.0.0/8) or loopback, that
    /// notifications may be sent to; repeatable
    #[cfg_attr(feature = "client", arg(long, value_name = "CIDR", value_parser = network))]
    #[cfg_attr(not(feature = "client"), arg(skip))]
    pub notify_allow: Vec<IpNet>,

    /// Accept notify_url without a token with the scope notify
    #[allow(clippy::doc_markdown, reason = "this is the text of --help")]
    #[cfg_attr(feature = "client", arg(
        long, default_value = "false", default_missing_value = "true", num_args = 0..=1,
        require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL"
    ))]
    #[cfg_attr(not(feature = "client"), arg(skip))]
    pub open_notify: bool,
}

impl NotifySettings {
    /// Whether notifications are sent.
    pub fn is_on(&self) -> bool {
        self.notify_secret_file.is_some()
    }

    /// Whether the operator allowed this address, although it is special.
    pub fn allows(&self, address: IpAddr) -> bool {
        is_in(&self.notify_allow, address)
    }

    /// Reads the secret; `None`: no notifications are sent.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub fn key(&self) -> Result<Option<SigningKey>, String> {
        let Some(path) = &self.notify_secret_file else { return Ok(None) };
        let text = private_file::read(path, "a secret", SECRET_MAX_BYTES)?;
        let key = SigningKey::new(text.trim_end_matches(['\r', '\n']));
        key.map(Some).map_err(|why| format!("{path}: {why}"))
    }
}
