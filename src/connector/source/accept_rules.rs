//! Rules for incoming requests: paths, authorization, and how a body becomes a payload and a key.

use super::coding::Coding;
use super::envelope::joined;
use crate::api::Failure;
use crate::connector::record::json;
use crate::connector::signature::{Check, SignatureError, Verifier};
use crate::http::fields::{Fields, is_token};
use crate::http::head::RequestHead;
use crate::relay::Pushed;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::str::FromStr;

/// Maximum depth of JSON that goes into a record as it is. Readers reject the entire line if it is
/// deeper than their limit (`serde_json` 128 levels, jq 1.6 256, Go 10,000), so one sender could
/// stop a pipeline; the record adds two levels of its own.
const DEPTH_MAX: usize = 100;

/// Rules for accepting requests.
#[derive(Debug)]
pub struct AcceptRules {
    /// Paths that accept requests; empty: all.
    pub paths: Vec<String>,
    /// Whether other methods are answered with 404.
    pub compat: bool,
    /// Maximum body size, in bytes.
    pub body_max: usize,
    /// Names of header fields that go into the record: lower case, sorted, unique.
    pub headers: Vec<String>,
    /// Token that requests need.
    pub token: Option<Token>,
    /// Verifier, if bodies must be signed.
    pub verifier: Option<Verifier>,
    /// Whether JSON objects become structured payloads.
    pub structured: bool,
    /// How a record's key is made.
    pub key: KeyRule,
}

/// A bearer token, kept as its digest: comparing digests reveals nothing about it.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// How a record's key is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyRule {
    /// No key.
    #[default]
    None,
    /// The value of a header field.
    Header(String),
    /// The path of the request.
    Path,
    /// The value at a JSON pointer (RFC 6901) in the body.
    Pointer(String),
}

impl FromStr for KeyRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "path" => Ok(Self::Path),
            Some(("header", name)) if is_token(name.as_bytes()) => Ok(Self::Header(name.into())),
            Some(("json", pointer)) if pointer.is_empty() || pointer.starts_with('/') => {
                Ok(Self::Pointer(pointer.into()))
            }
            _ => Err("expected header:NAME, path or json:/POINTER".into()),
        }
    }
}

impl Token {
    /// Creates a token from its text.
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether `Authorization` has it as a bearer token.
    fn is_brought(&self, fields: Fields<'_, '_>) -> bool {
        fields.bearer().is_some_and(|token| Sha256::digest(token)[..] == self.0)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// How a body is interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Raw,
    /// JSON, which must be valid once it is decoded.
    Json(Option<Coding>),
}

/// The parts of a record that are in a JSON body, as JSON.
#[derive(Debug, Default)]
pub struct JsonParts {
    /// The structured payload; `None`: the body is a raw one.
    pub payload: Option<Vec<u8>>,
    /// The key.
    pub key: Option<Vec<u8>>,
}

impl AcceptRules {
    /// Whether requests to this path are accepted.
    pub fn takes(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|known| known == path)
    }

    /// Checks authorization as far as the head allows; returns the check of the body.
    ///
    /// # Errors
    /// Why the request is refused.
    pub fn admit(&self, pushed: &Pushed<'_, '_, '_>) -> Result<Option<Check>, Failure> {
        let fields = pushed.head.fields;
        if self.token.as_ref().is_some_and(|token| !token.is_brought(fields)) {
            return Err(Failure::Unauthorized);
        }
        let now_unix_seconds = pushed.now.wall_ms.div_euclid(1000);
        let begin = |verifier: &Verifier| verifier.begin(fields, now_unix_seconds);
        self.verifier.as_ref().map(begin).transpose().map_err(unsigned)
    }

    /// Returns how the body is interpreted.
    ///
    /// # Errors
    /// If it is JSON in a content coding that cannot be decoded.
    pub fn kind(&self, head: &RequestHead<'_, '_>) -> Result<Kind, Failure> {
        let encoding = joined(head.fields, "content-encoding").unwrap_or_default();
        self.kind_of(head.fields.get("Content-Type").unwrap_or_default(), &encoding)
    }

