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
    /// Each as an object, after its number in the order of creation.
    pub streams: Vec<(u64, Value)>,
    /// Where the next window begins; `None` after the oldest stream.
    pub next: Option<u64>,
}

impl Rows {
    /// Joins the windows of several workers, whose streams have a common order.
    pub fn join(parts: impl IntoIterator<Item = Self>, most: usize) -> Self {
        let (mut streams, mut more) = (Vec::new(), false);
        for part in parts {
            more |= part.next.is_some();
            streams.extend(part.streams);
        }
        streams.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        more |= streams.len() > most;
        streams.truncate(most);
        let next = streams.last().filter(|_| more).map(|(number, _)| *number);
        Self { streams, next }
    }
}

/// Returns the row of a stream, after its number.
pub fn row(stream: &Stream) -> (u64, Value) {
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
    (stream.sequence(), row)
}

/// Returns the event: the figures of the relay, its agents, and the rows of a window.
pub fn event(mut figures: Value, (agents, shown): (usize, &[String]), rows: &Rows) -> Vec<u8> {
    let shown: Vec<Value> =
        shown.iter().filter_map(|agent| serde_json::from_str(agent).ok()).collect();
    figures["agents"] = json!({ "total": agents, "shown": shown });
    let streams: Vec<&Value> = rows.streams.iter().map(|(_, row)| row).collect();
    figures["rows"] = json!({ "streams": streams, "next": rows.next });
    sse::event("watch", &figures.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_workers_become_one_in_the_order_of_creation() {
        let part = |numbers: &[u64], next| Rows {
            streams: numbers.iter().map(|number| (*number, json!(number))).collect(),
            next,
        };
        for (name, parts, most, shown, next) in [
            ("one", vec![part(&[9, 5, 3], None)], 3, &[9, 5, 3][..], None),
            ("all fit", vec![part(&[9, 5], None), part(&[7], None)], 3, &[9, 7, 5], None),
            ("too many", vec![part(&[9, 5], None), part(&[7], None)], 2, &[9, 7], Some(7)),
            ("more at one", vec![part(&[9], Some(6)), part(&[], None)], 5, &[9], Some(9)),
            ("none", vec![part(&[], None), part(&[], None)], 5, &[], None),
        ] {
            let joined = Rows::join(parts, most);
            let numbers: Vec<u64> = joined.streams.iter().map(|(number, _)| *number).collect();
            assert_eq!((&numbers[..], joined.next), (shown, next), "{name}");
        }
    }

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
