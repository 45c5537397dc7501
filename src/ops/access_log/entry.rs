//! The data of one request when its response has ended, and the part of its head that is kept until
//! then.

use super::shorten::{CUT, ShortenScope, mask_tokens, shorten};
use crate::api::paths::PREFIX;
use crate::http::credentials::{AUTHORIZATION, PROXY_AUTHORIZATION};
use crate::http::head::{RequestHead, Version};
use crate::rendezvous::{Side, StreamState};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;
use uuid::Uuid;

/// Maximum length of a kept header value or target, so that lines and waiting requests stay small.
const KEPT_BYTES_MAX: usize = 4096;

/// Characters of a path below `/p/` that are shown.
const SHOWN_OF_NAME: usize = 4;

/// A request, logged as one line.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'e> {
    /// The address of the client.
    pub peer: SocketAddr,
    /// The captured request; `None` if no head could be parsed.
    pub request: Option<&'e Capture>,
    /// When its head was complete, in milliseconds since 1970.
    pub received_ms: i64,
    /// The time since then.
    pub elapsed: Duration,
    /// The status of the response.
    pub status: Option<u16>,
    /// Body bytes that the client's socket has accepted.
    pub body_bytes: u64,
    /// The id of the request.
    pub request_id: Option<&'e str>,
    /// The name of its token.
    pub token: Option<&'e str>,
    /// The stream it concerned.
    pub stream: Option<&'e StreamPart>,
    /// The version of TLS of its client.
    pub tls_version: Option<&'e str>,
    /// The name in the client's certificate.
    pub tls_client: Option<&'e str>,
}

/// The part a request played in a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamPart {
    /// The stream.
    pub stream: Uuid,
    /// The side it requested.
    pub side: Option<Side>,
    /// How the stream ended, if this was one of its sides.
    pub ended: Option<StreamEnd>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug)]
pub struct StreamEnd {
    /// Its state.
    pub outcome: StreamState,
    /// Body bytes relayed.
    pub bytes_transferred: u64,
    /// How long the first side waited for the other, even if it never connected.
    pub waited: Option<Duration>,
    /// The time from pairing to the end.
    pub transferred_in: Option<Duration>,
}

/// A stream that has ended, logged as a line of its own.
#[derive(Clone, Copy, Debug)]
pub struct StreamEntry {
    /// The stream.
    pub stream: Uuid,
    /// The addresses of source and destination, if they connected.
    pub peers: [Option<SocketAddr>; 2],
    /// How it ended.
    pub ended: StreamEnd,
    /// When, in milliseconds since 1970.
    pub ended_ms: i64,
}

/// The parts of a request's head that log lines need.
#[derive(Debug)]
pub struct Capture {
    /// The request line, followed by path and query if it does not contain them.
    text: Vec<u8>,
    line_end: usize,
    method_end: usize,
    path: Range<usize>,
    query: Option<Range<usize>>,
    headers: Box<[Option<Box<[u8]>>]>,
}

impl Capture {
    /// Drops the header values: the log format has changed, so its lines show `-` for this request.
    pub fn forget_headers(&mut self) {
        self.headers = Box::default();
    }

    /// Captures the request line and the fields with these names.
    pub fn new(head: &RequestHead<'_, '_>, names: &[Box<str>], full_ids: bool) -> Self {
        let (in_target, in_fields) = if full_ids {
            (ShortenScope::Nowhere, ShortenScope::Nowhere)
        } else {
            (ShortenScope::Everywhere, ShortenScope::InPaths)
        };
        let mut text = Vec::with_capacity(64);
        text.extend_from_slice(head.method_name.as_bytes());
        let method_end = text.len();
        text.push(b' ');
        let origin_form = head.target.starts_with('/');
        let mut place = (0..0, None);
        if origin_form {
            place = append_place(head, in_target, &mut text);
        } else {
            append_target(head, in_target, &mut text);
            mask_tokens(&mut text, method_end);
        }
        text.extend_from_slice(match head.version {
            Version::Http10 => b" HTTP/1.0",
            Version::Http11 => b" HTTP/1.1",
        });
        let line_end = text.len();
        if !origin_form {
            place = append_place(head, in_target, &mut text);
        }
        let (path, query) = place;
        let headers = names.iter().map(|name| field(head, name, in_fields)).collect();
        Self { text, line_end, method_end, path, query, headers }
    }

    /// Returns the method.
    pub fn method(&self) -> &[u8] {
        &self.text[..self.method_end]
    }

    /// Returns the request line without its line end.
    pub fn line(&self) -> &[u8] {
        &self.text[..self.line_end]
    }

