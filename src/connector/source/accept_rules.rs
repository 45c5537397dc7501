//! What is taken in, and what becomes of it: paths, who may send, how a body becomes a payload and
//! what its key is.

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

/// How deep JSON may be that goes into a record as it is. Readers give up on the whole line where it
/// is deeper than they like (`serde_json` 128 levels, jq 1.6 256, Go 10,000), so one sender could stop a
/// pipeline; around it the record has two levels of its own.
const DEPTH_MAX: usize = 100;

/// What a source takes in.
#[derive(Debug)]
pub struct AcceptRules {
    /// Paths that can be pushed to; none: all.
    pub paths: Vec<String>,
    /// Other methods are answered with 404.
    pub compat: bool,
    /// Bytes of the longest body.
    pub body_max: usize,
    /// Names of header fields that go into the record: in lower case, sorted, each once.
    pub headers: Vec<String>,
    /// Requests have to bring this.
    pub token: Option<Token>,
    /// Bodies have to be signed.
    pub verifier: Option<Verifier>,
    /// JSON objects become structured payloads.
    pub structured: bool,
    /// What a record's key is.
    pub key: KeyRule,
}

/// A secret that requests bring, remembered by its digest: comparing those tells nothing about it.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// What a record's key is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyRule {
    /// There is none.
    #[default]
    None,
    /// The value of a header field.
    Header(String),
    /// The path of the request.
    Path,
    /// What a JSON pointer (RFC 6901) finds in the body.
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
    /// Of this text.
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether `Authorization` brings it as a bearer token.
    fn is_brought(&self, fields: Fields<'_, '_>) -> bool {
        fields.bearer().is_some_and(|token| Sha256::digest(token)[..] == self.0)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What a body is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Raw,
    /// JSON, which has to be valid.
    Json,
}

impl AcceptRules {
    /// Whether requests may be pushed to this path.
    pub fn takes(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|known| known == path)
    }

    /// Whether the sender may, as far as the head tells; and the check of its body.
    ///
    /// # Errors
    /// Why it may not.
    pub fn admit(&self, pushed: &Pushed<'_, '_, '_>) -> Result<Option<Check>, Failure> {
        let fields = pushed.head.fields;
        if self.token.as_ref().is_some_and(|token| !token.is_brought(fields)) {
            return Err(Failure::Unauthorized);
        }
        let now_unix_seconds = pushed.now.wall_ms.div_euclid(1000);
        let begin = |verifier: &Verifier| verifier.begin(fields, now_unix_seconds);
        self.verifier.as_ref().map(begin).transpose().map_err(unsigned)
    }

    /// What the body is to be taken for.
    pub fn kind(&self, head: &RequestHead<'_, '_>) -> Kind {
        self.kind_of(head.fields.get("Content-Type").unwrap_or_default())
    }

    /// What a body of this media type is to be taken for.
    pub fn kind_of(&self, kind: &[u8]) -> Kind {
        let wanted = self.structured || matches!(self.key, KeyRule::Pointer(_));
        if !wanted {
            return Kind::Raw;
        }
        let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii().to_ascii_lowercase();
        let json = kind == b"application/json" || kind.ends_with(b"+json");
        if json { Kind::Json } else { Kind::Raw }
    }

    /// The key, as JSON, where the head says it; else what an empty one is.
    pub fn key_of_head(&self, head: &RequestHead<'_, '_>) -> Cow<'static, [u8]> {
        let text = match &self.key {
            KeyRule::Header(name) => joined(head.fields, name),
            KeyRule::Path => Some(head.path.into()),
            KeyRule::None | KeyRule::Pointer(_) => None,
        };
        text.map_or(Cow::Borrowed(b"null"), |text| encoded(text.as_bytes()).into())
    }

    /// What a JSON body is, as a payload, and the key in it, if it is to be found there.
    ///
    /// # Errors
    /// That it is no JSON, or deeper than what reads the record may like.
    pub fn read_json(&self, body: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), Failure> {
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
        let payload =
            if structured { json::compact(value.get().as_bytes()) } else { encoded(body) };
        Ok((payload, key))
    }
}

/// What a payload that is nothing but bytes looks like.
pub fn encoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    json::base64(&mut out, bytes);
    out
}

/// The key that a JSON pointer (RFC 6901) finds, as it is written: of two long numbers that no
/// `f64` tells apart, each has its own digits.
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

/// What an object has by this name, or an array at this place; of equal names the last one.
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

/// Digits, and no zero before others (RFC 6901, section 4).
fn is_index(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// As its sender is told.
pub fn unsigned(error: SignatureError) -> Failure {
    Failure::BadSignature(error.to_string())
}
