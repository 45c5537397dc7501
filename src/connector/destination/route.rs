//! The shared settings of all connections to one URL: proxy, authorities, timeouts.

use super::http_sender::HttpSender;
use super::options::DestinationOptions;
use crate::client::url::{Scheme, segment};
use crate::client::{Error, Url};
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::TlsConfig;
use ureq::{Agent, Proxy};

/// Maximum age of an idle connection. Whether the server has closed it is checked before use.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// The shared settings of the senders to one URL; created once, because it reads certificates.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) url: Url,
    pub(super) options: Arc<DestinationOptions>,
    proxy: Option<Proxy>,
    tls: Option<TlsConfig>,
}

impl Route {
    /// # Errors
    /// [`Error::Input`] if the proxy or the authorities are unusable.
    pub(super) fn new(url: Url, options: DestinationOptions) -> Result<Self, Error> {
        let proxy = options.client.proxies.for_url(&url)?.map(|proxy| through(&proxy));
        let tls = match url.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(super::trust::tls(&options.client)?),
        };
        let proxy = proxy.transpose()?;
        Ok(Self { url, options: Arc::new(options), proxy, tls })
    }

    /// Creates a sender with its own connection.
    pub(super) fn sender(&self) -> HttpSender {
        let options = &self.options;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(crate::client::USER_AGENT)
            .accept_encoding("")
            .proxy(self.proxy.clone())
            .timeout_global(Some(options.timeout))
            .timeout_connect(Some(options.client.connect_timeout))
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE_MAX);
        if let Some(tls) = &self.tls {
            config = config.tls_config(tls.clone());
        }
        let agent = config.build().new_agent();
        HttpSender::new(agent, self.url.clone(), Arc::clone(options))
    }
}

fn through(proxy: &Url) -> Result<Proxy, Error> {
    let credentials = proxy.credentials.as_ref().map_or(String::new(), |credentials| {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        format!("{}:{}@", segment(user), segment(password))
    });
    Proxy::new(&format!("http://{credentials}{}", proxy.host_and_port()))
        .map_err(|error| Error::Input(format!("the proxy {proxy} is not usable: {error}")))
}
