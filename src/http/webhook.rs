//! Signatures of Standard Webhooks (standardwebhooks.com): HMAC-SHA256 of id, time and body. PURE:
//! the time is passed in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use std::fmt;

/// The field of the id, which is the same in each attempt to deliver a message.
pub const ID: &str = "webhook-id";
/// The field of the time of an attempt, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The field of the signatures.
pub const SIGNATURE: &str = "webhook-signature";

/// The prefix of a secret in the form of the standard.
const PREFIX: &str = "whsec_";

/// Returns the bytes of a secret in the form of the standard, `whsec_` and base64; `None`: it has
/// another form.
pub fn secret(text: &str) -> Option<Result<Vec<u8>, base64::DecodeError>> {
    text.strip_prefix(PREFIX).map(|encoded| STANDARD.decode(encoded))
}

/// A key that signs messages.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Returns the key of a secret: the base64 after `whsec_`, decoded, else the text as it is.
    ///
    /// # Errors
    /// What is wrong, without the secret.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let invalid = "not a valid secret: expected base64 after whsec_";
        let bytes = match secret(text) {
            Some(decoded) => decoded.map_err(|_| invalid)?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.is_empty() {
            return Err("the secret is empty");
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| invalid)
    }

    /// Returns the value of [`SIGNATURE`] for a message. The id must have no full stop: other bytes
    /// could have the same signature.
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        debug_assert!(!id.contains('.'), "a full stop ends the id");
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{unix_seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Omits the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_is_signed() {
        // The test vector of the standard's libraries.
        let key = SigningKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_base64_after_its_prefix_or_raw() {
        let raw = SigningKey::new("abc").unwrap().sign("m", 1, b"");
        assert_eq!(SigningKey::new("whsec_YWJj").unwrap().sign("m", 1, b""), raw);
        for (name, text) in [("empty", ""), ("only the prefix", "whsec_"), ("no base64", "whsec_?")]
        {
            assert!(SigningKey::new(text).is_err(), "{name}");
        }
    }
}
