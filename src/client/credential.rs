//! Credentials for a relay. They must not be on a command line, which every user of the machine can
//! read: they are in a file or in an environment variable.

use super::commands::exit::{Exit, Failure};
use super::url::{Scheme, Url};
use std::fmt;
use std::path::Path;

/// The variable that holds the token of the relay if no file is given.
const TOKEN_VARIABLE: &str = "RDV_TOKEN";

/// The variable of earlier versions.
const FORMER_VARIABLE: &str = "RDV_SOCKET_TOKEN";

/// Returns the trimmed content of the file; without a file, the value of the variable, if set.
///
/// # Errors
/// The file cannot be read, or is empty.
pub(crate) fn credential(file: Option<&Path>, variable: &str) -> Result<Option<String>, Failure> {
    let Some(file) = file else {
        return Ok(std::env::var(variable).ok().filter(|value| !value.is_empty()));
    };
    let shown = file.display();
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| Failure::local(format!("cannot read {shown}"), error))?;
    match text.trim() {
        "" => Err(Failure::new(Exit::Usage, format!("{shown} is empty"))),
        text => Ok(Some(text.to_owned())),
    }
}

/// Returns the token of the relay, from this file or from the environment.
///
/// # Errors
/// As for [`credential`], or the environment has the variable of an earlier version.
pub(crate) fn token(file: Option<&Path>) -> Result<Option<String>, Failure> {
    let token = credential(file, TOKEN_VARIABLE)?;
    if token.is_none() && credential(None, FORMER_VARIABLE)?.is_some() {
        let why = format!("{FORMER_VARIABLE} was replaced by {TOKEN_VARIABLE}");
        return Err(Failure::new(Exit::Usage, why));
    }
    if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(Failure::new(Exit::Usage, "the token has characters that no token has"));
    }
    Ok(token)
}

/// A token, and the only server that gets it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RelayToken {
    token: String,
    /// `None`: the server of each request.
    relay: Option<(Scheme, String, u16)>,
}

impl RelayToken {
    /// A token for the relay at this URL, else for every server.
    pub(crate) fn new(token: String, relay: Option<&Url>) -> Self {
        Self { token, relay: relay.map(origin) }
    }

    /// Returns the token for a request to this URL.
    pub(crate) fn for_url(&self, url: &Url) -> Option<&str> {
        let is_for_it = self.relay.as_ref().is_none_or(|relay| *relay == origin(url));
        is_for_it.then_some(&*self.token)
    }
}

fn origin(url: &Url) -> (Scheme, String, u16) {
    (url.scheme, url.host.to_ascii_lowercase(), url.port)
}

impl fmt::Debug for RelayToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_to_its_relay_only() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        let relay = url("https://relay.example/base");
        let token = RelayToken::new("hush".into(), Some(&relay));
        for (text, sent) in [
            ("https://Relay.example:443/stream/7", true),
            ("http://relay.example/", false),
            ("https://relay.example:8443/", false),
            ("https://relay.example.evil/", false),
        ] {
            assert_eq!(token.for_url(&url(text)).is_some(), sent, "{text}");
        }
        assert!(RelayToken::new("hush".into(), None).for_url(&relay).is_some());
        assert_eq!(format!("{token:?}"), "RelayToken");
    }
}
