//! The body of `POST /stream/:id/receipt`: what the receiver has of the data.

use super::Failure;
use super::json::{integer, invalid, kind, object};
use crate::rendezvous::Receipt;
use serde_json::{Map, Value};

/// The header field with which a receiver announces a receipt, and its value.
pub const FIELD: (&str, &str) = ("Rdv-Receipt", "expected");

/// Parses a receipt for a stream that transferred this number of bytes.
///
/// # Errors
/// [`Failure::InvalidBody`] with what is wrong.
pub fn parse(body: &[u8], transferred_bytes: u64) -> Result<Receipt, Failure> {
    let members = object(body)?;
    if let Some(reason) = text(&members, "error")? {
        return Ok(Receipt::failed(reason));
    }
    let digest = text(&members, "digest")?;
    match members.get("bytes").map(|bytes| (bytes, integer(bytes))) {
        Some((_, Some(bytes))) if bytes != transferred_bytes => {
            let reason = format!("the receiver has {bytes} of {transferred_bytes} bytes");
            Ok(Receipt::failed(&reason))
        }
        Some((_, Some(_))) => Ok(Receipt::confirmed(digest)),
        Some((other, None)) => {
            Err(invalid(format!("bytes must be an integer, 0 or more; it is {other}")))
        }
        None => Err(invalid("A receipt has the number of bytes, or an error".into())),
    }
}

fn text<'m>(members: &'m Map<String, Value>, member: &str) -> Result<Option<&'m str>, Failure> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(invalid(format!("{member} must be a string; it is {}", kind(other)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_confirms_all_bytes_or_has_a_reason() {
        let failed = |reason: &str| Some(Receipt::failed(reason));
        for (body, receipt) in [
            (r#"{"bytes":7}"#, Some(Receipt::confirmed(None))),
            (
                r#"{"bytes":7,"digest":"sha-256=:x:"}"#,
                Some(Receipt::confirmed(Some("sha-256=:x:"))),
            ),
            (r#"{"bytes":7,"digest":null,"x":1}"#, Some(Receipt::confirmed(None))),
            (r#"{"bytes":7.0}"#, Some(Receipt::confirmed(None))),
            (r#"{"bytes":1e30}"#, failed("the receiver has 18446744073709551615 of 7 bytes")),
            (r#"{"bytes":6}"#, failed("the receiver has 6 of 7 bytes")),
            (r#"{"error":"no space left"}"#, failed("no space left")),
            (r#"{"bytes":7,"error":"digest mismatch"}"#, failed("digest mismatch")),
            ("", None),
            ("{}", None),
            (r#"{"bytes":-1}"#, None),
            (r#"{"bytes":7.5}"#, None),
            (r#"{"bytes":7,"digest":1}"#, None),
            (r#"{"error":{}}"#, None),
            ("[7]", None),
        ] {
            let parsed = parse(body.as_bytes(), 7);
            assert_eq!(parsed.clone().ok(), receipt, "{body}: {parsed:?}");
        }
    }
}