    /// Returns the path.
    pub fn path(&self) -> &[u8] {
        &self.text[self.path.clone()]
    }

    /// Returns the query with its question mark; empty without a query, or if the query is empty.
    pub fn query(&self) -> &[u8] {
        self.query.clone().map_or(b"", |query| &self.text[query])
    }

    /// Returns the value of the field at this index of the names.
    pub fn header(&self, place: usize) -> Option<&[u8]> {
        self.headers.get(place)?.as_deref().filter(|value| !value.is_empty())
    }
}

fn append(text: &str, which: ShortenScope, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    shorten(text.as_bytes(), which, out);
    cut(out, start);
    out.len()
}

/// Appends path and query; returns where they are.
fn append_place(
    head: &RequestHead<'_, '_>,
    which: ShortenScope,
    out: &mut Vec<u8>,
) -> (Range<usize>, Option<Range<usize>>) {
    let start = out.len();
    let path = start..append_path(head.path, which, out);
    let query = head.query.map(|query| append_query(query, which, out));
    mask_tokens(out, start);
    let query = query.map(|query| if query.is_empty() { query } else { query.start..out.len() });
    (path, query)
}

/// Appends a path. Below `/p/` any name grants access to a stream, so only its beginning is shown.
fn append_path(path: &str, which: ShortenScope, out: &mut Vec<u8>) -> usize {
    let name = path.strip_prefix(PREFIX).filter(|name| name.len() > SHOWN_OF_NAME);
    let Some(name) = name.filter(|_| which != ShortenScope::Nowhere) else {
        return append(path, which, out);
    };
    out.extend_from_slice(PREFIX.as_bytes());
    out.extend_from_slice(&name.as_bytes()[..SHOWN_OF_NAME]);
    out.extend_from_slice(CUT);
    out.len()
}

/// Appends a target that does not begin with its path.
fn append_target(head: &RequestHead<'_, '_>, which: ShortenScope, out: &mut Vec<u8>) {
    match head.target.split_once(head.path) {
        Some((origin, _)) if head.path.starts_with(PREFIX) => {
            append(origin, which, out);
            append_path(head.path, which, out);
            if let Some(query) = head.query {
                append_query(query, which, out);
            }
        }
        Some(_) | None => _ = append(head.target, which, out),
    }
}

fn append_query(query: &str, which: ShortenScope, out: &mut Vec<u8>) -> Range<usize> {
    let start = out.len();
    out.push(b'?');
    let end = append(query, which, out);
    if end == start + 1 { start..start } else { start..end }
}

/// Joins the values of all fields with this name into one list (RFC 9110, section 5.3). Credentials
/// are not kept, whatever the format of the log.
fn field(head: &RequestHead<'_, '_>, name: &str, which: ShortenScope) -> Option<Box<[u8]>> {
    let mut values = head.fields.all(name);
    if [AUTHORIZATION, PROXY_AUTHORIZATION].iter().any(|secret| secret.eq_ignore_ascii_case(name)) {
        return values.next().map(|_| CUT.into());
    }
    let mut joined = Vec::new();
    shorten(values.next()?, which, &mut joined);
    for value in values {
        joined.extend_from_slice(b", ");
        shorten(value, which, &mut joined);
    }
    mask_tokens(&mut joined, 0);
    cut(&mut joined, 0);
    Some(joined.into_boxed_slice())
}

