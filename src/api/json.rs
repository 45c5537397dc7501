//! Common rules of both JSON bodies: nothing, blank, `null`, or an object.

use super::Failure;
use serde_json::{Map, Value};

/// Returns the members of an optional JSON object.
///
/// # Errors
/// [`Failure::InvalidBody`] for anything that does not parse or is not an object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(other) => Err(invalid(format!(
            "The body must be a JSON object, null, or nothing; it is {}",
            kind(&other)
        ))),
        Err(error) => Err(invalid(format!("The body is not valid JSON: {error}"))),
    }
}

/// Returns the type of a value, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Returns a number without a fraction, such as 7 and 7.0 (JSON Schema, section 6.1.1), at most the
/// largest one; `None` for others, and below 0.
pub(super) fn integer(value: &Value) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0).then_some(number as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

pub(super) fn invalid(message: String) -> Failure {
    Failure::InvalidBody(message)
}
