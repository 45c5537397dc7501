//! Request and response heads: conversion between values of the `http` crate and bytes. Hop-by-hop
//! fields (RFC 9110, section 7.6.1) are dropped in both directions.

use super::error::Error;
use super::hop;
use super::spelling::{Spelling, received};
use crate::http::answer::AnswerHead;
use crate::http::fields::members;
use crate::http::framing::parse_length;
use crate::http::head::{self, FieldSlots, HeadLimits};
use crate::http::reject::Reject;
use crate::http::response::{HeadWriter, reason, write_decimal};
use crate::mux::frame::HEAD_MAX_BYTES;
use crate::mux::text::CORRELATION_ID;
use crate::ops::random;
use http::header::{CONTENT_LENGTH, HOST};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use std::fmt::Write as _;

const LIMITS: HeadLimits = HeadLimits { bytes: HEAD_MAX_BYTES, target_bytes: HEAD_MAX_BYTES / 2 };

/// Writes the head of a request; `length_bytes` is the length of the body, if known.
pub(super) fn write_request(
    head: &http::request::Parts,
    length_bytes: Option<u64>,
    host: &str,
) -> Result<Vec<u8>, Error> {
    if head.method == Method::CONNECT {
        return Err(Error::Input("CONNECT cannot go through a socket; use another method".into()));
    }
    let mut bytes = Vec::new();
    let mut writer = HeadWriter::request(&mut bytes, head.method.as_str(), &target(&head.uri));
    if !head.headers.contains_key(HOST) {
        let named = head.uri.authority().map_or(host, |authority| authority.as_str());
        let without_user = named.rsplit_once('@').map_or(named, |(_, place)| place);
        writer = writer.field("Host", without_user.as_bytes());
    }
    if !head.headers.contains_key(CORRELATION_ID) {
        let id = random::uuid();
        let id = id.map_err(|error| Error::network("cannot create a request id", error))?;
        writer = writer.field(CORRELATION_ID, id.to_string().as_bytes());
    }
    let has_body = length_bytes != Some(0);
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
    // RFC 9110, section 8.6: no length where no body is expected.
    if let Some(length) = length_bytes.filter(|_| has_body || expects_body) {
        writer = writer.content_length(length);
    }
    fields(writer, &head.headers, &head.extensions).end();
    Ok(bytes)
}

/// Writes the head of a response; `length_bytes` is its `Content-Length`, if any.
pub(super) fn write_response(head: &http::response::Parts, length_bytes: Option<u64>) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 ".to_vec();
    write_decimal(&mut bytes, head.status.as_u16().into());
    bytes.push(b' ');
    bytes.extend_from_slice(reason(head.status.as_u16()).as_bytes());
    bytes.extend_from_slice(b"\r\n");
    let mut writer = HeadWriter::following(&mut bytes);
    if let Some(length) = length_bytes {
        writer = writer.content_length(length);
    }
    fields(writer, &head.headers, &head.extensions).end();
    bytes
}

fn fields<'w>(
    mut writer: HeadWriter<'w>,
    fields: &HeaderMap,
    extensions: &Extensions,
) -> HeadWriter<'w> {
    for (name, value) in hop::passing(fields).filter(|(name, _)| **name != CONTENT_LENGTH) {
        writer = writer.field(Spelling::of(extensions, name), value.as_bytes());
    }
    writer
}

