//! A failure as a page: what happened, and what to do. The words of an ended stream are those that
//! common.js shows to receivers of a live one (`ENDS`).

use super::receive::shown;
use super::template::fill;
use crate::api::ended::role;
use crate::api::{Ended, Failure, TokenFailure};
use crate::http::response::reason;
use crate::ops::human;
use crate::rendezvous::{Ending, PeerReport, Side};
use std::borrow::Cow;

const NEW_LINK: &str = "Ask the sender for a new link.";
const INCOMPLETE: &str = "If you have a part of the file, it is incomplete: delete it and ask the sender for a new link.";
const INTERRUPTED: &str = "The transfer was interrupted";
const BUSY: &str = "The relay cannot take this request now";
const EXPIRED: &str = "This link has expired";

/// The words of a page: what happened, in short and in a sentence, and what to do.
struct Words {
    title: Cow<'static, str>,
    message: Cow<'static, str>,
    advice: &'static str,
}

impl Words {
    fn new(
        title: &'static str,
        message: impl Into<Cow<'static, str>>,
        advice: &'static str,
    ) -> Self {
        Self { title: title.into(), message: message.into(), advice }
    }
}

/// Returns the page of a failure that is answered with this status.
pub fn error(failure: &Failure, status: u16) -> String {
    let words = words(failure, status);
    fill(
        "error.html",
        &[
            ("status", &status.to_string()),
            ("title", &words.title),
            ("name", &shown(failure.name())),
            ("message", &words.message),
            ("advice", words.advice),
        ],
    )
}

/// Returns the words of the failures that people see; all others have those of the protocol.
fn words(failure: &Failure, status: u16) -> Words {
    if let Failure::StreamEnded(ended) = failure {
        return ended_words(ended);
    }
    if let Failure::Reported(report) = failure {
        return reported(report, NEW_LINK);
    }
    if *failure == Failure::SessionNotFound {
        let message = "No stream has this identifier: the link has expired or is incomplete.";
        let advice = "Check the link, or ask the sender for a new one.";
        return Words::new("This link does not work", message, advice);
    }
    if *failure == Failure::AlreadyConnected(Side::Destination) {
        let advice = "A link works once. If you are not the other receiver, ask the sender for a \
                      new link.";
        return Words::new("This link is in use", "Another receiver has used this link.", advice);
    }
    if let Failure::Disconnected(side) = failure {
        return Words::new(INTERRUPTED, format!("The {} disconnected.", role(*side)), NEW_LINK);
    }
    if let Failure::Failed(side) = failure {
        return Words::new(INTERRUPTED, format!("{}.", failed(*side)), NEW_LINK);
    }
    if let Failure::SourceTooLarge(most) = failure {
        return too_large(*most, "Ask the sender for smaller files.");
    }
    if *failure == Failure::SessionTimeout {
        return Words::new(EXPIRED, "It expired before both sides connected.", NEW_LINK);
    }
    if *failure == Failure::BadRoute {
        return Words::new("Page not found", "This relay has no such page.", "Check the address.");
    }
    if *failure == Failure::Token(TokenFailure::StreamNeeded) {
        let message = "Its end, from the question mark on, is missing.";
        let advice = "Check the link, or ask the sender for the complete one.";
        return Words::new("This link is incomplete", message, advice);
    }
    let message = failure.message();
    let end = if message.ends_with('?') { "" } else { "." };
    let message = format!("{message}{end}");
    let advice = if status == 503 { "Try again in a moment." } else { "" };
    let title = if matches!(failure, Failure::TooBusy(_)) { BUSY } else { reason(status) };
    Words::new(title, message, advice)
}

/// Returns how a stream ended, and what its receiver can do.
fn ended_words(ended: &Ended) -> Words {
    let again = if ended.bytes > 0 { INCOMPLETE } else { NEW_LINK };
    let ago = ended.ago();
    match &ended.ending {
        Ending::Finished(_) if ended.is_refuted => {
            Words::new(INTERRUPTED, "The receiver reported a failure.", INCOMPLETE)
        }
        Ending::Finished(_) => {
            let advice = "A link works once. If you need the file again, ask the sender for a new \
                          link.";
            let message = format!("The file was received at {}.", ended.time());
            Words::new("This link was used", message, advice)
        }
        Ending::TimedOut(_) => {
            let message = format!("It expired {ago}, before both sides connected.");
            Words::new(EXPIRED, message, NEW_LINK)
        }
        Ending::Disconnected(side) => {
            Words::new(INTERRUPTED, format!("The {} disconnected {ago}.", role(*side)), again)
        }
        Ending::Failed(side) => {
            Words::new(INTERRUPTED, format!("{}, {ago}.", failed(*side)), again)
        }
        Ending::TooLarge(most) => too_large(*most, again),
        Ending::Reported(report) => reported(report, again),
    }
}

