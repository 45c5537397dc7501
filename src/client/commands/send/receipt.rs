//! The receipt of the receiver: whether it has the data, which the 200 of an upload does not say.

use crate::api::status::TCP;
use crate::client::clock;
use crate::client::commands::{Exit, Failure};
use crate::client::relay::{Refusal, Stream};
use serde_json::Value;
use std::thread;
use std::time::Duration;

/// Pauses between requests for the status: doubling, from and up to.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Time for a receiver that has disconnected to report why.
const REASON_TIME: Duration = Duration::from_secs(2);

/// The status of an upload whose receiver disconnected.
const DESTINATION_GONE: u16 = 502;

/// What the receiver reports of a complete transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// It has all of the data.
    Confirmed,
    /// It reports nothing, but its TCP has received all of the data.
    Acked,
    /// It reports nothing, as plain clients do.
    None,
}

impl Confirmation {
    /// Returns its name in the status.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Acked => "acked",
            Self::None => "none",
        }
    }

    /// Returns it in words.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed by the receiver",
            Self::Acked => "acknowledged by the destination's TCP",
            Self::None => "handed over, not confirmed",
        }
    }
}

/// Waits for the receipt of a receiver that announced one.
///
/// # Errors
/// The receiver does not have the data, or does not report in time.
pub(super) fn wait(stream: &Stream, timeout: Duration) -> Result<Confirmation, Failure> {
    let status = settled(stream, timeout);
    match receipt(status.as_ref()) {
        "confirmed" if is_of_tcp(status.as_ref()) => Ok(Confirmation::Acked),
        "confirmed" => Ok(Confirmation::Confirmed),
        "expected" if timeout.is_zero() => Ok(Confirmation::None),
        "expected" => {
            let why = format!(
                "the receiver did not confirm within {timeout:?}, or within the retention time of \
                 the relay; the data was sent"
            );
            Err(Failure::new(Exit::OtherSide, why))
        }
        "failed" => Err(failed(status.as_ref())),
        // Also of a relay without receipts, or that has forgotten the stream.
        _ => Ok(Confirmation::None),
    }
}

/// Returns why a stream was refused: what its receiver reports, or the refusal.
pub(super) fn explain(stream: &Stream, refusal: Refusal) -> Failure {
    if refusal.status != DESTINATION_GONE {
        return refusal.into();
    }
    let status = settled(stream, REASON_TIME);
    // The receiver reports why; its TCP adds nothing to the refusal.
    let reported = receipt(status.as_ref()) == "failed" && !is_of_tcp(status.as_ref());
    if reported { failed(status.as_ref()) } else { refusal.into() }
}

fn failed(status: Option<&Value>) -> Failure {
    let reason = status.and_then(|status| status["receipt_error"].as_str()).unwrap_or("no reason");
    Failure::new(Exit::OtherSide, format!("failed at the receiver: {reason}"))
}

/// Whether the receipt is that of the receiver's TCP, which its program has no part in.
fn is_of_tcp(status: Option<&Value>) -> bool {
    status.is_some_and(|status| status["receipt_by"] == TCP)
}

fn receipt(status: Option<&Value>) -> &str {
    status.and_then(|status| status["receipt"].as_str()).unwrap_or("none")
}

/// Returns the status once no receipt is expected any more, or the last one known: after the
/// timeout, or once the relay has forgotten the stream.
fn settled(stream: &Stream, timeout: Duration) -> Option<Value> {
    let end = clock::now() + timeout;
    let mut pause = FIRST_PAUSE;
    let mut known = None;
    loop {
        match stream.status() {
            Ok(Ok(status)) => known = Some(status),
            Ok(Err(refusal)) if !refusal.is_passing() => return known,
            // A failed request does not make an expected receipt unexpected.
            Ok(Err(_)) | Err(_) => {}
        }
        let left = end.saturating_duration_since(clock::now());
        if receipt(known.as_ref()) != "expected" || left.is_zero() {
            return known;
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LAST_PAUSE);
    }
}
