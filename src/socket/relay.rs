//! Location of the relay: the URL to dial, and the base URL of the APIs.

use crate::client::Url;
use crate::client::commands::exit::{Exit, Failure};
use crate::client::url::shown;

/// The path of a relay where agents connect.
const SOCKET: &str = "socket";

/// The URLs of one relay.
#[derive(Clone, Debug)]
pub(in crate::socket) struct Relay {
    /// URL to dial.
    pub(in crate::socket) socket: Url,
    /// Base URL of its paths.
    pub(in crate::socket) base: Url,
}

impl Relay {
    /// Parses a URL with `http`, `https`, `ws` or `wss`, or a host and port. A `ws` or `wss` URL
    /// with a path is where the agent connects; any other one is the relay itself.
    ///
    /// # Errors
    /// The URL is invalid.
    pub(in crate::socket) fn parse(text: &str) -> Result<Self, Failure> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (scheme, dials) = match scheme.to_ascii_lowercase().as_str() {
            "http" => ("http", false),
            "https" => ("https", false),
            "ws" => ("http", true),
            "wss" => ("https", true),
            _ => {
                let why = "is not a valid URL: expected wss://, ws://, https:// or http://";
                return Err(Failure::new(Exit::Usage, format!("'{}' {why}", shown(text))));
            }
        };
        let url: Url = format!("{scheme}://{rest}").parse()?;
        if dials && rest.contains('/') {
            return Ok(Self { base: above(&url), socket: url });
        }
        Ok(Self { socket: url.below(SOCKET), base: url })
    }
}

/// Returns the base URL of the relay for a URL where an agent connects.
fn above(socket: &Url) -> Url {
    let path = socket.path().trim_end_matches('/');
    let base = path.strip_suffix(SOCKET).filter(|base| base.ends_with('/')).unwrap_or("/");
    Url { target: base.to_owned(), ..socket.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_has_a_socket_url_and_a_base_url() {
        for (text, socket, base) in [
            ("ws://h:1", "http://h:1/socket", "http://h:1/"),
            ("wss://h", "https://h/socket", "https://h/"),
            ("http://h:1", "http://h:1/socket", "http://h:1/"),
            ("https://h/", "https://h/socket", "https://h/"),
            ("h:1", "http://h:1/socket", "http://h:1/"),
            ("http://h/relay", "http://h/relay/socket", "http://h/relay"),
            ("ws://h/relay/socket", "http://h/relay/socket", "http://h/relay/"),
            ("ws://h:9/", "http://h:9/", "http://h:9/"),
            ("WS://h/other", "http://h/other", "http://h/"),
        ] {
            let relay = Relay::parse(text).unwrap();
            assert_eq!(relay.socket.to_string(), socket, "{text}");
            assert_eq!(relay.base.to_string(), base, "{text}");
        }
        for text in ["ftp://h", "ws://", "ws://h:99999"] {
            assert!(Relay::parse(text).unwrap_err().why.contains("not a valid URL"), "{text}");
        }
    }
}
