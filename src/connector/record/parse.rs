//! Parses a line into a record. Unknown members are ignored; a duplicate of a known one is refused,
//! since two readers could use different values.

use super::{Change, Data, Operation, Record, RecordError, json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The members of a record as written. Position and operation are required; a null position, Go's
/// empty slice, is an empty one.
#[derive(Deserialize)]
struct RawRecord<'a> {
    #[serde(borrow, deserialize_with = "present")]
    position: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    metadata: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
}

/// With a custom function, serde requires the member even where it may be null.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    Ok(Option::<Text<'de>>::deserialize(from)?.map(|text| text.0))
}

/// Parses a record from one line.
pub(super) fn record(line: &[u8]) -> Result<Record, RecordError> {
    let text = std::str::from_utf8(line).map_err(|error| RecordError::Json(error.to_string()))?;
    // Derived code also accepts an array of the members in order.
    let line: RawRecord = serde_json::from_str(object("the record", text)?).map_err(wrong)?;
    let position = line.position.unwrap_or_default();
    let operation = Operation::of_name(&line.operation)
        .ok_or_else(|| RecordError::Operation(line.operation.into_owned()))?;
    Ok(Record {
        position: decode("position", &position)?,
        operation,
        metadata: line.metadata.unwrap_or_default(),
        key: data("key", line.key)?,
        payload: change(line.payload)?,
    })
}

fn wrong(error: impl std::fmt::Display) -> RecordError {
    RecordError::Json(error.to_string())
}

/// Returns the text if it begins like an object.
fn object<'a>(part: &'static str, text: &'a str) -> Result<&'a str, RecordError> {
    let begins = text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    if begins { Ok(text) } else { Err(RecordError::NotAnObject(part)) }
}

fn change(payload: Option<&RawValue>) -> Result<Change, RecordError> {
    let Some(payload) = payload else { return Ok(Change::default()) };
    let text = object("payload", payload.get())?;
    let payload: Payload = serde_json::from_str(text).map_err(wrong)?;
    Ok(Change {
        before: data("payload.before", payload.before)?,
        after: data("payload.after", payload.after)?,
    })
}

fn data(member: &'static str, value: Option<&RawValue>) -> Result<Option<Data>, RecordError> {
    let Some(value) = value else { return Ok(None) };
    match value.get().as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let text: Cow<str> = serde_json::from_str::<Text>(value.get()).map_err(wrong)?.0;
            decode(member, &text).map(Data::Raw).map(Some)
        }
        Some(b'{') => structured(value.get()).map(Some),
        Some(_) | None => Err(RecordError::Data(member)),
    }
}

/// A string that is borrowed if it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn structured(text: &str) -> Result<Data, RecordError> {
    let compact = String::from_utf8(json::compact(text.as_bytes())).map_err(wrong)?;
    RawValue::from_string(compact).map(Data::Structured).map_err(wrong)
}

fn decode(member: &'static str, text: &str) -> Result<Vec<u8>, RecordError> {
    STANDARD.decode(text.as_bytes()).map_err(|_| RecordError::Base64(member))
}
