//! The result of a command: an exit status for scripts, a sentence for people.

use crate::client::Error;
use crate::client::file_name::printable;
use crate::client::proxy_answer;
use crate::client::relay::Refusal;
use crate::ops::cause;
use std::process::ExitCode;
use std::{fmt, io};

/// The exit status of a client command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 0: every byte has arrived.
    Complete = 0,
    /// 1: local failure: a file could not be read or written.
    Local = 1,
    /// 2: invalid arguments.
    Usage = 2,
    /// 3: no peer connected within the waiting time.
    NoPeer = 3,
    /// 4: the other side interrupted the transfer, or reported an error.
    OtherSide = 4,
    /// 5: the relay or the server refused.
    Refused = 5,
    /// 6: the received data does not match the sent digest.
    Digest = 6,
    /// 7: the relay cannot be reached, or the connection to it failed.
    Network = 7,
    /// 8: everything was received, but not all of it was extracted.
    Skipped = 8,
    /// 129: the terminal was closed (128 plus the number of `SIGHUP`).
    HungUp = 129,
    /// 130: interrupted (128 plus the number of `SIGINT`).
    Interrupted = 130,
    /// 143: terminated (128 plus the number of `SIGTERM`).
    Terminated = 143,
}

impl Exit {
    /// Returns the status as a number.
    pub fn status(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit status.
    pub exit: Exit,
    /// One sentence that includes what to do about it; safe to print.
    pub why: String,
}

impl Failure {
    /// Returns a failure of this kind; text from the peer is made printable.
    pub fn new(exit: Exit, why: impl AsRef<str>) -> Self {
        Self { exit, why: printable(why.as_ref()) }
    }

    /// Returns the failure of a local file or stream.
    pub fn local(doing: impl std::fmt::Display, error: impl Into<io::Error>) -> Self {
        Self::new(Exit::Local, format!("{doing}: {}", cause(&error.into())))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Input(_) => Exit::Usage,
            Error::Local { .. } | Error::Size { .. } => Exit::Local,
            Error::Network { .. } | Error::Answer(_) | Error::Truncated { .. } => Exit::Network,
            Error::Answered(_) => Exit::Refused,
        };
        let hint = if error.is_connection_refused() { "; is the server running?" } else { "" };
        Self::new(exit, format!("{error}{hint}"))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (exit, hint) = match (refusal.status, refusal.name.as_str()) {
            (504, "SessionTimeoutError") => (Exit::NoPeer, "retry, with more time (--ttl)"),
            (404, "SessionNotFoundError") => {
                (Exit::Refused, "a stream can be used once and expires; create a new one")
            }
            (401, "UnauthorizedError") => (
                Exit::Refused,
                "check the link, name the file of a token with --token-file, or set RDV_TOKEN",
            ),
            (429, "AlreadyConnectedError") => {
                (Exit::Refused, "another client is connected already")
            }
            (502, "StreamSourceError" | "StreamDestinationError") | (410, "StreamDeletedError") => {
                (Exit::OtherSide, "retry")
            }
            (503 | 429, _) if refusal.is_of_the_relay() => (Exit::Refused, "try again later"),
            (300..=399, "") => (Exit::Refused, "redirects are not followed: use that URL"),
            (404 | 405, "BadRouteError" | "") | (200..=299, "") => {
                (Exit::Refused, "is the URL that of a relay?")
            }
            _ if refusal.is_of_the_relay() => (Exit::Refused, ""),
            _ => (Exit::OtherSide, "the other side reported it"),
        };
        // All errors of the relay have names.
        let of_proxy = proxy_answer::advice(refusal.status).filter(|_| refusal.name.is_empty());
        let hint = of_proxy.as_deref().unwrap_or(hint);
        let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
        Self::new(exit, format!("{refusal}{hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_exit_status() {
        for (status, name, exit) in [
            (504, "SessionTimeoutError", Exit::NoPeer),
            (502, "StreamSourceError", Exit::OtherSide),
            (410, "StreamDeletedError", Exit::OtherSide),
            (404, "SessionNotFoundError", Exit::Refused),
            (429, "AlreadyConnectedError", Exit::Refused),
            (503, "TooBusyError", Exit::Refused),
            (503, "", Exit::Refused),
            (503, "BackupError", Exit::OtherSide),
            (429, "Error", Exit::OtherSide),
            (413, "ContentTooLargeError", Exit::Refused),
            (404, "FileNotFoundError", Exit::OtherSide),
            (400, "Error", Exit::OtherSide),
            (502, "", Exit::Refused),
        ] {
            let refusal = Refusal { status, name: name.into(), message: "why".into() };
            let failure = Failure::from(refusal);
            assert_eq!(failure.exit, exit, "{status} {name}: {}", failure.why);
            assert!(failure.why.contains("why"));
        }
    }

    #[test]
    fn messages_of_the_other_side_are_escaped() {
        let message = "\u{1b}[2J\nfake".to_owned();
        let failure = Failure::from(Refusal { status: 400, name: "X".into(), message });
        assert!(!failure.why.contains(['\u{1b}', '\n']), "{}", failure.why);
    }
}
