//! JSON as sent by the relay.

use serde_json::Value;

use super::Response;
use super::response::Ending;

/// Parses a complete document.
pub(crate) fn parse(bytes: &[u8]) -> Value {
    let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", shown()))
}

/// Checks a complete error response: status, type, and the exact body if a message is given.
pub(crate) fn assert_error(what: &str, answer: &Response, wanted: (u16, &str, Option<&str>)) {
    let (status, name, message) = wanted;
    assert_eq!(answer.status(), status, "{what}: {}", answer.text());
    assert_eq!(answer.ending, Ending::Complete, "{what}");
    assert_eq!(answer.head.get("Content-Type"), Some("application/json"), "{what}");
    assert!(answer.head.get("Rdv-Error").is_some(), "{what}: {:?}", answer.head);
    let body = answer.json();
    assert_eq!(body["name"], name, "{what}: {}", answer.text());
    assert!(body["message"].is_string(), "{what}: {}", answer.text());
    if let Some(message) = message {
        let name = Value::from(name);
        // The status of an ended stream contains times.
        let reason = body.get("reason").map_or(String::new(), |why| format!(",\"reason\":{why}"));
        let message = Value::from(message);
        let wanted = format!("{{\"name\":{name},\"message\":{message}{reason}}}\n");
        assert_eq!(answer.text(), wanted, "{what}");
    }
    if matches!(status, 429 | 503) {
        let retry = answer.head.get("Retry-After").unwrap_or_else(|| panic!("{what}: Retry-After"));
        assert!(retry.parse::<u32>().is_ok(), "{what}: Retry-After {retry:?}");
    }
}