/// Returns the words of a report. Its message is quoted: it is a text of a stranger.
fn reported(report: &PeerReport, again: &'static str) -> Words {
    if *report == Failure::deleted() {
        return Words::new(
            "The transfer was cancelled",
            "It was cancelled before it completed.",
            again,
        );
    }
    if *report == Failure::stopping() {
        return Words::new(INTERRUPTED, "The relay stopped.", again);
    }
    let message = format!("The other side reported: “{}”", shown(&report.message));
    Words::new("The transfer ended with an error", message, again)
}

fn too_large(most: u64, advice: &'static str) -> Words {
    let message = format!("This relay carries at most {} at a time.", human::size(most));
    Words::new("The file is too large", message, advice)
}

fn failed(side: Side) -> &'static str {
    match side {
        Side::Source => "The upload failed",
        Side::Destination => "The download failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Busy;
    use crate::api::ended::tests::ended;

    fn report(message: &str) -> PeerReport {
        PeerReport { status: 400, name: "FileError".into(), message: message.into() }
    }

    fn assert_page(name: &str, failure: &Failure, status: u16, parts: [&str; 2]) {
        let page = error(failure, status);
        for part in parts {
            assert!(page.contains(part), "{name}: {part} in {page}");
        }
        assert!(!page.contains("{{"), "{name}: {page}");
    }

    #[test]
    fn a_failure_is_a_page_with_what_to_do() {
        for (name, failure, status, parts) in [
            ("unknown", Failure::SessionNotFound, 404, ["does not work", "ask the sender"]),
            (
                "taken",
                Failure::AlreadyConnected(Side::Destination),
                429,
                ["Another receiver has used this link", "works once"],
            ),
            (
                "without its token",
                Failure::Token(TokenFailure::StreamNeeded),
                401,
                ["This link is incomplete", "ask the sender"],
            ),
            (
                "a question",
                Failure::Token(TokenFailure::Unknown),
                401,
                ["Unauthorized", "or mistyped?<"],
            ),
            ("elsewhere", Failure::BadRoute, 404, ["Page not found", "Check the address"]),
            (
                "interrupted",
                Failure::Disconnected(Side::Source),
                502,
                ["interrupted", "The sender disconnected."],
            ),
            ("busy", Failure::TooBusy(Busy::Streams), 503, ["The relay cannot", "Try again"]),
            ("expired", Failure::SessionTimeout, 504, ["has expired", "Ask the sender"]),
            (
                "reported",
                Failure::Reported(Box::new(report("no \u{202E}file <b>"))),
                400,
                ["ended with an error", "“no \u{FFFD}file &lt;b&gt;”"],
            ),
            (
                "no script",
                Failure::BadSignature("<script>".into()),
                403,
                ["&lt;script&gt;", "Forbidden"],
            ),
        ] {
            assert_page(name, &failure, status, parts);
        }
    }

    #[test]
    fn the_page_of_an_ended_stream_has_how_it_ended_and_what_to_do() {
        let boxed = |report| Ending::Reported(Box::new(report));
        for (name, ending, bytes, parts) in [
            (
                "used",
                Ending::Finished(None),
                9,
                ["The file was received at 12:00:00 UTC.", "If you need the file again"],
            ),
            (
                "expired",
                Ending::TimedOut(None),
                0,
                ["It expired 5 s ago, before both", "<p class=\"soft\">Ask the sender"],
            ),
            (
                "interrupted by the sender",
                Ending::Disconnected(Side::Source),
                9,
                ["The sender disconnected 5 s ago.", "it is incomplete: delete it"],
            ),
            (
                "interrupted by the receiver",
                Ending::Disconnected(Side::Destination),
                9,
                ["The receiver disconnected 5 s ago.", "it is incomplete: delete it"],
            ),
            ("failed", Ending::Failed(Side::Source), 9, ["The upload failed, 5 s ago.", "delete"]),
            ("too large", Ending::TooLarge(1024), 9, ["at most 1.0 KiB", "delete it"]),
            (
                "deleted",
                boxed(Failure::deleted()),
                0,
                ["was cancelled", "<p class=\"soft\">Ask the sender"],
            ),
            ("stopped", boxed(Failure::stopping()), 9, ["The relay stopped.", "delete it"]),
            (
                "reported",
                boxed(report("disk full")),
                9,
                ["The other side reported: “disk full”", "delete it"],
            ),
        ] {
            let failure = Failure::StreamEnded(Box::new(ended(ending, bytes)));
            assert_page(name, &failure, 410, parts);
        }
    }
}
