//! The JSON bodies of creation, error report and receipt: no input makes the readers panic, and what they
//! accept can be written to the wire and read back unchanged.

use super::choices::Choices;
use super::response::read_back;
use crate::api::creation::{self, Creation, field_value};
use crate::api::download::custom_fields;
use crate::api::{Failure, Upload, receipt, report};
use crate::http::date::HttpDate;
use crate::http::framing::Framing;
use crate::http::response::HeadWriter;
use crate::rendezvous::transfer::Delimiter;
use crate::rendezvous::{Headers, Receipt};
use serde_json::{Map, Value, json};
use std::num::NonZeroU64;
use uuid::Uuid;

/// What the receiver of a receipt was sent.
const RECEIVED_BYTES: u64 = 60;

const NAMES: [&str; 11] = [
    "X-Name",
    "content-type",
    "Content-Disposition",
    "content-length",
    "PROXY-x",
    "Date",
    "",
    "a b",
    "X:Y",
    "Set-Cookie",
    "rdv-error",
];

const VALUES: [&str; 9] = [
    "\"text/html\"",
    "\"\"",
    "\"a\\r\\nB: c\"",
    "true",
    "-1.5e300",
    "null",
    "[]",
    "\"\\u00fc\"",
    "\" a\\tb \"",
];

/// Fuzzes raw bytes or a generated body; the first byte chooses.
pub fn bodies(data: &[u8]) {
    let mut choices = Choices::new(data);
    let body = if choices.one_in(2) {
        composed(&mut choices).into_bytes()
    } else {
        choices.rest().to_vec()
    };
    match creation::parse(&body) {
        Ok(Creation { headers, ttl_s, acked, id, tokens }) => {
            check_headers(headers.as_deref());
            check_ttl(&body, ttl_s);
            check_receipt(&body, acked);
            check_choices(&body, id, tokens);
        }
        Err(failure) => check_failure(&failure),
    }
    match report::parse(&body) {
        Ok(report) => {
            assert!((200..=599).contains(&report.status));
            check_failure(&Failure::Reported(Box::new(report)));
        }
        Err(failure) => check_failure(&failure),
    }
    match receipt::parse(&body, RECEIVED_BYTES) {
        Ok(receipt) => check_outcome(&body, &receipt),
        Err(failure) => check_failure(&failure),
    }
}

/// Checks that an identifier and tokens are requested exactly by their members.
fn check_choices(body: &[u8], id: Option<Uuid>, tokens: bool) {
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    assert_eq!(read["tokens"] == true, tokens);
    let text = read["id"].as_str().map(str::to_ascii_lowercase);
    assert_eq!(id.map(|id| id.to_string()), text);
}

/// Checks that a receipt confirms only the transferred number of bytes.
fn check_outcome(body: &[u8], receipt: &Receipt) {
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_confirmed = matches!(receipt, Receipt::Confirmed(_));
    let bytes = &read["bytes"];
    assert_eq!(is_confirmed, read["error"].is_null() && is_number(bytes, RECEIVED_BYTES));
    assert!(*receipt != Receipt::Expected, "a body is a report");
}

/// Whether a value is this number, however it is written: 60, 60.0 or 6e1.
#[allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "the nearest one, as JSON means it"
)]
fn is_number(value: &Value, number: u64) -> bool {
    match value.as_u64() {
        Some(written) => written == number,
        None => value.as_f64() == Some(number as f64),
    }
}

/// Returns a body of mostly valid members.
fn composed(choices: &mut Choices<'_>) -> String {
    let mut text = String::from("{\"unknown\":[{}]");
    for member in ["download_headers", "upload_headers"] {
        let fields: Vec<_> = (0..choices.below(4))
            .map(|_| format!("{}:{}", string(choices, &NAMES), value(choices)))
            .collect();
        text.extend([",\"", member, "\":{", &fields.join(","), "}"]);
    }
    if choices.one_in(3) {
        let seconds = choices.pick(&["1", "86400", "0", "-1", "60.0", "1e3", "\"60\"", "null"]);
        text.extend([",\"ttl_seconds\":", seconds]);
    }
    if choices.one_in(3) {
        let receipt = choices.pick(&["\"acked\"", "\"ACKED\"", "\"\"", "true", "null", "{}"]);
        text.extend([",\"receipt\":", receipt]);
    }
    if choices.one_in(4) {
        let bytes =
            choices.pick(&["60", "61", "-1", "60.0", "null", "\"60\"", "18446744073709551616"]);
        text.extend([",\"bytes\":", bytes]);
        if choices.one_in(2) {
            text.extend([",\"digest\":", &value(choices), ",\"error\":", &value(choices)]);
        }
    }
    if choices.one_in(2) {
        let status = choices.below(700).to_string();
        let (name, message) = (string(choices, &NAMES), string(choices, &VALUES));
        let members =
            [",\"http_status\":", &status, ",\"name\":", &name, ",\"message\":", &message];
        text.extend(members);
    }
    text + "}"
}

