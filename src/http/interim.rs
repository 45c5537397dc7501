//! Clients that take an interim response for the final one.

use super::head::{Expect, RequestHead, Version};

/// How the `User-Agent` of such clients begins; seen with several `102 Processing`.
const BROKEN: [&str; 5] = [
    // net/http before Go 1.23: "too many 1xx informational responses" at the sixth. Seen with 1.19.
    "Go-http-client/",
    // HttpURLConnection: returns 102. Seen with OpenJDK 17; java.net.http of the same is correct.
    "Java/",
    // http.client skips 100 only: urllib raises HTTPError 102. Seen with Python 3.11.
    "Python-urllib/",
    // The same: returns a response with status 102. Seen with requests 2.34 and urllib3 2.8.
    "python-requests/",
    "python-urllib3/",
];

/// Whether a client can be sent any number of `102 Processing` before the response: one of HTTP/1.1
/// that expects an interim response, or that names itself and is not known to fail. Python's
/// http.client sends no name.
pub fn accepts_processing(head: &RequestHead<'_, '_>) -> bool {
    let is_broken = |name: &[u8]| BROKEN.iter().any(|prefix| name.starts_with(prefix.as_bytes()));
    let works = || head.fields.get("User-Agent").is_some_and(|name| !is_broken(name));
    head.version == Version::Http11 && (head.expect == Expect::Continue || works())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse};

    #[test]
    fn a_heartbeat_is_for_clients_of_http_1_1_that_accept_or_expect_it() {
        for (name, text, alone, expecting) in [
            ("curl", "HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/7.88.1", true, true),
            ("Java", "HTTP/1.1\r\nHost: h\r\nUser-Agent: Java-http-client/17", true, true),
            ("old Java", "HTTP/1.1\r\nHost: h\r\nUser-Agent: Java/17.0.15", false, true),
            ("Python", "HTTP/1.1\r\nHost: h\r\nUser-Agent: Python-urllib/3.11", false, true),
            ("Go", "HTTP/1.1\r\nHost: h\r\nUser-Agent: Go-http-client/1.1", false, true),
            ("without a name", "HTTP/1.1\r\nHost: h", false, true),
            ("HTTP/1.0", "HTTP/1.0\r\nUser-Agent: curl/7.88.1", false, false),
        ] {
            for (fields, expected) in [
                ("", alone),
                ("\r\nExpect: 100-continue", expecting),
                ("\r\nExpect: something-else", alone),
            ] {
                let text = format!("GET / {text}{fields}\r\n\r\n");
                let mut slots = FieldSlots::new();
                let limits = HeadLimits { bytes: 1000, target_bytes: 100 };
                let head = parse(text.as_bytes(), &mut slots, &limits).unwrap().unwrap();
                assert_eq!(accepts_processing(&head), expected, "{name}{fields}");
            }
        }
    }
}
