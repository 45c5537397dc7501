//! The meaning of a connection error: whether retrying may succeed, and the exit code if not.

use crate::client::commands::exit::{Exit, Failure};
use crate::mux::session::close;
use crate::socket::Error;
use std::io::ErrorKind;

/// Whether retrying is pointless. After a successful connection more errors are transient: the
/// relay may be restarting, or the proxy before it may be down.
pub(super) fn is_final(error: &Error, was_connected: bool) -> bool {
    match error {
        Error::Refused { status: 400 | 401 | 403, .. } | Error::Input(_) => true,
        Error::Refused { status: ..=499, .. } if !was_connected => !error.is_passing(),
        Error::Closed { code, .. } => {
            matches!(*code, close::REPLACED | close::NAME_TAKEN | close::POLICY)
        }
        Error::Network { source, .. } => !was_connected && source.kind() == ErrorKind::InvalidData,
        Error::Handshake(_) => !was_connected,
        Error::Refused { .. }
        | Error::Cancelled(_)
        | Error::Protocol(_)
        | Error::Response(_)
        | Error::Timeout(_)
        | Error::TurnTimeout(_)
        | Error::TooManyWaiting
        | Error::NotText
        | Error::TooLarge
        | Error::Draining
        | Error::Body(_)
        | Error::Stopped => false,
    }
}

/// Returns the failure that the command exits with.
pub(super) fn failure(error: Option<Error>) -> Failure {
    let Some(error) = error else {
        return Failure::new(Exit::Network, "the relay closed the connection");
    };
    let (exit, hint) = match &error {
        Error::Input(_) => (Exit::Usage, ""),
        Error::Refused { status: 404, .. } => (Exit::Refused, "; is the URL that of a relay?"),
        Error::Closed { code: close::NAME_TAKEN, .. } => {
            (Exit::Refused, "; choose another name, or give the --secret-file it was taken with")
        }
        Error::Refused { .. }
        | Error::Handshake(_)
        | Error::Closed { code: close::REPLACED | close::POLICY, .. } => {
            (Exit::Refused, error.token_hint())
        }
        Error::Network { source, .. } if source.kind() == ErrorKind::ConnectionRefused => {
            (Exit::Network, "; is the relay running? (rdv serve)")
        }
        Error::Network { .. }
        | Error::Closed { .. }
        | Error::Cancelled(_)
        | Error::Protocol(_)
        | Error::Response(_)
        | Error::Timeout(_)
        | Error::TurnTimeout(_)
        | Error::TooManyWaiting
        | Error::NotText
        | Error::TooLarge
        | Error::Draining
        | Error::Body(_)
        | Error::Stopped => (Exit::Network, ""),
    };
    Failure::new(exit, format!("{error}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_errors_end_the_command_and_others_are_retried() {
        let refused = |status| Error::Refused { status, message: "why".into() };
        let closed = |code| Error::Closed { code, reason: "why".into() };
        let network = |kind: ErrorKind| Error::Network { doing: "why".into(), source: kind.into() };
        for (name, error, first, later, exit) in [
            ("bad request", refused(400), true, true, Exit::Refused),
            ("no token", refused(401), true, true, Exit::Refused),
            ("forbidden", refused(403), true, true, Exit::Refused),
            ("no relay", refused(404), true, false, Exit::Refused),
            ("a redirect", refused(302), true, false, Exit::Refused),
            ("too many", refused(429), false, false, Exit::Refused),
            ("busy", refused(503), false, false, Exit::Refused),
            ("name taken", closed(4009), true, true, Exit::Refused),
            ("replaced", closed(4001), true, true, Exit::Refused),
            ("policy", closed(1008), true, true, Exit::Refused),
            ("going away", closed(1001), false, false, Exit::Network),
            ("no trust", network(ErrorKind::InvalidData), true, false, Exit::Network),
            ("not there", network(ErrorKind::ConnectionRefused), false, false, Exit::Network),
            ("no WebSocket", Error::Handshake("why".into()), true, false, Exit::Refused),
        ] {
            assert_eq!(is_final(&error, false), first, "{name}, at first");
            assert_eq!(is_final(&error, true), later, "{name}, later");
            let failure = failure(Some(error));
            assert_eq!(failure.exit, exit, "{name}");
            assert!(failure.why.contains("why"), "{name}: {failure}");
        }
    }
}
