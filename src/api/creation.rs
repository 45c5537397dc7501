//! The body of `POST /stream`: header fields for both responses, a waiting time, a receipt, and a URL
//! to notify.

use super::Failure;
use super::json::{integer, invalid, kind, object};
use super::origin_wide::is_origin_wide;
use super::route::parse_id;
use crate::http::fields::{Fields, is_field_value, is_token};
use crate::http::head::FIELDS_MAX;
use crate::http::hop::commands_proxy;
use crate::http::host::Authority;
use crate::rendezvous::{Guard, Headers};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::time::Duration;
use uuid::Uuid;

/// Fields under the relay's own control: they frame messages, concern one hop only, or mark errors.
const RESERVED: [&str; 9] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "date",
    "rdv-error",
];

/// Fields that affect the origin besides those that always do: a download can set no cookies (RFC
/// 6265), and cannot send a browser to another page.
const ORIGIN_WIDE: [&str; 2] = ["refresh", "set-cookie"];

/// Options of a new stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Creation {
    /// Header fields, if any.
    pub headers: Option<Box<Headers>>,
    /// The waiting time in seconds instead of the default; never 0.
    pub ttl_s: Option<NonZeroU64>,
    /// The source is answered once the destination's TCP has acknowledged every byte.
    pub acked: bool,
    /// The identifier, if the creator chose it.
    pub id: Option<Uuid>,
    /// The stream has tokens of its own.
    pub tokens: bool,
}

/// The member that chooses the identifier, and the one that requests tokens.
const ID: &str = "id";
const TOKENS: &str = "tokens";

/// The member with the URL that is notified of the end.
pub(super) const NOTIFY_URL: &str = "notify_url";

/// Maximum length of that URL, in bytes.
const URL_MAX_BYTES: usize = 2048;

/// The field with which a client repeats a request.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Maximum length of its value, in bytes.
const KEY_MAX_BYTES: usize = 255;

/// Size of a response without tokens, allocated at once.
const RESPONSE_BYTES: usize = 96;

/// The member that requests a receipt, and its value.
pub(super) const ACKED: (&str, &str) = ("receipt", "acked");

/// Parses a creation body. Unknown members are ignored.
///
/// # Errors
/// [`Failure::InvalidBody`] with what is wrong.
pub fn parse(body: &[u8]) -> Result<Creation, Failure> {
    let mut members = object(body)?;
    if members.is_empty() {
        return Ok(Creation::default());
    }
    let ttl_s = ttl_s(members.get("ttl_seconds"))?;
    let acked = acked(&members)?;
    let (id, tokens) = (chosen_id(&members)?, tokens(&members)?);
    let headers = Headers {
        notify_url: notify_url(&members)?,
        download: fields(&mut members, "download_headers")?,
        upload: fields(&mut members, "upload_headers")?,
        ..Headers::default()
    };
    let empty = headers == Headers::default();
    let headers = (!empty).then(|| Box::new(headers));
    Ok(Creation { headers, ttl_s, acked, id, tokens })
}

/// Returns the value of a header field as sent on the wire.
pub fn field_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn ttl_s(value: Option<&Value>) -> Result<Option<NonZeroU64>, Failure> {
    let Some(value) = value else { return Ok(None) };
    let seconds = integer(value).and_then(NonZeroU64::new);
    let refusal = || format!("ttl_seconds must be an integer of at least 1, got {value}");
    seconds.map(Some).ok_or_else(|| invalid(refusal()))
}

fn acked(members: &Map<String, Value>) -> Result<bool, Failure> {
    let (member, acked) = ACKED;
    match members.get(member) {
        None => Ok(false),
        Some(value) if value == acked => Ok(true),
        Some(other) => Err(invalid(format!("{member} must be \"{acked}\" or absent, got {other}"))),
    }
}

fn chosen_id(members: &Map<String, Value>) -> Result<Option<Uuid>, Failure> {
    let Some(value) = members.get(ID) else { return Ok(None) };
    let id = value.as_str().and_then(parse_id);
    let wrong = || invalid(format!("{ID} must be a UUID with hyphens, got {value}"));
    id.map(Some).ok_or_else(wrong)
}

/// Returns the refusal of an identifier that names no node.
pub fn not_of_node(own: u16) -> Failure {
    let format = format!("{own:04x}xxxx-xxxx-8xxx-8xxx-xxxxxxxxxxxx");
    invalid(format!(
        "{ID} must be a UUID of version 8 that begins with this node: {format} (node-id)"
    ))
}