fn cut(text: &mut Vec<u8>, start: usize) {
    if text.len() - start > KEPT_BYTES_MAX {
        text.truncate(start + KEPT_BYTES_MAX);
        text.extend_from_slice(CUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse};

    const ID: &str = "0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0";

    fn capture(head: &str, names: &[&str], full_ids: bool) -> Capture {
        let names: Vec<Box<str>> = names.iter().map(|&name| name.into()).collect();
        let limits = HeadLimits { bytes: 1 << 16, target_bytes: 1 << 15 };
        let mut slots = FieldSlots::new();
        let head = parse(head.as_bytes(), &mut slots, &limits).unwrap().unwrap();
        Capture::new(&head, &names, full_ids)
    }

    fn parts(capture: &Capture) -> [String; 4] {
        [capture.method(), capture.path(), capture.query(), capture.line()]
            .map(|part| String::from_utf8(part.to_vec()).unwrap())
    }

    #[test]
    fn every_form_of_target_is_parsed() {
        for (line, method, path, query) in [
            ("GET /a/b?c=d?e HTTP/1.1", "GET", "/a/b", "?c=d?e"),
            ("PUT /a HTTP/1.0", "PUT", "/a", ""),
            ("GET /a? HTTP/1.1", "GET", "/a", ""),
            ("GET http://h/a?b HTTP/1.1", "GET", "/a", "?b"),
            ("OPTIONS * HTTP/1.1", "OPTIONS", "*", ""),
            ("CONNECT h:443 HTTP/1.1", "CONNECT", "h:443", ""),
            ("BREW / HTTP/1.1", "BREW", "/", ""),
        ] {
            let capture = capture(&format!("{line}\r\nHost: h\r\n\r\n"), &[], false);
            assert_eq!(parts(&capture), [method, path, query, line], "{line}");
        }
    }

    #[test]
    fn identifiers_are_shortened_unless_full_ids_are_enabled() {
        let head = format!(
            "GET /stream/{ID}?{ID} HTTP/1.1\r\nHost: h\r\nReferer: http://h/stream/{ID}\r\n\r\n"
        );
        let short = capture(&head, &["referer"], false);
        assert_eq!(short.line(), b"GET /stream/0b54a9d1?0b54a9d1 HTTP/1.1");
        assert_eq!((short.path(), short.query()), (&b"/stream/0b54a9d1"[..], &b"?0b54a9d1"[..]));
        assert_eq!(short.header(0), Some(&b"http://h/stream/0b54a9d1"[..]));
        let full = capture(&head, &["referer"], true);
        assert_eq!(full.path(), format!("/stream/{ID}").as_bytes());
        assert_eq!(full.header(0), Some(format!("http://h/stream/{ID}").as_bytes()));
    }

    #[test]
    fn tokens_are_never_shown() {
        for (line, shown) in [
            ("GET /s/7?t=hush HTTP/1.1", "GET /s/7?t=... HTTP/1.1"),
            (
                "GET /stream/7/events?a=b&t=hush&c HTTP/1.1",
                "GET /stream/7/events?a=b&t=...&c HTTP/1.1",
            ),
            (
                "PUT http://h/stream/7?t=hush&t=hush HTTP/1.1",
                "PUT http://h/stream/7?t=...&t=... HTTP/1.1",
            ),
            ("GET /api/a/?t=12:00 HTTP/1.1", "GET /api/a/?t=12:00 HTTP/1.1"),
            ("GET /stream/7?at=1 HTTP/1.1", "GET /stream/7?at=1 HTTP/1.1"),
        ] {
            let head = format!(
                "{line}\r\nHost: h\r\nReferer: http://h/s/7?t=hush\r\nAuthorization: Bearer hush\r\n\r\n"
            );
            for full_ids in [false, true] {
                let capture = capture(&head, &["referer", "authorization"], full_ids);
                assert_eq!(capture.line(), shown.as_bytes());
                assert!(!capture.query().windows(4).any(|word| word == b"hush"), "{line}");
                assert_eq!(capture.header(0), Some(&b"http://h/s/7?t=..."[..]));
                assert_eq!(capture.header(1), Some(&b"..."[..]));
            }
        }
    }

    #[test]
    fn paths_of_streams_are_shortened_unless_full_ids_are_enabled() {
        for (line, path, shown) in [
            ("GET /p/secret?n=1 HTTP/1.1", "/p/secr...", "GET /p/secr...?n=1 HTTP/1.1"),
            ("PUT http://h/p/secret HTTP/1.1", "/p/secr...", "PUT http://h/p/secr... HTTP/1.1"),
            ("GET http://h/p/secret?a HTTP/1.1", "/p/secr...", "GET http://h/p/secr...?a HTTP/1.1"),
            ("GET /p/open HTTP/1.1", "/p/open", "GET /p/open HTTP/1.1"),
            ("GET /p HTTP/1.1", "/p", "GET /p HTTP/1.1"),
        ] {
            let head = format!("{line}\r\nHost: h\r\n\r\n");
            let short = capture(&head, &[], false);
            let [_, short_path, _, short_line] = parts(&short);
            assert_eq!((short_path.as_str(), short_line.as_str()), (path, shown), "{line}");
            assert_eq!(capture(&head, &[], true).line(), line.as_bytes(), "{line}");
        }
    }

    #[test]
    fn repeated_fields_are_joined_and_long_ones_truncated() {
        let long = "x".repeat(2 * KEPT_BYTES_MAX);
        let head = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nEmpty:\r\nLong: {long}\r\n\r\n"
        );
        let capture = capture(&head, &["X-A", "empty", "None", "long"], false);
        assert_eq!(capture.header(0), Some(&b"1, 2"[..]));
        assert_eq!((capture.header(1), capture.header(2), capture.header(9)), (None, None, None));
        assert_eq!(capture.header(3).map(<[u8]>::len), Some(KEPT_BYTES_MAX + CUT.len()));
    }
}
