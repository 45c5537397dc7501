//! Why a request is refused for its token.

use super::permission::Scope;
use std::borrow::Cow;

const UNKNOWN: &str = "This token is not valid here; was it removed, or mistyped?";

const TOO_MANY: &str = "Too many invalid tokens were sent from this address";

const STREAM_NEEDED: &str = "This stream has tokens of its own; send the one of your side as \
                             '?t=TOKEN' in the URL or as 'Authorization: Bearer TOKEN'";

const STREAM_OTHER: &str = "This token of the stream is for other requests";

/// A refusal for a token, or for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFailure {
    /// This act needs a token of the relay, and the request has none.
    Needed(Scope),
    /// The token is unknown.
    Unknown,
    /// Too many unknown tokens were sent from this address.
    TooMany,
    /// The token does not allow this act.
    ScopeMissing(Scope),
    /// The stream has tokens, and the request has none.
    StreamNeeded,
    /// The stream's token is not for this request.
    StreamOther,
}

impl TokenFailure {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Needed(_) | Self::Unknown | Self::StreamNeeded => 401,
            Self::ScopeMissing(_) | Self::StreamOther => 403,
            Self::TooMany => 429,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Needed(_) | Self::Unknown | Self::StreamNeeded => "UnauthorizedError",
            Self::ScopeMissing(_) | Self::StreamOther => "ForbiddenError",
            Self::TooMany => "TooManyTokensError",
        }
    }

    pub(super) fn message(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Needed(scope) => return Cow::Owned(needed(scope)),
            Self::ScopeMissing(scope) => {
                return Cow::Owned(format!("This token does not have the scope {scope}"));
            }
            Self::Unknown => UNKNOWN,
            Self::TooMany => TOO_MANY,
            Self::StreamNeeded => STREAM_NEEDED,
            Self::StreamOther => STREAM_OTHER,
        })
    }

    /// Returns the challenges (RFC 6750 3, RFC 7617 2).
    pub(super) fn challenges(self) -> &'static [&'static str] {
        match self {
            Self::Needed(_) | Self::StreamNeeded => {
                &["Bearer realm=\"rdv\"", "Basic realm=\"rdv\""]
            }
            Self::Unknown => {
                &["Bearer realm=\"rdv\", error=\"invalid_token\"", "Basic realm=\"rdv\""]
            }
            Self::ScopeMissing(_) | Self::StreamOther => {
                &["Bearer realm=\"rdv\", error=\"insufficient_scope\""]
            }
            Self::TooMany => &[],
        }
    }
}

fn needed(scope: Scope) -> String {
    let more = match scope {
        Scope::Agent => "\"token\" in the metadata",
        Scope::Create
        | Scope::Send
        | Scope::Receive
        | Scope::List
        | Scope::Call
        | Scope::Notify => "the token as a password (curl -u :TOKEN)",
    };
    format!(
        "A token with the scope {scope} is needed; send 'Authorization: Bearer TOKEN', or {more}"
    )
}
