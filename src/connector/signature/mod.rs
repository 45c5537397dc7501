//! Signatures of webhooks: whether a request was made by one who knows the secret, found out while
//! its body streams by. PURE: the time is passed in. A body is only to be believed once
//! [`Check::finish`] said so.
//!
//! All three schemes are HMAC-SHA256 (RFC 2104), compared in constant time; they differ in what is
//! put in front of the body, and how the signature is written.
//!
//! | scheme | fields | signed | source |
//! |---|---|---|---|
//! | GitHub | `X-Hub-Signature-256: sha256=HEX` | the body | docs.github.com, "Validating webhook deliveries" |
//! | Stripe | `Stripe-Signature: t=SECONDS,v1=HEX,...` | `SECONDS.BODY` | docs.stripe.com/webhooks/signature |
//! | Standard Webhooks | `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,BASE64 ...` | `ID.SECONDS.BODY` | standardwebhooks.com |

mod error;
mod signature_header;

pub use error::{SecretError, SignatureError};

use self::signature_header::SignatureHeader;
use crate::http::fields::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

type HmacSha256 = Hmac<Sha256>;

/// The length of an HMAC-SHA256, in bytes.
const MAC_BYTES: usize = 32;

/// How far the time of a signature may be from now, unless configured: what Stripe's and the
/// Standard Webhooks' own libraries take.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// Who writes the signatures, and so how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `github`: GitHub, and others that took its header over. Signs no time, so a request can be
    /// replayed for ever.
    GitHub,
    /// `stripe`: Stripe.
    Stripe,
    /// `standard`: Standard Webhooks, as sent by Svix and many others.
    Standard,
}

impl FromStr for Scheme {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "github" => Ok(Self::GitHub),
            "stripe" => Ok(Self::Stripe),
            "standard" => Ok(Self::Standard),
            _ => Err("expected github, stripe or standard".into()),
        }
    }
}

/// The key that a secret stands for, in bytes: of Standard Webhooks what `whsec_` and base64 hold,
/// else the text as it is, Stripe's `whsec_` too. A line end behind the text is the caller's to
/// remove.
///
/// # Errors
///
/// [`SecretError`] if it is empty, or not written as its scheme asks.
pub fn secret(scheme: Scheme, text: &str) -> Result<Vec<u8>, SecretError> {
    let key = match scheme {
        Scheme::GitHub | Scheme::Stripe => text.as_bytes().to_vec(),
        Scheme::Standard => {
            let encoded = text.strip_prefix("whsec_").ok_or(SecretError::NotStandard)?;
            STANDARD.decode(encoded).map_err(|_| SecretError::NotStandard)?
        }
    };
    if key.is_empty() { Err(SecretError::Empty) } else { Ok(key) }
}

/// What signatures are checked against.
#[derive(Clone)]
pub struct Verifier {
    scheme: Scheme,
    /// Keyed, with nothing read yet; never empty.
    macs: Vec<HmacSha256>,
    tolerance: Duration,
}

impl Verifier {
    /// With keys as [`secret`] makes them: any of them may have signed, so that an old one stays
    /// valid while a new one is brought in. `tolerance` is how far the signed time may be from now,
    /// in whole seconds and in both directions; GitHub signs none.
    ///
    /// # Errors
    ///
    /// [`SecretError::Empty`] without keys, or if one is empty: everybody knows that one.
    pub fn new(scheme: Scheme, keys: &[Vec<u8>], tolerance: Duration) -> Result<Self, SecretError> {
        if keys.is_empty() || keys.iter().any(Vec::is_empty) {
            return Err(SecretError::Empty);
        }
        let keyed = |key: &Vec<u8>| HmacSha256::new_from_slice(key).map_err(|_| SecretError::Empty);
        let macs = keys.iter().map(keyed).collect::<Result<_, _>>()?;
        Ok(Self { scheme, macs, tolerance })
    }

    /// Begins with a request whose head has these fields; its body is to follow.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] if no body could have a valid signature: its field is missing, is there
    /// more than once, is malformed, or its time is too far from now.
    pub fn begin(
        &self,
        fields: Fields<'_, '_>,
        now_unix_seconds: i64,
    ) -> Result<Check, SignatureError> {
        let stated = SignatureHeader::read(self.scheme, fields)?;
        if let Some(signed) = stated.unix_seconds
            && signed.abs_diff(now_unix_seconds) > self.tolerance.as_secs()
        {
            return Err(SignatureError::TooOld);
        }
        let mut check = Check { macs: self.macs.clone(), signatures: stated.signatures };
        check.update(&stated.prefix);
        Ok(check)
    }
}

/// Shows no key.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("scheme", &self.scheme)
            .field("keys", &self.macs.len())
            .field("tolerance", &self.tolerance)
            .finish()
    }
}

/// The check of one request whose body is on its way: some hundred bytes for each key.
pub struct Check {
    macs: Vec<HmacSha256>,
    signatures: Vec<[u8; MAC_BYTES]>,
}

impl Check {
    /// Takes the next bytes of the body, as they are behind transfer codings; cut anywhere.
    pub fn update(&mut self, bytes: &[u8]) {
        for mac in &mut self.macs {
            mac.update(bytes);
        }
    }

    /// Whether the body that came is the one that was signed.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Mismatch`] if it is not.
    pub fn finish(self) -> Result<(), SignatureError> {
        let Self { macs, signatures } = self;
        let stated: Vec<_> = signatures.into_iter().map(|mac| CtOutput::new(mac.into())).collect();
        // Constant time for each pair. Which key or which signature it was is no secret.
        let known = macs.into_iter().map(Mac::finalize).any(|mac| stated.contains(&mac));
        if known { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

/// Shows neither keys nor what was expected.
impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("signatures", &self.signatures.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
