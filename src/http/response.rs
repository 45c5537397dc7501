//! Writes heads of messages into a caller's buffer (RFC 9112, sections 3 and 4). Nothing is
//! formatted, and nothing is allocated except for the buffer's own growth.

use super::date::HttpDate;
use super::head::Version;

/// The interim response to `Expect: 100-continue` (RFC 9110, section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The interim response that only shows that the request is still served (RFC 2518, section 10.1).
pub const PROCESSING: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";

/// Writes one head: the status line and `Date` of a response, or the request line of a request,
/// then fields in the order of the calls, then [`end`](Self::end).
#[derive(Debug)]
#[must_use = "a head is complete only after `end`"]
pub struct HeadWriter<'o> {
    out: &'o mut Vec<u8>,
    /// The name that no further field is allowed to have.
    sole: Option<&'o str>,
}

impl<'o> HeadWriter<'o> {
    /// Appends the status line and the `Date` field. `status` has three digits.
    pub fn new(out: &'o mut Vec<u8>, status: u16, date: &HttpDate) -> Self {
        Self::dated(out, status, date.as_bytes())
    }

    /// Appends the same with a `Date` from the origin, which is kept unchanged (RFC 9110, section
    /// 6.6.1).
    pub fn dated(out: &'o mut Vec<u8>, status: u16, date: &[u8]) -> Self {
        Self::undated(out, status).field("Date", date)
    }

    /// Appends the status line alone: a forwarded response may have the `Date` of its origin among
    /// its fields.
    pub fn undated(out: &'o mut Vec<u8>, status: u16) -> Self {
        debug_assert!((100..1000).contains(&status), "a status has three digits");
        out.extend_from_slice(b"HTTP/1.1 ");
        write_decimal(out, status.into());
        out.push(b' ');
        out.extend_from_slice(reason(status).as_bytes());
        out.extend_from_slice(b"\r\n");
        Self { out, sole: None }
    }

    /// Appends a request line. The method is a token; the target holds visible ASCII only.
    pub fn request(out: &'o mut Vec<u8>, method: &str, target: &str) -> Self {
        debug_assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "encoded before");
        out.extend_from_slice(method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        Self { out, sole: None }
    }

    /// Continues after a first line that was already written.
    pub fn following(out: &'o mut Vec<u8>) -> Self {
        Self { out, sole: None }
    }

    /// Appends a field, and ignores all later ones of its name.
    pub fn sole(self, name: &'o str, value: &[u8]) -> Self {
        let mut head = self.field(name, value);
        head.sole = Some(name);
        head
    }

