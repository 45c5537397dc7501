//! Webhook signatures: checks that the sender of a request knows the secret, while the body is
//! streamed. PURE: the time is passed in. A body must not be trusted before [`Check::finish`]
//! succeeds.
//!
//! All three schemes are HMAC-SHA256 (RFC 2104), compared in constant time; they differ in what
//! precedes the body, and in how the signature is written.
//!
//! | scheme | fields | signed | source |
//! |---|---|---|---|
//! | GitHub | `X-Hub-Signature-256: sha256=HEX` | the body | docs.github.com, "Validating webhook deliveries" |
//! | Stripe | `Stripe-Signature: t=SECONDS,v1=HEX,...` | `SECONDS.BODY` | docs.stripe.com/webhooks/signature |
//! | Standard Webhooks | `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,BASE64 ...`, or `svix-...` | `ID.SECONDS.BODY` | standardwebhooks.com, docs.svix.com |

mod error;
mod signature_header;

pub use error::{SecretError, SignatureError};

use self::signature_header::SignatureHeader;
use crate::http::fields::Fields;
use crate::http::webhook;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

type HmacSha256 = Hmac<Sha256>;

/// The length of an HMAC-SHA256, in bytes.
const MAC_BYTES: usize = 32;

/// Default tolerance for the time of a signature, as in the libraries of Stripe and Standard
/// Webhooks.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// Signature scheme, by its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `github`: GitHub, and others that adopted its header. Signs no time, so a request can be
    /// replayed indefinitely.
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

/// Returns the key of a secret, in bytes: for Standard Webhooks the base64 after `whsec_`, decoded,
/// else the text as it is, including Stripe's `whsec_`. The caller must remove a newline after the
/// text.
///
/// # Errors
///
/// [`SecretError`] if it is empty, or not in the form of its scheme.
pub fn secret(scheme: Scheme, text: &str) -> Result<Vec<u8>, SecretError> {
    let key = match scheme {
        Scheme::GitHub | Scheme::Stripe => text.as_bytes().to_vec(),
        Scheme::Standard => {
            webhook::secret(text).and_then(Result::ok).ok_or(SecretError::NotStandard)?
        }
    };
    if key.is_empty() { Err(SecretError::Empty) } else { Ok(key) }
}

/// Keys and tolerance that signatures are checked against.
#[derive(Clone)]
pub struct Verifier {
    scheme: Scheme,
    /// Keyed, without input; never empty.
    macs: Vec<HmacSha256>,
    tolerance: Duration,
}

impl Verifier {
    /// Creates a verifier with keys from [`secret`]: any of them may have signed, so that an old
    /// one stays valid during a rotation. `tolerance` is how far the signed time may be from now,
    /// in full seconds and in both directions; GitHub signs none.
    ///
    /// # Errors
    ///
    /// [`SecretError::Empty`] without keys, or if one is empty: anyone could sign with that one.
    pub fn new(scheme: Scheme, keys: &[Vec<u8>], tolerance: Duration) -> Result<Self, SecretError> {
        if keys.is_empty() || keys.iter().any(Vec::is_empty) {
            return Err(SecretError::Empty);
        }
        let keyed = |key: &Vec<u8>| HmacSha256::new_from_slice(key).map_err(|_| SecretError::Empty);
        let macs = keys.iter().map(keyed).collect::<Result<_, _>>()?;
        Ok(Self { scheme, macs, tolerance })
    }

    /// Starts the check of a request with these fields; its body follows.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] if no body could have a valid signature: its field is missing, repeated
    /// or malformed, or its time is too far from now.
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

/// Omits the keys.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("scheme", &self.scheme)
            .field("keys", &self.macs.len())
            .field("tolerance", &self.tolerance)
            .finish()
    }
}

/// Check of one request while its body is received: some hundred bytes for each key.
pub struct Check {
    macs: Vec<HmacSha256>,
    signatures: Vec<[u8; MAC_BYTES]>,
}

impl Check {
    /// Takes the next bytes of the body, without transfer codings, in pieces of any size.
    pub fn update(&mut self, bytes: &[u8]) {
        for mac in &mut self.macs {
            mac.update(bytes);
        }
    }

    /// Checks that the received body is the one that was signed.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Mismatch`] if it is not.
    pub fn finish(self) -> Result<(), SignatureError> {
        let Self { macs, signatures } = self;
        let stated: Vec<_> = signatures.into_iter().map(|mac| CtOutput::new(mac.into())).collect();
        // Constant time for each pair. Which key or signature matched is not secret.
        let known = macs.into_iter().map(Mac::finalize).any(|mac| stated.contains(&mac));
        if known { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

/// Omits the keys and the expected signatures.
impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("signatures", &self.signatures.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