    /// Returns how a body of this media type and content encoding is interpreted.
    ///
    /// # Errors
    /// As for [`kind`](Self::kind).
    pub fn kind_of(&self, kind: &[u8], encoding: &str) -> Result<Kind, Failure> {
        let wanted = self.structured || matches!(self.key, KeyRule::Pointer(_));
        if !wanted {
            return Ok(Kind::Raw);
        }
        let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii().to_ascii_lowercase();
        let json = kind == b"application/json" || kind.ends_with(b"+json");
        if json { Coding::parse(encoding).map(Kind::Json) } else { Ok(Kind::Raw) }
    }

    /// Returns the key as JSON, if it depends on the head; else null.
    pub fn key_of_head(&self, head: &RequestHead<'_, '_>) -> Cow<'static, [u8]> {
        let text = match &self.key {
            KeyRule::Header(name) => joined(head.fields, name),
            KeyRule::Path => Some(head.path.into()),
            KeyRule::None | KeyRule::Pointer(_) => None,
        };
        text.map_or(Cow::Borrowed(b"null"), |text| encoded(text.as_bytes()).into())
    }

    /// Returns the structured payload of a JSON body, if it is to have one, and the key if it is in
    /// the body.
    ///
    /// # Errors
    /// If it cannot be decoded, is not valid JSON, or is deeper than readers of the record may
    /// accept.
    pub fn read_json(&self, body: &[u8], coding: Option<Coding>) -> Result<JsonParts, Failure> {
        let decoded = coding.map(|coding| coding.decode(body, self.body_max)).transpose()?;
        let body = decoded.as_deref().unwrap_or(body);
        if body.is_empty() {
            return Ok(JsonParts::default());
        }
        let invalid = |error: serde_json::Error| {
            Failure::InvalidBody(format!("The body is not valid JSON: {error}"))
        };
        let value: &RawValue = serde_json::from_slice(body).map_err(invalid)?;
        let key = match &self.key {
            KeyRule::Pointer(pointer) => key_in(value, pointer).map_err(invalid)?,
            KeyRule::None | KeyRule::Header(_) | KeyRule::Path => None,
        };
        let structured = self.structured && value.get().starts_with('{');
        let goes_as_it_is = structured || key.as_ref().is_some_and(|key| key.starts_with(b"{"));
        if goes_as_it_is && json::depth(body) > DEPTH_MAX {
            let why = format!("The body is JSON of more than {DEPTH_MAX} levels; send fewer");
            return Err(Failure::InvalidBody(why));
        }
        let payload = structured.then(|| json::compact(value.get().as_bytes()));
        Ok(JsonParts { payload, key })
    }
}

/// Encodes bytes as a raw payload.
fn encoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    json::base64(&mut out, bytes);
    out
}

/// Returns the key at a JSON pointer (RFC 6901), as written: two long numbers that are the same
/// `f64` keep their own digits.
fn key_in(json: &RawValue, pointer: &str) -> serde_json::Result<Option<Vec<u8>>> {
    let mut found = json;
    for token in pointer.split('/').skip(1) {
        let Some(next) = member(found, &token.replace("~1", "/").replace("~0", "~"))? else {
            return Ok(None);
        };
        found = next;
    }
    let text = found.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => Some(encoded(serde_json::from_str::<String>(text)?.as_bytes())),
        Some(b'{') => Some(json::compact(text.as_bytes())),
        Some(_) | None => Some(encoded(&json::compact(text.as_bytes()))),
    })
}

/// Returns the member of an object, or the element of an array; of equal names the last one.
fn member<'j>(json: &'j RawValue, name: &str) -> serde_json::Result<Option<&'j RawValue>> {
    let text = json.get();
    Ok(match text.as_bytes().first() {
        Some(b'{') => serde_json::from_str::<HashMap<String, _>>(text)?.remove(name),
        Some(b'[') if is_index(name) => {
            let place = name.parse().unwrap_or(usize::MAX);
            serde_json::from_str::<Vec<_>>(text)?.get(place).copied()
        }
        Some(_) | None => None,
    })
}

/// Whether the text is digits without a leading zero (RFC 6901, section 4).
fn is_index(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// Converts the error into the failure sent to the client.
pub fn unsigned(error: SignatureError) -> Failure {
    Failure::BadSignature(error.to_string())
}