    /// Appends a field. The name must be a token. A CR, LF or NUL in the value becomes a space
    /// (RFC 9110, section 5.5), so that no value can ever add a field or end the head.
    pub fn field(self, name: &str, value: &[u8]) -> Self {
        debug_assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
        if self.sole.is_some_and(|sole| sole.eq_ignore_ascii_case(name)) {
            return self;
        }
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        let start = self.out.len();
        self.out.extend_from_slice(value);
        if memchr::memchr3(b'\r', b'\n', 0, value).is_some() {
            blank_line_breaks(&mut self.out[start..]);
        }
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends `Content-Length`, the body's length in bytes; must not be combined with
    /// [`chunked`](Self::chunked).
    pub fn content_length(self, bytes: u64) -> Self {
        self.out.extend_from_slice(b"Content-Length: ");
        write_decimal(self.out, bytes);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends `Transfer-Encoding: chunked`; never to an HTTP/1.0 client.
    pub fn chunked(self) -> Self {
        self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        self
    }

    /// Appends `Connection` if `keep_alive` is not the default of the client's version (RFC 9112,
    /// section 9.3).
    pub fn connection(self, keep_alive: bool, version: Version) -> Self {
        match (version, keep_alive) {
            (Version::Http11, true) | (Version::Http10, false) => {}
            (Version::Http11, false) => self.out.extend_from_slice(b"Connection: close\r\n"),
            (Version::Http10, true) => self.out.extend_from_slice(b"Connection: keep-alive\r\n"),
        }
        self
    }

    /// Ends the head with its empty line.
    pub fn end(self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

fn blank_line_breaks(value: &mut [u8]) {
    for byte in value {
        if matches!(*byte, b'\r' | b'\n' | 0) {
            *byte = b' ';
        }
    }
}

/// Appends a number in decimal digits, without the formatting machinery.
pub fn write_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Returns the reason phrase of a status from the IANA registry of HTTP status codes; for an
/// unregistered one the name of its class.
pub fn reason(status: u16) -> &'static str {
    match REASONS.binary_search_by_key(&status, |&(code, _)| code) {
        Ok(index) => REASONS[index].1,
        Err(_) => class(status),
    }
}

/// Returns the name of a class (RFC 9110, section 15).
fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "Informational",
        2 => "Successful",
        3 => "Redirection",
        4 => "Client Error",
        5 => "Server Error",
        _ => "Unknown",
    }
}

/// Registered phrases, ordered by code.
const REASONS: [(u16, &str); 62] = [
    (100, "Continue"),
    (101, "Switching Protocols"),
    (102, "Processing"),
    (103, "Early Hints"),
    (104, "Upload Resumption Supported"),
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (203, "Non-Authoritative Information"),
    (204, "No Content"),
    (205, "Reset Content"),
    (206, "Partial Content"),
    (207, "Multi-Status"),
    (208, "Already Reported"),
    (226, "IM Used"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (305, "Use Proxy"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Range Not Satisfiable"),
    (417, "Expectation Failed"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Content"),
    (423, "Locked"),
    (424, "Failed Dependency"),
    (425, "Too Early"),
    (426, "Upgrade Required"),
    (428, "Precondition Required"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (451, "Unavailable For Legal Reasons"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
    (506, "Variant Also Negotiates"),
    (507, "Insufficient Storage"),
    (508, "Loop Detected"),
    (510, "Not Extended"),
    (511, "Network Authentication Required"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn head(write: impl FnOnce(HeadWriter<'_>) -> HeadWriter<'_>) -> String {
        let mut out = Vec::new();
        write(HeadWriter::new(&mut out, 200, &HttpDate::from_unix_seconds(784_111_777))).end();
        String::from_utf8(out).unwrap()
    }

    const START: &str = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    #[test]
    fn fields_follow_the_date_in_the_order_of_the_calls() {
        let text = head(|head| {
            head.field("Content-Type", b"text/plain").content_length(0).field("X", b"")
        });
        let fields = "Content-Type: text/plain\r\nContent-Length: 0\r\nX: \r\n";
        assert_eq!(text, format!("{START}{fields}\r\n"));
    }

    #[test]
    fn a_head_is_appended_to_the_buffer() {
        let mut out = CONTINUE.to_vec();
        HeadWriter::new(&mut out, 404, &HttpDate::from_unix_seconds(0)).chunked().end();
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\
                    Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn the_date_can_be_taken_from_another_response() {
        let mut out = Vec::new();
        HeadWriter::dated(&mut out, 200, b"Sun, 06 Nov 1994\r\nX: y").end();
        let text = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994  X: y\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn a_request_begins_with_its_line() {
        let mut out = Vec::new();
        HeadWriter::request(&mut out, "PUT", "/a?b").field("Host", b"h:1").content_length(2).end();
        let text = "PUT /a?b HTTP/1.1\r\nHost: h:1\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn no_value_can_inject_a_line() {
        let text = head(|head| head.field("A", b"1\r\nB: 2\n\r\n\0x"));
        assert_eq!(text, format!("{START}A: 1  B: 2    x\r\n\r\n"));
    }

    #[test]
    fn connection_is_written_only_if_it_differs_from_the_default() {
        for (name, keep_alive, version, field) in [
            ("1.1 keeps", true, Version::Http11, ""),
            ("1.1 closes", false, Version::Http11, "Connection: close\r\n"),
            ("1.0 keeps", true, Version::Http10, "Connection: keep-alive\r\n"),
            ("1.0 closes", false, Version::Http10, ""),
        ] {
            let text = head(|head| head.connection(keep_alive, version));
            assert_eq!(text, format!("{START}{field}\r\n"), "{name}");
        }
    }

    #[test]
    fn lengths_are_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 65_535, 1 << 32, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }

    #[test]
    fn reason_phrases_are_sorted_by_status() {
        assert!(REASONS.is_sorted_by(|(one, _), (other, _)| one < other));
    }

    #[test]
    fn an_unregistered_status_gets_the_name_of_its_class() {
        for (status, phrase) in [
            (100, "Continue"),
            (200, "OK"),
            (413, "Content Too Large"),
            (511, "Network Authentication Required"),
            (199, "Informational"),
            (299, "Successful"),
            (306, "Redirection"),
            (418, "Client Error"),
            (599, "Server Error"),
            (999, "Unknown"),
        ] {
            assert_eq!(reason(status), phrase, "{status}");
        }
    }
}
