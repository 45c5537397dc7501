//! Proxies from the environment, with the variables that curl reads: `http_proxy` (lower case only,
//! since in a CGI environment `HTTP_PROXY` holds the `Proxy` field of a request), `https_proxy` or
//! `HTTPS_PROXY`, `all_proxy` or `ALL_PROXY`, and `no_proxy` or `NO_PROXY`.

use super::Error;
use super::url::{Scheme, Url};
use std::net::IpAddr;

/// The choice of a proxy for each server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proxies {
    http: Option<String>,
    https: Option<String>,
    /// Names and networks that are connected to directly.
    direct: Vec<String>,
}

impl Proxies {
    /// Reads the configuration from the environment.
    pub(crate) fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| variable(name).filter(|value| !value.trim().is_empty()))
        };
        let all = first(&["all_proxy", "ALL_PROXY"]);
        let direct = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Self {
            http: first(&["http_proxy"]).or_else(|| all.clone()),
            https: first(&["https_proxy", "HTTPS_PROXY"]).or(all),
            direct: direct
                .split([',', ' '])
                .map(|entry| entry.trim_start_matches('.').trim_matches(['[', ']']))
                .filter(|entry| !entry.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        }
    }

    /// Returns the proxy for this URL, if one is configured.
    ///
    /// # Errors
    /// [`Error::Input`] if the configured URL is not a valid HTTP proxy.
    pub(crate) fn for_url(&self, url: &Url) -> Result<Option<Url>, Error> {
        let chosen = match url.scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        let Some(text) = chosen.as_ref().filter(|_| !self.is_direct(&url.host)) else {
            return Ok(None);
        };
        let text = if text.contains("://") { text.clone() } else { format!("http://{text}") };
        let proxy = text.parse::<Url>().ok().filter(|proxy| proxy.scheme == Scheme::Http);
        proxy.map(Some).ok_or_else(|| {
            let shown = text.rsplit('@').next().unwrap_or_default();
            Error::Input(format!(
                "the proxy '{shown}' of the environment is not supported; name one that begins \
                 with http://, or none (no_proxy=*)"
            ))
        })
    }

    /// Whether a host is listed, below a listed domain, or in a listed network.
    fn is_direct(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        self.direct.iter().any(|entry| match (address, entry.parse::<ipnet::IpNet>()) {
            _ if entry == "*" || *entry == host => true,
            (Some(address), Ok(network)) => network.contains(&address),
            (Some(_), Err(_)) | (None, Ok(_)) => false,
            (None, Err(_)) => {
                host.strip_suffix(entry.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::from_variables(|name| {
            variables.iter().find(|(there, _)| *there == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let url = proxies(variables).for_url(&url.parse().unwrap()).unwrap();
        url.map(|url| url.host_and_port())
    }

    #[test]
    fn the_scheme_chooses_the_proxy() {
        for (name, variables, http, https) in [
            ("none", &[][..], None, None),
            ("http", &[("http_proxy", "p:1")], Some("p:1"), None),
            ("http in capitals", &[("HTTP_PROXY", "p:1")], None, None),
            ("https", &[("HTTPS_PROXY", "http://p:2/")], None, Some("p:2")),
            ("all", &[("ALL_PROXY", "p")], Some("p:80"), Some("p:80")),
            (
                "one before all",
                &[("all_proxy", "p"), ("https_proxy", "q")],
                Some("p:80"),
                Some("q:80"),
            ),
            ("empty", &[("http_proxy", "")], None, None),
        ] {
            assert_eq!(chosen(variables, "http://h").as_deref(), http, "{name}");
            assert_eq!(chosen(variables, "https://h").as_deref(), https, "{name}");
        }
    }

    #[test]
    fn listed_hosts_are_reached_directly() {
        for (list, host, direct) in [
            ("a.example", "a.example", true),
            ("a.example", "b.a.example", true),
            ("a.example", "ba.example", false),
            (".a.example , x", "A.EXAMPLE", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("::1", "[::1]", true),
            ("[::1]", "[::1]", true),
            ("., ,", "h", false),
            ("10.0.0.1", "h.10.0.0.1.example", false),
            ("*", "anything", true),
            ("0.1", "127.0.0.1", false),
        ] {
            let variables = [("http_proxy", "p"), ("no_proxy", list)];
            let url = format!("http://{host}/");
            assert_eq!(chosen(&variables, &url).is_none(), direct, "{list} {host}");
        }
    }

    #[test]
    fn an_unsupported_proxy_scheme_is_refused() {
        let url = "http://h".parse().unwrap();
        let error = proxies(&[("all_proxy", "socks5://u:secret@p")]).for_url(&url).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("http://") && !error.contains("secret"), "{error}");
    }
}
