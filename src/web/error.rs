//! A failure as a page: what happened, and what to do.

use super::template::fill;
use crate::api::Failure;
use crate::http::response::reason;

const UNKNOWN: &str = "No stream has this identifier: the link has expired or is incomplete.";

/// Returns the page of a failure that is answered with this status.
pub fn error(failure: &Failure, status: u16) -> String {
    let (title, message) = if let Failure::StreamEnded(fate) = failure {
        ("This link does not work any more", format!("Its stream has ended: {fate}."))
    } else if *failure == Failure::SessionNotFound {
        ("This link does not work", UNKNOWN.to_owned())
    } else {
        (reason(status), format!("{}.", failure.message()))
    };
    fill(
        "error.html",
        &[
            ("status", &status.to_string()),
            ("title", title),
            ("name", failure.name()),
            ("message", &message),
            ("advice", advice(failure, status)),
        ],
    )
}

/// Returns what to do after a failure.
fn advice(failure: &Failure, status: u16) -> &'static str {
    if matches!(failure, Failure::SessionNotFound | Failure::StreamEnded(_)) {
        "Check the link, or ask the sender for a new one."
    } else if matches!(failure, Failure::AlreadyConnected(_)) {
        "A link works once. If you are not the other receiver, ask the sender for a new link."
    } else if matches!(
        failure,
        Failure::Disconnected(_) | Failure::Failed(_) | Failure::SessionTimeout
    ) {
        "Ask the sender for a new link."
    } else if matches!(failure, Failure::Reported(_)) {
        "Ask the sender what happened."
    } else if status == 503 {
        "Try again in a moment."
    } else if status == 404 {
        "Check the address."
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendezvous::Side;

    #[test]
    fn a_failure_is_a_page_with_what_to_do() {
        for (name, failure, status, parts) in [
            ("unknown", Failure::SessionNotFound, 404, ["does not work", "ask the sender"]),
            (
                "used",
                Failure::StreamEnded("used at 12:00:00 UTC".into()),
                404,
                ["ended: used at 12:00:00 UTC.", "ask the sender"],
            ),
            (
                "taken",
                Failure::AlreadyConnected(Side::Destination),
                429,
                ["already connected", "works once"],
            ),
            ("elsewhere", Failure::BadRoute, 404, ["Not Found", "Check the address"]),
            (
                "no script",
                Failure::BadSignature("<script>".into()),
                403,
                ["&lt;script&gt;", "Forbidden"],
            ),
        ] {
            let page = error(&failure, status);
            for part in parts {
                assert!(page.contains(part), "{name}: {part} in {page}");
            }
            assert!(!page.contains("{{"), "{name}: {page}");
        }
    }
}
