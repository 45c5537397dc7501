//! Fields that are about one connection and not about the message: whoever forwards it leaves them
//! out (RFC 9110, section 7.6.1), and frames the body itself.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// What never goes on, whether `Connection` names it or not. `Expect` is answered by whoever speaks
/// with the client; by the time a request is here its body flows. `Content-Length` is written anew.
const ONE_HOP: [HeaderName; 11] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes them all; the others keep their order.
pub(super) fn remove(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = options(fields).filter_map(|name| name.parse().ok()).collect();
    let goes_on = |name: &HeaderName| !ONE_HOP.contains(name) && !named.contains(name);
    let mut left = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields.iter().filter(|(name, _)| goes_on(name)) {
        left.append(name, value.clone());
    }
    *fields = left;
}

/// Whether `Connection` names this option.
pub(super) fn has_option(fields: &HeaderMap, wanted: &str) -> bool {
    options(fields).any(|option| option.eq_ignore_ascii_case(wanted))
}

fn options(fields: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = fields.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// What `Content-Length` says.
pub(super) fn length(fields: &HeaderMap) -> Option<&HeaderValue> {
    fields.get(CONTENT_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_connection_goes_and_the_rest_stays() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("connection", "X-Mine, close"),
            ("connection", "keep-alive"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "192.0.2.1"),
            ("authorization", "Bearer x"),
        ] {
            fields.append(name, HeaderValue::from_static(value));
        }
        assert!(has_option(&fields, "close") && !has_option(&fields, "upgrade"));
        remove(&mut fields);
        let left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-forwarded-for", "authorization"]);
    }
}
