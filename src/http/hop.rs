//! Hop-by-hop fields: a fixed few, and those that `Connection` names (RFC 9110, section 7.6.1).

use super::fields::members;
use std::cmp::Ordering;

/// Fields that are hop-by-hop without being named. `Proxy-Authenticate` is for responses what
/// `Proxy-Authorization` is for requests (RFC 9110, section 11.7); `HTTP2-Settings` belongs to an
/// upgrade (RFC 7540, 3.2.1).
const HOP_BY_HOP: [&str; 10] = [
    "Connection",
    "HTTP2-Settings",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// Response fields that a reverse proxy obeys: it serves a file of its own, or another page,
/// instead of the response (nginx, Apache's `mod_xsendfile`, lighttpd, Perlbal).
const PROXY_COMMANDS: [&str; 6] = [
    "X-Accel-Redirect",
    "X-LIGHTTPD-send-file",
    "X-LIGHTTPD-send-tempfile",
    "X-Reproxy-File",
    "X-Reproxy-URL",
    "X-Sendfile",
];

/// Whether a response with a field of this name commands a reverse proxy in front of the relay.
pub fn commands_proxy(name: &str) -> bool {
    PROXY_COMMANDS.iter().any(|command| command.eq_ignore_ascii_case(name))
}

/// The hop-by-hop fields of one head.
#[derive(Debug)]
pub struct HopByHop<'v> {
    /// The names listed in `Connection`, in the order of [`compare`]: a head has room for thousands
    /// of names, and each field is looked up among them.
    named: Vec<&'v [u8]>,
}

impl<'v> HopByHop<'v> {
    /// Collects the names from the values of all `Connection` fields.
    pub fn new(connection: impl Iterator<Item = &'v [u8]>) -> Self {
        let mut named: Vec<_> = connection.flat_map(members).collect();
        named.sort_unstable_by(|one, other| compare(one, other));
        Self { named }
    }

    /// Whether a field of this name is hop-by-hop.
    pub fn ends(&self, name: &str) -> bool {
        HOP_BY_HOP.iter().any(|known| known.eq_ignore_ascii_case(name))
            || self.named.binary_search_by(|named| compare(named, name.as_bytes())).is_ok()
    }
}

/// Compares field names, ignoring case.
fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let lower = u8::to_ascii_lowercase;
    one.iter().map(lower).cmp(other.iter().map(lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_named_in_connection_are_hop_by_hop_in_any_case() {
        let values = [&b"close, X-B ,x-a"[..], b"", b"keep-alive,, Cookie"];
        let hop = HopByHop::new(values.into_iter());
        for (name, ends) in [
            ("X-A", true),
            ("x-b", true),
            ("COOKIE", true),
            ("Keep-Alive", true),
            ("Close", true),
            ("transfer-encoding", true),
            ("http2-settings", true),
            ("X-C", false),
            ("X-", false),
            ("Cookie2", false),
            ("Content-Type", false),
        ] {
            assert_eq!(hop.ends(name), ends, "{name}");
        }
        assert!(!HopByHop::new(std::iter::empty()).ends("X-A"));
    }
}
