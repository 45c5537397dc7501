//! Signature fields of a request, parsed strictly: anything ambiguous is malformed. Only a signature
//! that cannot be decoded is passed over beside others, as the libraries of Stripe and Standard
//! Webhooks do. PURE.

use super::{MAC_BYTES, Scheme, SignatureError};
use crate::http::fields::Fields;
use crate::http::webhook;
use SignatureError::{Malformed, Missing};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Maximum signatures of one request that are checked: a sender has two while it changes its
/// secret. More would only let an attacker guess more often and cost time.
const SIGNATURES_MAX: usize = 16;

const GITHUB: &str = "X-Hub-Signature-256";
const STRIPE: &str = "Stripe-Signature";

/// A field of Standard Webhooks: the name that Svix gives it, which its libraries prefer, and that of
/// the standard.
type StandardField = [&'static str; 2];

const STANDARD_ID: StandardField = ["svix-id", webhook::ID];
const STANDARD_TIME: StandardField = ["svix-timestamp", webhook::TIMESTAMP];
const STANDARD_SIGNATURE: StandardField = ["svix-signature", webhook::SIGNATURE];

/// What was signed besides the body, when, and the signatures.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SignatureHeader {
    /// The signed bytes that precede the body.
    pub(super) prefix: Vec<u8>,
    /// When it was signed, if the scheme includes the time.
    pub(super) unix_seconds: Option<i64>,
    /// Signatures, any of which may match; at least one, at most [`SIGNATURES_MAX`].
    pub(super) signatures: Vec<[u8; MAC_BYTES]>,
}

impl SignatureHeader {
    pub(super) fn read(scheme: Scheme, fields: Fields<'_, '_>) -> Result<Self, SignatureError> {
        match scheme {
            Scheme::GitHub => github(only(fields, GITHUB)?).ok_or(Malformed(GITHUB)),
            Scheme::Stripe => stripe(only(fields, STRIPE)?).ok_or(Malformed(STRIPE)),
            Scheme::Standard => standard(fields),
        }
    }
}

/// Returns the value of the only field of this name.
fn only<'b>(fields: Fields<'_, 'b>, name: &'static str) -> Result<&'b [u8], SignatureError> {
    let mut values = fields.all(name);
    let value = values.next().ok_or(Missing(name))?;
    if values.next().is_some() { Err(Malformed(name)) } else { Ok(value) }
}

/// Returns the name and value of the only field with the first of these names that occurs.
fn either<'b>(
    fields: Fields<'_, 'b>,
    [branded, plain]: StandardField,
) -> Result<(&'static str, &'b [u8]), SignatureError> {
    let name = if fields.get(branded).is_some() { branded } else { plain };
    Ok((name, only(fields, name)?))
}

fn github(value: &[u8]) -> Option<SignatureHeader> {
    let signature = hexadecimal(value.strip_prefix(b"sha256=")?)?;
    Some(SignatureHeader { prefix: Vec::new(), unix_seconds: None, signatures: vec![signature] })
}

/// Parses `t` once and `v1` at least once; other members belong to later or older schemes.
fn stripe(value: &[u8]) -> Option<SignatureHeader> {
    let (mut time, mut signatures) = (None, Vec::new());
    for member in value.split(|&byte| byte == b',') {
        if let Some(digits) = member.strip_prefix(b"t=") {
            if time.replace(digits).is_some() {
                return None;
            }
        } else if let Some(signature) = member.strip_prefix(b"v1=") {
            signatures.push(signature);
        }
    }
    let time = time?;
    Some(SignatureHeader {
        prefix: [time, b"."].concat(),
        unix_seconds: Some(seconds(time)?),
        signatures: first(signatures, hexadecimal)?,
    })
}

fn standard(fields: Fields<'_, '_>) -> Result<SignatureHeader, SignatureError> {
    let (id_name, id) = either(fields, STANDARD_ID)?;
    let (time_name, time) = either(fields, STANDARD_TIME)?;
    let (signature_name, value) = either(fields, STANDARD_SIGNATURE)?;
    // A full stop in the id would allow replaying "a" of second 1 with the body "9.x" as "a.1" of
    // second 9 with the body "x": the signed bytes are the same.
    if id.is_empty() || id.contains(&b'.') {
        return Err(Malformed(id_name));
    }
    let unix_seconds = seconds(time).ok_or(Malformed(time_name))?;
    let members = value.split(|&byte| byte == b' ');
    // v1a is a public-key signature, which is not supported here.
    let signatures = members.filter_map(|member| member.strip_prefix(b"v1,")).collect();
    Ok(SignatureHeader {
        prefix: [id, b".", time, b"."].concat(),
        unix_seconds: Some(unix_seconds),
        signatures: first(signatures, base64).ok_or(Malformed(signature_name))?,
    })
}

/// Returns the first [`SIGNATURES_MAX`] signatures that can be decoded; `None` without any.
fn first(
    written: Vec<&[u8]>,
    decode: impl Fn(&[u8]) -> Option<[u8; MAC_BYTES]>,
) -> Option<Vec<[u8; MAC_BYTES]>> {
    let decoded: Vec<_> = written.into_iter().filter_map(decode).take(SIGNATURES_MAX).collect();
    (!decoded.is_empty()).then_some(decoded)
}

/// Parses digits only, so that the spelling that is signed is the one that is read.
fn seconds(digits: &[u8]) -> Option<i64> {
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| all_digits)?.parse().ok()
}

/// Decodes 64 hexadecimal digits, in any case.
fn hexadecimal(text: &[u8]) -> Option<[u8; MAC_BYTES]> {
    if text.len() != 2 * MAC_BYTES {
        return None;
    }
    let mut mac = [0; MAC_BYTES];
    for (byte, digits) in mac.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(digits[0])? << 4 | nibble(digits[1])?;
    }
    Some(mac)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn base64(text: &[u8]) -> Option<[u8; MAC_BYTES]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
