//! The body of `POST /stream/:id/error`: an error for the other side.

use super::Failure;
use super::json::{integer, invalid, kind, object};
use crate::rendezvous::PeerReport;
use serde_json::{Map, Value};

/// Parses a report; omitted members have defaults.
///
/// # Errors
/// [`Failure::InvalidBody`] with what is wrong.
pub fn parse(body: &[u8]) -> Result<PeerReport, Failure> {
    let members = object(body)?;
    Ok(PeerReport {
        status: status(members.get("http_status"))?,
        name: text(&members, "name", "Error")?,
        message: text(&members, "message", "The other side encountered an unspecified error")?,
    })
}

fn status(value: Option<&Value>) -> Result<u16, Failure> {
    let Some(value) = value else { return Ok(400) };
    integer(value)
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (200..=599).contains(status))
        .ok_or_else(|| {
            invalid(format!("http_status must be an integer from 200 to 599; it is {value}"))
        })
}

fn text(members: &Map<String, Value>, member: &str, default: &str) -> Result<String, Failure> {
    match members.get(member) {
        None => Ok(default.to_owned()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(invalid(format!("{member} must be a string; it is {}", kind(other)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_members_have_defaults() {
        let vague = PeerReport {
            status: 400,
            name: "Error".into(),
            message: "The other side encountered an unspecified error".into(),
        };
        for body in ["", "null", "{}", r#"{"unknown":1}"#] {
            assert_eq!(parse(body.as_bytes()), Ok(vague.clone()), "{body}");
        }
    }

    #[test]
    fn a_status_can_have_a_fraction_of_zero() {
        assert_eq!(parse(br#"{"http_status":404.0}"#).map(|report| report.status), Ok(404));
    }

    #[test]
    fn a_report_that_cannot_be_sent_is_refused() {
        for (name, body) in [
            ("status below 200", r#"{"http_status":199}"#),
            ("status above 599", r#"{"http_status":600}"#),
            ("fraction", r#"{"http_status":404.5}"#),
            ("status as text", r#"{"http_status":"404"}"#),
            ("status null", r#"{"http_status":null}"#),
            ("name no text", r#"{"name":4}"#),
            ("message no text", r#"{"message":{}}"#),
            ("no object", "7"),
            ("cut off", r#"{"name":"#),
        ] {
            assert!(matches!(parse(body.as_bytes()), Err(Failure::InvalidBody(_))), "{name}");
        }
    }
}
