//! Errors of signatures and secrets. Each message describes what to do, and never what was
//! expected.

use std::fmt;

/// Why a request fails verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    /// The field of this name is missing.
    Missing(&'static str),
    /// The field of this name is repeated, or not in the form of its scheme.
    Malformed(&'static str),
    /// The signed time differs from now by more than the tolerance, in either direction.
    TooOld,
    /// No key matches any of the signatures: another secret, or another body.
    Mismatch,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(field) => {
                write!(f, "the request has no {field}; give its sender the secret, so that it signs")
            }
            Self::Malformed(field) => {
                write!(f, "{field} is malformed or repeated; send it once, in the form of its scheme")
            }
            Self::TooOld => f.write_str(
                "the signed time is too far from now; send it again, and if that fails, set both clocks",
            ),
            Self::Mismatch => f.write_str(
                "the signature does not fit the body; use the same secret on both sides, and change \
                 nothing of the body on its way",
            ),
        }
    }
}

impl std::error::Error for SignatureError {}

/// Why a secret cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretError {
    /// No secret, or an empty one.
    Empty,
    /// Not `whsec_` and base64.
    NotStandard,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the secret is empty; give the one that the sender of the webhooks has",
            Self::NotStandard => "not a Standard Webhooks secret; it has the form whsec_BASE64",
        })
    }
}

impl std::error::Error for SecretError {}
