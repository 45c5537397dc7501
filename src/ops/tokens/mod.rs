//! Tokens of the relay: the settings, the file, and `rdv token`.

mod command;
mod table;

pub use command::TokenCommand;
pub use table::TokenTable;
#[cfg(test)]
pub(super) use table::tests::file_of;

use crate::api::permission::Scope;
use clap::Args;
use std::net::SocketAddr;

/// The setting whose value is read from a file.
pub(super) const TOKENS: &str = "tokens";

/// The scopes that need a token if only a file of tokens is given: creators of streams and agents are
/// known, and a receiver needs nothing but its link.
const REQUIRED_WITH_TOKENS: [Scope; 2] = [Scope::Create, Scope::Agent];

/// The settings of tokens.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tokens")]
pub struct TokenSettings {
    /// File of tokens, readable by its owner only: NAME SCOPES SHA256 in each line, as printed by
    /// 'rdv token new'; # before a comment. It is reloaded with the configuration
    #[arg(long, value_name = "FILE", value_parser = TokenTable::read)]
    pub tokens: Option<TokenTable>,

    /// Scope that needs a token: create, send, receive, list, call or agent; repeatable [default:
    /// create and agent with --tokens, else none]
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    pub require: Vec<Scope>,
}

impl TokenSettings {
    /// Returns the scopes that need a token.
    pub fn required(&self) -> &[Scope] {
        match (&self.tokens, &self.require[..]) {
            (Some(_), []) => &REQUIRED_WITH_TOKENS,
            (Some(_) | None, given) => given,
        }
    }

    /// Whether this scope needs a token.
    pub fn requires(&self, scope: Scope) -> bool {
        self.required().contains(&scope)
    }

    /// Returns what is wrong with the combination, if anything.
    pub(super) fn conflict(&self) -> Option<String> {
        if self.require.contains(&Scope::Notify) {
            return Some("require: notify always needs a token, unless open-notify is set".into());
        }
        let needless = self.tokens.is_some() || self.require.is_empty();
        (!needless).then(|| "require: no client could be allowed without tokens".into())
    }

    /// Returns a warning for the operator if clients need no token on one of these listeners.
    pub fn warning(&self, listeners: &[SocketAddr]) -> Option<String> {
        let public = beyond_loopback(listeners);
        (self.required().is_empty() && !public.is_empty())
            .then(|| format!("clients need no token on {public} (tokens)"))
    }
}

/// Returns the addresses that other machines can reach, for a message; empty if there are none.
pub(super) fn beyond_loopback(listeners: &[SocketAddr]) -> String {
    let public = listeners.iter().filter(|address| !address.ip().to_canonical().is_loopback());
    public.map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::table::tests::file;
    use super::*;
    use clap::{Command, FromArgMatches as _};

    fn settings(flags: &[&str]) -> TokenSettings {
        let command = TokenSettings::augment_args(Command::new("rdv").no_binary_name(true));
        TokenSettings::from_arg_matches(&command.try_get_matches_from(flags).unwrap()).unwrap()
    }

    #[test]
    fn a_file_of_tokens_requires_them_to_create_streams_and_of_agents() {
        let file = file("");
        let tokens = format!("--tokens={}", file.path().display());
        for (name, flags, required) in [
            ("nothing", &[][..], &[][..]),
            ("a file", &[&*tokens], &[Scope::Create, Scope::Agent]),
            ("some", &[&tokens, "--require=send,list"], &[Scope::Send, Scope::List]),
            (
                "repeated",
                &[&tokens, "--require=send", "--require=call"],
                &[Scope::Send, Scope::Call],
            ),
        ] {
            assert_eq!(settings(flags).required(), required, "{name}");
        }
        assert!(settings(&["--require=send"]).conflict().is_some());
        assert!(settings(&[&tokens, "--require=send"]).conflict().is_none());
        assert!(settings(&[&tokens, "--require=send,notify"]).conflict().is_some());
    }

    #[test]
    fn a_public_listener_without_tokens_is_warned_of() {
        let file = file("");
        let tokens = format!("--tokens={}", file.path().display());
        let (here, all) = ("127.0.0.1:80", "0.0.0.0:81");
        for (name, flags, listeners, warned) in [
            ("loopback", &[][..], &[here][..], false),
            ("all addresses", &[], &[here, all], true),
            ("with tokens", &[&*tokens], &[all], false),
        ] {
            let listeners: Vec<_> = listeners.iter().map(|text| text.parse().unwrap()).collect();
            let warning = settings(flags).warning(&listeners);
            let expected =
                warned.then(|| "clients need no token on 0.0.0.0:81 (tokens)".to_owned());
            assert_eq!(warning, expected, "{name}");
        }
    }
}