fn tokens(members: &Map<String, Value>) -> Result<bool, Failure> {
    match members.get(TOKENS) {
        None => Ok(false),
        Some(Value::Bool(tokens)) => Ok(*tokens),
        Some(other) => Err(invalid(format!("{TOKENS} must be true or false, got {other}"))),
    }
}

/// Returns the URL to notify. Its host is resolved, and the addresses checked, when it is used.
fn notify_url(members: &Map<String, Value>) -> Result<Option<Box<str>>, Failure> {
    let Some(value) = members.get(NOTIFY_URL) else { return Ok(None) };
    // It may contain a secret, so the errors do not show it.
    let wrong = |why: &str| Err(invalid(format!("{NOTIFY_URL} {why}")));
    let Value::String(url) = value else { return wrong("must be a string") };
    if url.len() > URL_MAX_BYTES || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong(&format!("must be at most {URL_MAX_BYTES} visible ASCII characters"));
    }
    let rest = match url.split_once("://") {
        Some((scheme, rest))
            if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) =>
        {
            rest
        }
        Some(_) | None => return wrong("must begin with https:// or http://"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return wrong("must have no user name or password");
    }
    let port = |port: Option<&str>| port.is_none_or(|port| port.parse::<u16>().is_ok());
    match Authority::parse(authority) {
        Some(parsed) if !parsed.host.is_empty() && port(parsed.port) => Ok(Some((**url).into())),
        Some(_) | None => wrong("must have a valid host and port"),
    }
}

/// Returns the request of a client that repeats it with a key (draft-ietf-httpapi-idempotency-key),
/// without its body; `None`: it has no key.
///
/// # Errors
/// [`CreationFailure::InvalidKey`].
pub fn request_key(
    fields: &Fields<'_, '_>,
    client: impl FnOnce() -> String,
) -> Result<Option<[u8; 32]>, Failure> {
    let mut all = fields.all(IDEMPOTENCY_KEY);
    let Some(key) = all.next() else { return Ok(None) };
    let is_valid = (1..=KEY_MAX_BYTES).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if all.next().is_some() || !is_valid {
        return Err(Failure::Creation(CreationFailure::InvalidKey));
    }
    // No client has a zero byte: the key of one is never that of another.
    let digest =
        Sha256::new().chain_update(client()).chain_update([0]).chain_update(key).finalize();
    Ok(Some(digest.into()))
}

/// Returns the digest of a body, to notice another one with the same key.
pub fn body_digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// Returns the body of the response to a creation: the identifier, its tokens if it has some, and the
/// waiting time granted to a client that requested one.
pub fn response(id: Uuid, guard: Option<&Guard>, granted: Option<Duration>) -> String {
    let mut text = String::with_capacity(RESPONSE_BYTES);
    text.push_str(r#"{"stream":""#);
    text.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    text.push('"');
    if let Some(Guard { put, get, owner }) = guard {
        for (name, token) in [("put", put), ("get", get), ("owner", owner)] {
            let _ = write!(text, r#","{name}_token":"{}""#, token.simple());
        }
    }
    if let Some(ttl) = granted {
        let _ = write!(text, r#","ttl_seconds":{}"#, ttl.as_secs());
    }
    text.push_str("}\n");
    text
}

/// Why a stream is not created as requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreationFailure {
    /// The key of the request is repeated or not valid.
    InvalidKey,
    /// The key was used with another body.
    KeyReused,
    /// The chosen identifier is that of another stream.
    IdTaken,
    /// This client cannot choose an identifier.
    IdChosen,
    /// This client cannot have notifications sent.
    NotifyScope,
    /// The relay sends no notifications.
    NotifyOff,
}

impl CreationFailure {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::InvalidKey | Self::NotifyOff => 400,
            Self::IdChosen | Self::NotifyScope => 403,
            Self::IdTaken => 409,
            Self::KeyReused => 422,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InvalidKey => "BadRequestError",
            Self::IdChosen | Self::NotifyScope => "ForbiddenError",
            Self::NotifyOff => "InvalidBodyError",
            Self::IdTaken => "StreamExistsError",
            Self::KeyReused => "IdempotencyError",
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::InvalidKey => {
                "Idempotency-Key must be given once, with 1 to 255 visible characters"
            }
            Self::IdChosen => "Only a token with the scope create can choose the id of a stream",
            Self::NotifyScope => "Only a token with the scope notify can set notify_url",
            Self::NotifyOff => "This relay sends no notifications (notify-secret-file)",
            Self::IdTaken => "A stream with this id exists, or ended a short time ago",
            Self::KeyReused => "This Idempotency-Key was used with another body",
        }
    }
}

