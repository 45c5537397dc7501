//! The origin in which a browser places an agent's response, and what the response can do to it. A
//! cookie is not separated by a sandbox, only by its path: a browser sends it to all of a host, and
//! five large ones make each request head too long for the relay.

use crate::api::origin_wide::is_origin_wide;
use std::borrow::Cow;

/// Longest `Set-Cookie` in the relay's origin, in bytes: browsers refuse a cookie with a longer name
/// and value (RFC 6265bis, section 5.6).
const COOKIE_MAX_BYTES: usize = 4096;

/// First segments of the relay's own paths, which are never part of the path at which a proxy
/// publishes the relay.
const OWN_PATHS: [&str; 5] = ["api", "p", "s", "socket", "stream"];

/// The origin of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'r> {
    /// That of the relay, and so of its pages and of other agents.
    Shared {
        /// The path that names the agent: `/api/billing`, `/socket/ID`.
        prefix: &'r str,
    },
    /// That of a host which serves APIs and nothing else.
    AgentHost,
    /// None: an agent receives the response of an API, and no browser does.
    Absent,
}

impl<'r> Origin<'r> {
    /// Returns the origin of a response to a client, by the prefix if it shares the relay's.
    pub fn of(prefix: Option<&'r str>) -> Self {
        prefix.map_or(Self::AgentHost, |prefix| Self::Shared { prefix })
    }

    /// Returns the value with which a field of the agent passes; `None` if it does not.
    pub(super) fn passed<'v>(self, name: &str, value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
        let is_cookie = name.eq_ignore_ascii_case("Set-Cookie");
        match self {
            Self::Shared { .. } if is_origin_wide(name) => None,
            Self::Shared { prefix } if is_cookie => below_prefix(value, prefix).map(Cow::Owned),
            Self::AgentHost if is_cookie => cookie(value, |_| true).map(Cow::Owned),
            Self::Shared { .. } | Self::AgentHost | Self::Absent => Some(Cow::Borrowed(value)),
        }
    }
}

/// Returns a cookie without `Domain`, with which it would be sent to other hosts as well, and with
/// the values of `Path` that are accepted; `None` if it has control characters, at which clients end
/// it in different places.
fn cookie(value: &[u8], mut accepts: impl FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return None;
    }
    let mut parts = value.split(|byte| *byte == b';');
    let mut kept = parts.next()?.to_vec();
    for part in parts {
        let mut sides = part.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        let (name, value) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
        let passes = if name.eq_ignore_ascii_case(b"Path") {
            accepts(value)
        } else {
            !name.eq_ignore_ascii_case(b"Domain")
        };
        if passes {
            kept.push(b';');
            kept.extend_from_slice(part);
        }
    }
    Some(kept)
}

/// Returns a cookie that is sent to one agent only; `None` if it is too long.
fn below_prefix(value: &[u8], prefix: &str) -> Option<Vec<u8>> {
    if value.len() > COOKIE_MAX_BYTES {
        return None;
    }
    // Of several paths, some clients use the first one, others the last one (RFC 6265, section 5.2).
    let mut has_path = false;
    let mut kept = cookie(value, |path| {
        let is_below = str::from_utf8(path).is_ok_and(|path| is_below(path, prefix));
        has_path |= is_below;
        is_below
    })?;
    if !has_path {
        kept.extend_from_slice(format!("; Path={prefix}/").as_bytes());
    }
    Some(kept)
}

/// Whether all paths below this one name the agent: the relay's own, or those of a proxy that
/// publishes the relay below a path, which the relay does not know.
fn is_below(path: &str, prefix: &str) -> bool {
    // Some clients resolve these.
    let is_dots =
        |segment: &str| [".", ".."].contains(&&*segment.to_ascii_lowercase().replace("%2e", "."));
    if !path.starts_with('/') || path.split(['/', '\\']).any(is_dots) {
        return false;
    }
    let ends = |at: usize| matches!(path.as_bytes().get(at + prefix.len()), None | Some(b'/'));
    let found = path.match_indices(prefix).find(|(at, _)| ends(*at));
    found.is_some_and(|(at, _)| !path[..at].split('/').any(|part| OWN_PATHS.contains(&part)))
}

#[cfg(test)]
mod tests;