/// Returns the path and query, with bytes that are invalid in a request line escaped.
fn target(uri: &Uri) -> String {
    let found = uri.path_and_query().map_or("/", |target| target.as_str());
    let slash = if found.starts_with('/') || found == "*" { "" } else { "/" };
    let mut text = slash.to_owned();
    for byte in found.bytes() {
        if byte.is_ascii_graphic() {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Returns the declared length, if any; it may be repeated, but must always be the same (RFC 9110,
/// section 8.6).
pub(super) fn stated_length(fields: &HeaderMap) -> Option<u64> {
    let lines = fields.get_all(CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
    let mut lengths = lines.flat_map(members).map(parse_length);
    let first = lengths.next()?;
    first.filter(|_| lengths.all(|length| length == first))
}

/// Reads the head of a request.
///
/// # Errors
/// Why the head is invalid, for a 400.
pub(super) fn read_request(bytes: &[u8]) -> Result<Request<()>, String> {
    let mut slots = FieldSlots::new();
    let head = head::parse(bytes, &mut slots, &LIMITS).map_err(Reject::message)?;
    let head = head.ok_or("the head is incomplete")?;
    let request = Request::builder().method(head.method_name).uri(head.target);
    let mut request = request.body(()).map_err(|error| error.to_string())?;
    let fields = received(head.fields.iter(), request.extensions_mut())?;
    *request.headers_mut() = hop::passed(&fields, &[]);
    Ok(request)
}

/// Reads the head of a response.
///
/// # Errors
/// The head is invalid.
pub(super) fn read_response(bytes: &[u8]) -> Result<Response<()>, Error> {
    let wrong = Error::Response;
    let head = AnswerHead::parse(bytes).map_err(|error| wrong(error.to_string()))?;
    let head = head.ok_or_else(|| wrong("the head is incomplete".into()))?;
    let mut response = Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(head.status).map_err(|error| wrong(error.to_string()))?;
    let all = head.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let fields = received(all, response.extensions_mut()).map_err(wrong)?;
    *response.headers_mut() = hop::passed(&fields, &[]);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn request(builder: http::request::Builder) -> http::request::Parts {
        builder.body(()).unwrap().into_parts().0
    }

    fn written(head: &http::request::Parts, length: Option<u64>) -> String {
        String::from_utf8(write_request(head, length, "h:1").unwrap()).unwrap()
    }

    #[test]
    fn requests_are_written_with_the_required_fields() {
        for (name, builder, length, text) in [
            ("a plain one", Request::get("/a?b"), Some(0), "GET /a?b HTTP/1.1\r\nHost: h:1\r\n"),
            (
                "no path",
                Request::get("http://x.example"),
                None,
                "GET / HTTP/1.1\r\nHost: x.example",
            ),
            ("a user", Request::get("http://u:p@x/"), None, "GET / HTTP/1.1\r\nHost: x\r\n"),
            ("an asterisk", Request::options("*"), Some(0), "OPTIONS * HTTP/1.1\r\n"),
            ("nothing posted", Request::post("/"), Some(0), "\r\nContent-Length: 0\r\n"),
            ("a body", Request::get("/"), Some(5), "\r\nContent-Length: 5\r\n"),
        ] {
            let head = written(&request(builder.header("X-Correlation-Id", "7")), length);
            assert!(head.contains(text), "{name}: {head}");
            assert!(head.ends_with("x-correlation-id: 7\r\n\r\n"), "{name}: {head}");
        }
        let head = written(&request(Request::get("/")), Some(0));
        assert!(head.contains("\r\nX-Correlation-Id: "), "{head}");
        assert!(!head.contains("Content-Length"), "{head}");
        let connect = request(Request::connect("a:1"));
        assert!(write_request(&connect, None, "h").is_err());
    }

    #[test]
    fn hop_by_hop_fields_are_removed_in_both_directions() {
        let builder = Request::get("/")
            .header("Connection", "close, X-Own")
            .header("X-Own", "1")
            .header("Transfer-Encoding", "chunked")
            .header("Content-Length", "9")
            .header("Kept", "yes");
        let head = written(&request(builder), None);
        let kept: Vec<_> = head.lines().filter(|line| line.contains(':')).collect();
        assert_eq!((kept.len(), kept[2]), (3, "kept: yes"), "{head}");
        let head = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: x\r\nX: 1\r\nTE: t\r\nB: 2\r\n\r\n";
        let read = read_request(head.as_bytes()).unwrap();
        let names: Vec<_> = read.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["host", "b"]);
    }

    #[test]
    fn repeated_lengths_must_agree() {
        for (name, lines, length) in [
            ("nothing", &[][..], None),
            ("once", &["5"], Some(5)),
            ("a list", &["5, 5"], Some(5)),
            ("two lines", &["5", "05"], Some(5)),
            ("another in the list", &["5, 6"], None),
            ("another line", &["5", "6"], None),
            ("no number", &["5", "x"], None),
        ] {
            let mut fields = HeaderMap::new();
            for line in lines {
                fields.append(CONTENT_LENGTH, HeaderValue::from_static(line));
            }
            assert_eq!(stated_length(&fields), length, "{name}");
        }
    }

    #[test]
    fn a_written_response_is_read_back() {
        let response = Response::builder().status(404).header("A", "1").header("A", "2");
        let head = response.body(()).unwrap().into_parts().0;
        let bytes = write_response(&head, Some(3));
        let text = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\na: 1\r\na: 2\r\n\r\n";
        assert_eq!(bytes, text.as_bytes());
        let read = read_response(&bytes).unwrap();
        assert_eq!((read.status().as_u16(), read.headers().get_all("a").iter().count()), (404, 2));
        assert_eq!(stated_length(read.headers()), Some(3));
        assert!(read_response(b"HTTP/1.1 200 OK\r\n").is_err());
        assert!(read_request(b"GET / HTTP/1.1\r\n\r\n").is_err(), "a request without a host");
    }
}