fn fields(members: &mut Map<String, Value>, member: &str) -> Result<Map<String, Value>, Failure> {
    let fields = match members.remove(member) {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            return Err(invalid(format!("{member} must be an object; it is {}", kind(&other))));
        }
    };
    if fields.len() > FIELDS_MAX {
        return Err(invalid(format!("{member} has more than {FIELDS_MAX} headers")));
    }
    for (name, value) in &fields {
        check(member, name, value)?;
    }
    Ok(fields)
}

fn check(member: &str, name: &str, value: &Value) -> Result<(), Failure> {
    if !is_token(name.as_bytes()) {
        return Err(invalid(format!("Not a valid HTTP header name: {name}")));
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Err(invalid(format!("The relay itself sets the header {name}; remove it")));
    }
    if ORIGIN_WIDE.contains(&lower.as_str()) || is_origin_wide(name) {
        return Err(invalid(format!(
            "The header {name} acts on the entire origin, which other streams share; remove it"
        )));
    }
    if commands_proxy(name) {
        return Err(invalid(format!(
            "The header {name} is a command to a reverse proxy; remove it"
        )));
    }
    match value {
        Value::String(text) if is_field_value(text.as_bytes()) => Ok(()),
        Value::String(text) => Err(invalid(format!("Not a valid HTTP header value: \"{text}\""))),
        Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(invalid(format!(
            "{member}: the value of {name} must be a string, number or boolean; it is {}",
            kind(value)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_body_requests_the_defaults() {
        for (name, body) in [
            ("no body", ""),
            ("blank", " \r\n"),
            ("null", "null"),
            ("empty object", "{}"),
            ("unknown members", r#"{"x":1}"#),
            ("empty headers", r#"{"download_headers":{},"upload_headers":null}"#),
        ] {
            assert_eq!(parse(body.as_bytes()), Ok(Creation::default()), "{name}");
        }
    }

    #[test]
    fn headers_are_kept_as_given_and_in_order() {
        let headers = parse(
            br#"{"download_headers":{"X-B":1,"X-A":true},"upload_headers":{"Location":"/x"}}"#,
        )
        .unwrap()
        .headers
        .unwrap();
        let names: Vec<_> =
            headers.download.iter().map(|(n, v)| (n.as_str(), field_value(v))).collect();
        assert_eq!(names, [("X-B", "1".to_owned()), ("X-A", "true".to_owned())]);
        assert_eq!(headers.upload["Location"], "/x");
    }

    #[test]
    fn a_ttl_is_a_positive_integer_of_seconds() {
        for (text, seconds) in [
            ("1", 1),
            ("86400", 86_400),
            ("60.0", 60),
            ("18446744073709551615", u64::MAX),
            ("1e30", u64::MAX),
        ] {
            let body = format!(r#"{{"ttl_seconds":{text}}}"#);
            let wanted = Creation { ttl_s: NonZeroU64::new(seconds), ..Creation::default() };
            assert_eq!(parse(body.as_bytes()), Ok(wanted), "{text}");
        }
        for text in ["0", "-1", "1.5", "\"60\"", "\"60s\"", "true", "null", "[60]", "{}"] {
            let body = format!(r#"{{"ttl_seconds":{text}}}"#);
            let message = format!("ttl_seconds must be an integer of at least 1, got {text}");
            assert_eq!(parse(body.as_bytes()), Err(Failure::InvalidBody(message)), "{text}");
        }
    }

    #[test]
    fn the_only_receipt_is_that_of_the_destinations_tcp() {
        let acked = Ok(Creation { acked: true, ..Creation::default() });
        assert_eq!(parse(br#"{"receipt":"acked"}"#), acked);
        for value in ["\"none\"", "\"Acked\"", "\"\"", "true", "null", "1", "{}", "[\"acked\"]"] {
            let message = format!("receipt must be \"acked\" or absent, got {value}");
            let body = format!(r#"{{"receipt":{value}}}"#);
            assert_eq!(parse(body.as_bytes()), Err(Failure::InvalidBody(message)), "{value}");
        }
    }

    #[test]
    fn a_url_to_notify_is_http_without_credentials() {
        for url in ["https://hooks.example/a?b=c", "HTTP://[::1]:8080", "http://192.0.2.1:1/x"] {
            let body = format!(r#"{{"notify_url":"{url}"}}"#);
            let headers = parse(body.as_bytes()).unwrap().headers.unwrap();
            assert_eq!(headers.notify_url.as_deref(), Some(url));
        }
        let long = format!("\"http://h/{}\"", "a".repeat(URL_MAX_BYTES));
        for (name, value, hint) in [
            ("no string", "7", "a string"),
            ("null", "null", "a string"),
            ("another scheme", "\"ftp://secret.example\"", "https://"),
            ("a file", "\"file:///etc/secret\"", "https://"),
            ("no scheme", "\"secret.example\"", "https://"),
            ("a password", "\"http://me:secret@h/\"", "no user name"),
            ("no host", "\"http:///secret\"", "valid host"),
            ("a port beyond the last", "\"http://secret:65536\"", "valid host"),
            ("a newline", "\"http://h/secret\\r\\nX: y\"", "visible ASCII"),
            ("a letter outside ASCII", "\"http://h/secret-ü\"", "visible ASCII"),
            ("too long", &long, "at most 2048"),
        ] {
            let refused = parse(format!(r#"{{"notify_url":{value}}}"#).as_bytes());
            let Err(Failure::InvalidBody(message)) = refused else { panic!("{name}: {refused:?}") };
            assert!(message.contains(hint) && !message.contains("secret"), "{name}: {message}");
        }
    }

    #[test]
    fn headers_that_act_on_the_origin_are_refused_in_any_case() {
        for name in [
            "Accept-CH",
            "Alt-Svc",
            "Clear-Site-Data",
            "Expect-CT",
            "NEL",
            "Public-Key-Pins",
            "Public-Key-Pins-Report-Only",
            "Refresh",
            "Report-To",
            "Reporting-Endpoints",
            "Service-Worker-Allowed",
            "Set-Cookie",
            "Set-Cookie2",
            "Set-Login",
            "Use-As-Dictionary",
            "Strict-Transport-Security",
        ] {
            for member in ["download_headers", "upload_headers"] {
                for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                    let body = format!(r#"{{"{member}":{{"{name}":"x"}}}}"#);
                    let message = format!(
                        "The header {name} acts on the entire origin, which other streams share; remove it"
                    );
                    assert_eq!(
                        parse(body.as_bytes()),
                        Err(Failure::InvalidBody(message)),
                        "{name}"
                    );
                }
            }
        }
        for name in ["Cookie", "Location", "Set-Cookie3", "Link"] {
            let body = format!(r#"{{"download_headers":{{"{name}":"x"}}}}"#);
            assert!(parse(body.as_bytes()).is_ok(), "{name}");
        }
    }

    #[test]
    fn headers_that_command_a_reverse_proxy_are_refused() {
        for name in ["X-Accel-Redirect", "x-sendfile", "X-LIGHTTPD-send-file", "x-reproxy-url"] {
            let message = format!("The header {name} is a command to a reverse proxy; remove it");
            for member in ["download_headers", "upload_headers"] {
                let body = format!(r#"{{"{member}":{{"{name}":"/private"}}}}"#);
                let refused = Err(Failure::InvalidBody(message.clone()));
                assert_eq!(parse(body.as_bytes()), refused, "{member}");
            }
        }
        let body = br#"{"download_headers":{"X-Accel-Buffering":"no"}}"#;
        assert!(parse(body).is_ok(), "it concerns this response alone");
    }

    #[test]
    fn invalid_headers_and_bodies_are_refused() {
        for (name, body, message) in [
            (
                "space in name",
                r#"{"download_headers":{"a b":"x"}}"#,
                "Not a valid HTTP header name: a b",
            ),
            ("empty name", r#"{"upload_headers":{"":"x"}}"#, "Not a valid HTTP header name: "),
            (
                "newline",
                "{\"upload_headers\":{\"A\":\"x\\r\\nB: y\"}}",
                "Not a valid HTTP header value: \"x\r\nB: y\"",
            ),
            ("umlaut", r#"{"upload_headers":{"A":"ü"}}"#, "Not a valid HTTP header value: \"ü\""),
            (
                "reserved",
                r#"{"download_headers":{"content-LENGTH":1}}"#,
                "The relay itself sets the header content-LENGTH; remove it",
            ),
            (
                "proxy",
                r#"{"download_headers":{"Proxy-Auth":1}}"#,
                "The relay itself sets the header Proxy-Auth; remove it",
            ),
            (
                "a cookie",
                r#"{"download_headers":{"Set-Cookie":"a=b"}}"#,
                "The header Set-Cookie acts on the entire origin, which other streams share; remove it",
            ),
            (
                "array value",
                r#"{"download_headers":{"A":[]}}"#,
                "download_headers: the value of A must be a string, number or boolean; it is an array",
            ),
            (
                "no object",
                r#"{"download_headers":3}"#,
                "download_headers must be an object; it is a number",
            ),
            ("a list", "[]", "The body must be a JSON object, null, or nothing; it is an array"),
        ] {
            assert_eq!(parse(body.as_bytes()), Err(Failure::InvalidBody(message.into())), "{name}");
        }
    }
}
