//! The API as users type it: a port, a host with a port, a URL, or a Unix socket.

use crate::client::commands::exit::{Exit, Failure};
use crate::client::url::shown;

/// Returns the path of a Unix socket, `unix:/PATH`.
pub(super) fn unix_path(text: &str) -> Option<&str> {
    text.strip_prefix("unix:").filter(|path| path.starts_with('/'))
}

/// Returns the URL of an API. A port alone is one of 127.0.0.1, and `http://` can be omitted before
/// a host with a port; without the port it could be a name whose API is missing. A Unix socket is
/// `unix:/PATH`.
///
/// # Errors
/// The text is none of these.
pub(super) fn api_url(text: &str) -> Result<String, Failure> {
    if text.contains("://") || unix_path(text).is_some() {
        return Ok(text.to_owned());
    }
    let authority = text.split('/').next().unwrap_or_default();
    let (host, port) = authority.rsplit_once(':').unwrap_or(("", authority));
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        let why =
            "is not a valid address of an API; use PORT, HOST:PORT, https://HOST or unix:/PATH";
        return Err(Failure::new(Exit::Usage, format!("'{}' {why}", shown(text))));
    }
    if host.is_empty() {
        return Ok(format!("http://127.0.0.1:{}", text.trim_start_matches(':')));
    }
    Ok(format!("http://{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_and_a_host_with_one_are_urls() {
        for (text, url) in [
            ("8000", "http://127.0.0.1:8000"),
            (":8000", "http://127.0.0.1:8000"),
            ("8000/base", "http://127.0.0.1:8000/base"),
            (":8000/base", "http://127.0.0.1:8000/base"),
            ("localhost:8000", "http://localhost:8000"),
            ("things.example:80/a:b", "http://things.example:80/a:b"),
            ("[::1]:8000", "http://[::1]:8000"),
            ("http://h", "http://h"),
            ("https://h", "https://h"),
            ("unix:/run/a:b", "unix:/run/a:b"),
            ("unix:8000", "http://unix:8000"),
        ] {
            assert_eq!(api_url(text).unwrap(), url, "{text}");
        }
        for text in ["", ":", "billing", "h:", "h:http", "/8000", "mailto:x"] {
            let failure = api_url(text).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.why.contains("HOST:PORT"), "{text}");
        }
    }
}
