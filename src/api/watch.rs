//! The state of the relay as an event, for the page that shows it to operators.

use super::status;
use crate::http::sse;
use crate::rendezvous::Stream;
use serde_json::{Value, json};

/// Maximum rows of one event: what fits on a large screen.
pub const ROWS_MAX: usize = 100;

/// The rows that a subscriber shows: a window of all streams, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Only streams created before the one with this number; `None`: from the newest one on.
    pub before: Option<u64>,
    /// Maximum number.
    pub rows: usize,
    /// Omit the streams that ended.
    pub active_only: bool,
}

impl Window {
    /// Reads the query of a request: `before`, `rows` and `active`; what is malformed is ignored.
    pub fn parse(query: Option<&str>) -> Self {
        let value = |name: &str| {
            let mut pairs =
                query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let rows = value("rows").and_then(|rows| rows.parse().ok()).unwrap_or(ROWS_MAX);
        Self {
            before: value("before").and_then(|before| before.parse().ok()),
            rows: rows.clamp(1, ROWS_MAX),
            active_only: value("active") == Some("true"),
        }
    }
}

/// The streams of a window.
#[derive(Debug, Default)]
pub struct Rows {
    /// Each as an object.
    pub streams: Vec<Value>,
    /// Where the next window begins; `None` after the oldest stream.
    pub next: Option<u64>,
}

/// Returns the row of a stream.
pub fn row(stream: &Stream) -> Value {
    let mut row = json!({
        "id": stream.id().to_string(),
        "state": stream.state().name(),
        "active": stream.is_active(),
        "bytes_transferred": stream.bytes_transferred(),
        "created_at": status::iso8601(stream.created_wall_ms()),
    });
    if let Some(bottleneck) = stream.bottleneck() {
        row["bottleneck"] = super::bottleneck::object(bottleneck);
    }
    row
}

/// Returns the event: the figures of the relay, its agents, and the rows of a window.
pub fn event(mut figures: Value, (agents, shown): (usize, &[String]), rows: &Rows) -> Vec<u8> {
    let shown: Vec<Value> =
        shown.iter().filter_map(|agent| serde_json::from_str(agent).ok()).collect();
    figures["agents"] = json!({ "total": agents, "shown": shown });
    figures["rows"] = json!({ "streams": rows.streams, "next": rows.next });
    sse::event("watch", &figures.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_bounded_whatever_is_requested() {
        let newest = Window { before: None, rows: ROWS_MAX, active_only: false };
        for (query, window) in [
            (None, newest),
            (Some("rows=50&active=true"), Window { rows: 50, active_only: true, ..newest }),
            (Some("before=7&rows=1000000"), Window { before: Some(7), ..newest }),
            (Some("rows=0"), Window { rows: 1, ..newest }),
            (Some("rows=x&before=-1&active=yes"), newest),
        ] {
            assert_eq!(Window::parse(query), window, "{query:?}");
        }
    }
}
