//! Forwarding of header fields of the `http` crate: hop-by-hop fields are dropped (RFC 9110,
//! section 7.6.1), the others keep their order.

use crate::http::hop::HopByHop;
use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};

/// Returns the end-to-end fields. `Connection` cannot remove `Host`: a request is invalid without
/// it.
pub(super) fn passing(fields: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let hop = HopByHop::new(fields.get_all(CONNECTION).iter().map(HeaderValue::as_bytes));
    fields.iter().filter(move |(name, _)| **name == HOST || !hop.ends(name.as_str()))
}

/// Returns the end-to-end fields, except those in `without`.
pub(super) fn passed(fields: &HeaderMap, without: &[HeaderName]) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(fields.len());
    for (name, value) in passing(fields).filter(|(name, _)| !without.contains(name)) {
        passed.append(name, value.clone());
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{CONTENT_LENGTH, EXPECT};

    #[test]
    fn hop_by_hop_fields_are_removed_and_others_keep_their_order() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("connection", "X-Mine, close, host"),
            ("connection", "keep-alive"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("host", "h"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "192.0.2.1"),
            ("authorization", "Bearer x"),
        ] {
            fields.append(name, HeaderValue::from_static(value));
        }
        let passed = passed(&fields, &[CONTENT_LENGTH, EXPECT]);
        let left: Vec<_> = passed.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["host", "x-forwarded-for", "authorization"]);
    }
}
