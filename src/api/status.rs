//! The status object of a stream.

use super::Failure;
use super::bottleneck;
use super::paths::PREFIX;
use crate::http::sse;
use crate::rendezvous::{Ending, Receipt, Stream};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Values of `receipt_by`: the receiver confirms that it has the data, its TCP that it has arrived.
const RECEIVER: &str = "receiver";
pub const TCP: &str = "tcp";

const UNACKED: &str = "not acknowledged by the destination's TCP";

/// Returns the status object; absent values are omitted.
pub fn object(stream: &Stream) -> Value {
    let mut status = Map::new();
    status.insert("id".into(), stream.id().to_string().into());
    if let Some(path) = stream.path() {
        status.insert("path".into(), [PREFIX, path].concat().into());
    }
    status.insert("created_at".into(), iso8601(stream.created_wall_ms()).into());
    if let Some(ended) = stream.ended_wall_ms() {
        status.insert("deactivated_at".into(), iso8601(ended).into());
    }
    status.insert("state".into(), stream.state().name().into());
    status.insert("active".into(), stream.is_active().into());
    if let Some(error) = error(stream) {
        status.insert("error".into(), error);
    }
    let headers = stream.headers().cloned().unwrap_or_default();
    status.insert("download_headers".into(), headers.download.into());
    status.insert("upload_headers".into(), headers.upload.into());
    status.insert("bytes_transferred".into(), stream.bytes_transferred().into());
    if let Some(digest) = stream.digest() {
        status.insert("repr_digest".into(), digest.as_str().into());
    }
    if let Some(bottleneck) = stream.bottleneck() {
        status.insert("bottleneck".into(), bottleneck::object(bottleneck));
    }
    match stream.receipt() {
        Some(receipt) => insert_receipt(&mut status, receipt, RECEIVER),
        None if stream.awaits_ack() => insert_receipt(&mut status, &of_tcp(stream), TCP),
        None => _ = status.insert("receipt".into(), "none".into()),
    }
    Value::Object(status)
}

fn insert_receipt(status: &mut Map<String, Value>, receipt: &Receipt, by: &str) {
    status.insert("receipt".into(), receipt.name().into());
    status.insert("receipt_by".into(), by.into());
    match receipt {
        Receipt::Expected | Receipt::Confirmed(None) => {}
        Receipt::Confirmed(Some(digest)) => {
            status.insert("receipt_digest".into(), (**digest).into());
        }
        Receipt::Failed(reason) => {
            status.insert("receipt_error".into(), (**reason).into());
        }
    }
}

/// Returns the receipt of the destination's TCP: a stream that awaits it finishes with it.
fn of_tcp(stream: &Stream) -> Receipt {
    match stream.ending() {
        None => Receipt::Expected,
        Some(Ending::Finished(_)) => Receipt::confirmed(None),
        Some(
            Ending::TimedOut(_)
            | Ending::Disconnected(_)
            | Ending::Failed(_)
            | Ending::TooLarge(_)
            | Ending::Reported(_),
        ) => Receipt::failed(UNACKED),
    }
}

/// Returns the status object as an event.
pub fn event(stream: &Stream) -> Vec<u8> {
    sse::event("status", &object(stream).to_string())
}

fn error(stream: &Stream) -> Option<Value> {
    let failure = match stream.pending_report() {
        Some(report) => Some(Failure::Reported(Box::new(report.clone()))),
        None => stream.ending().and_then(Failure::of_ending),
    }?;
    Some(json!({ "name": failure.name(), "message": failure.message() }))
}

/// Formats a time as ISO 8601 in UTC with milliseconds, such as `2026-11-21T01:57:36.042Z`.
pub(super) fn iso8601(wall_ms: i64) -> String {
    let time = Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}
