//! The status object of a stream.

use super::Failure;
use super::bottleneck;
use crate::http::sse;
use crate::rendezvous::Stream;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The status object; what there is none of is left out.
pub fn object(stream: &Stream) -> Value {
    let mut status = Map::new();
    status.insert("id".into(), stream.id().to_string().into());
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
    Value::Object(status)
}

/// The status object as an event.
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

/// ISO 8601 in UTC with milliseconds, such as `2026-11-21T01:57:36.042Z`.
pub(super) fn iso8601(wall_ms: i64) -> String {
    let time = Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}
