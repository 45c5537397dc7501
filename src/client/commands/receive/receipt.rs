//! The receipt of a receiver: after the data is complete and on the disk, or why it is not.

use super::download::Saved;
use crate::client::commands::{Exit, Failure};
use crate::client::relay::Stream;
use std::thread;
use std::time::Duration;

/// Attempts to confirm: the download can end before the relay has recorded the end of the stream.
const ATTEMPTS_MAX: u32 = 5;
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Sends the receipt. Best effort: a sender without one reports that it is missing.
pub(super) fn send(stream: &Stream, received_bytes: u64, saved: &Result<Saved, Failure>) {
    let failed = match saved {
        Ok(saved) => saved.complaint(),
        Err(failure) => Some(reason(failure)),
    };
    if let Some(reason) = failed {
        let _ = stream.receipt_failed(&reason);
        return;
    }
    for _ in 0..ATTEMPTS_MAX {
        match stream.receipt_confirmed(received_bytes) {
            Ok(Ok(())) => return,
            Ok(Err(refusal)) if refusal.status != 409 && !refusal.is_passing() => return,
            // Too early, too busy, or a failed connection: it may pass.
            Ok(Err(_)) | Err(_) => thread::sleep(AGAIN_AFTER),
        }
    }
}

/// Returns the cause for the other side, without a path of this machine.
fn reason(failure: &Failure) -> String {
    let why = failure.why.split(';').next().unwrap_or_default();
    if failure.exit != Exit::Local || !has_path(why) {
        return why.to_owned();
    }
    let cause = why.rsplit(": ").next().filter(|cause| !has_path(cause));
    cause.unwrap_or("the file could not be written").to_owned()
}

/// Whether a text has a path in it; the words for `EIO` are none.
fn has_path(text: &str) -> bool {
    text.split_whitespace().any(|word| word.contains('/') && word != "I/O")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_on_this_machine() {
        for (why, sent) in [
            (
                "cannot write: no space left on device; partial data is in /home/me/a",
                "cannot write: no space left on device",
            ),
            ("cannot create /home/me/a: permission denied", "permission denied"),
            ("/home/me/a exists", "the file could not be written"),
            ("/home/me/a: I/O error", "I/O error"),
        ] {
            assert_eq!(reason(&Failure::new(Exit::Local, why)), sent);
        }
    }
}
