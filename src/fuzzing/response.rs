//! Response heads: for any input httparse reads back exactly the given fields.

use super::choices::Choices;
use crate::http::date::HttpDate;
use crate::http::head::Version;
use crate::http::response::{HeadWriter, reason};

/// Fuzzes a response head of chosen parts.
pub fn response(script: &[u8]) {
    let mut choices = Choices::new(script);
    let status = 100 + u16::try_from(choices.below(900)).expect("below 900");
    let seconds = i64::from_le_bytes(std::array::from_fn(|_| choices.byte()));
    let length = u64::from_le_bytes(std::array::from_fn(|_| choices.byte()));
    let date = HttpDate::from_unix_seconds(seconds);
    let mut out = b"before".to_vec();
    let mut writer = HeadWriter::new(&mut out, status, &date);
    let mut expected = vec![("Date".to_owned(), date.as_bytes().to_vec())];
    for _ in 0..choices.below(6) {
        let name = token(choices.bytes(12));
        let value = choices.bytes(40);
        writer = writer.field(&name, value);
        expected.push((name, value.to_vec()));
    }
    match choices.below(3) {
        0 => {}
        1 => {
            writer = writer.content_length(length);
            expected.push(("Content-Length".to_owned(), length.to_string().into_bytes()));
        }
        _ => {
            writer = writer.chunked();
            expected.push(("Transfer-Encoding".to_owned(), b"chunked".to_vec()));
        }
    }
    let version = choices.pick(&[Version::Http11, Version::Http10]);
    let keep = choices.one_in(2);
    writer = writer.connection(keep, version);
    match (version, keep) {
        (Version::Http10, true) => expected.push(("Connection".to_owned(), b"keep-alive".to_vec())),
        (Version::Http11, false) => expected.push(("Connection".to_owned(), b"close".to_vec())),
        (Version::Http10, false) | (Version::Http11, true) => {}
    }
    writer.end();
    let text = out.strip_prefix(b"before").expect("what the buffer held stays");
    check_lines(text, status, &expected);
    let printable =
        |value: &[u8]| value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control());
    if expected.iter().all(|(_, value)| printable(&blanked(value))) {
        read_back(text, status, &expected);
    }
}

/// Returns bytes as a name that is a token.
fn token(bytes: &[u8]) -> String {
    let letters = b"abcXYZ-_.!#$%&'*+^`|~0189";
    let mut name = String::from("X");
    name.extend(bytes.iter().map(|&byte| char::from(letters[usize::from(byte) % letters.len()])));
    name
}

/// Returns a value as it is sent: without line-end bytes.
fn blanked(value: &[u8]) -> Vec<u8> {
    value.iter().map(|byte| if b"\r\n\0".contains(byte) { b' ' } else { *byte }).collect()
}

/// Checks that each field has one line, and nothing else does.
fn check_lines(text: &[u8], status: u16, expected: &[(String, Vec<u8>)]) {
    let mut wanted = format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes();
    for (name, value) in expected {
        wanted.extend([name.as_bytes(), b": ", &blanked(value), b"\r\n"].concat());
    }
    wanted.extend_from_slice(b"\r\n");
    assert_eq!(text, wanted, "{}", text.escape_ascii());
}

/// Checks that a client reads this status and these fields, up to the last byte.
pub(super) fn read_back(text: &[u8], status: u16, expected: &[(String, Vec<u8>)]) {
    let mut room = vec![httparse::EMPTY_HEADER; expected.len() + 1];
    let mut response = httparse::Response::new(&mut room);
    let parsed = response.parse(text);
    assert_eq!(parsed, Ok(httparse::Status::Complete(text.len())), "{}", text.escape_ascii());
    assert_eq!((response.code, response.version), (Some(status), Some(1)));
    assert_eq!(response.headers.len(), expected.len(), "{}", text.escape_ascii());
    for (found, (name, value)) in response.headers.iter().zip(expected) {
        assert_eq!(found.name, name);
        assert_eq!(found.value.trim_ascii(), blanked(value).trim_ascii(), "{name}");
    }
}