/// Returns a JSON string: one of the list, or any text.
fn string(choices: &mut Choices<'_>, list: &[&str]) -> String {
    if choices.one_in(4) {
        return json!(String::from_utf8_lossy(choices.bytes(20))).to_string();
    }
    json!(choices.pick(list)).to_string()
}

fn value(choices: &mut Choices<'_>) -> String {
    if choices.one_in(3) { string(choices, &VALUES) } else { choices.pick(&VALUES).to_owned() }
}

/// Checks that the TTL equals the body's, and that only an integer number of seconds is accepted.
fn check_ttl(body: &[u8], ttl_s: Option<NonZeroU64>) {
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    match (read.get("ttl_seconds"), ttl_s) {
        (Some(shown), Some(seconds)) => assert!(is_number(shown, seconds.get()), "{shown}"),
        (shown, seconds) => assert!(shown.is_none() && seconds.is_none(), "{shown:?} {seconds:?}"),
    }
}

/// Checks that a receipt is awaited exactly if the body requests it.
fn check_receipt(body: &[u8], acked: bool) {
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    assert_eq!(read.get("receipt").is_some(), acked);
    assert!(!acked || read["receipt"] == "acked");
}

/// Checks that the heads of both answers hold the accepted fields, in order, and no others.
fn check_headers(headers: Option<&Headers>) {
    let date = HttpDate::from_unix_seconds(0);
    let date_field = ("Date".to_owned(), date.as_bytes().to_vec());

    let requested = headers.map(|headers| &headers.upload);
    let mut out = Vec::new();
    custom_fields(HeadWriter::new(&mut out, 200, &date), requested).content_length(0).end();
    let mut expected = vec![date_field.clone()];
    expected.extend(fields(requested));
    expected.push(("Content-Length".to_owned(), b"0".to_vec()));
    read_back(&out, 200, &expected);

    let upload = Upload {
        framing: Framing::Chunked,
        content_type: Some(Box::from(&b"a/b"[..])),
        content_disposition: Some(Box::from(&b"inline"[..])),
        rare: None,
        expects_continue: false,
    };
    let mut out = Vec::new();
    let writer = HeadWriter::new(&mut out, 200, &date);
    upload.download_fields(writer, Delimiter::Chunks, headers).end();
    read_back(&out, 200, &download(headers, date_field));
}

/// Returns the fields that an accepted creation body requests.
fn fields(requested: Option<&Map<String, Value>>) -> impl Iterator<Item = (String, Vec<u8>)> {
    let requested = requested.into_iter().flatten();
    requested.map(|(name, value)| (name.clone(), field_value(value).into_bytes()))
}

/// Returns all fields of a download's head according to the contract.
fn download(headers: Option<&Headers>, date: (String, Vec<u8>)) -> Vec<(String, Vec<u8>)> {
    let requested: Vec<_> = fields(headers.map(|headers| &headers.download)).collect();
    let named = |wanted: &str| requested.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let mut expected = vec![date];
    let own = [
        ("Transfer-Encoding", "chunked"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Robots-Tag", "none"),
        ("X-Accel-Buffering", "no"),
        ("Content-Security-Policy", "sandbox"),
        ("Content-Type", "a/b"),
        ("Content-Disposition", "inline"),
    ];
    for (name, value) in own {
        if !(name.starts_with("Content-") && name.len() != 23 && named(name)) {
            expected.push((name.to_owned(), value.as_bytes().to_vec()));
        }
    }
    expected.extend(requested);
    expected
}

/// Checks both forms of a failure: a JSON object that parses back, and one line.
fn check_failure(failure: &Failure) {
    let text = failure.body(false);
    let object: Value = serde_json::from_str(&text).expect("an error body is JSON");
    assert_eq!(object, json!({ "name": failure.name(), "message": failure.message() }));
    let line = failure.body(true);
    assert_eq!(line.chars().filter(|char| char.is_control()).count(), 1, "one line: {line:?}");
    assert!(line.ends_with('\n') && text.ends_with('\n'));
}
