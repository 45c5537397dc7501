//! The request line of an incomplete or invalid head: extracts the visible part and finds the
//! error. For a complete and valid head only its empty lines are handled here.

use memchr::memchr;

use super::HeadLimits;
use crate::http::fields::is_token;
use crate::http::reject::Reject;

/// Empty lines skipped before a request line (RFC 9112, section 2.2): old clients end a body with
/// one, and a client that does so after each of two bodies is not flooding yet.
const EMPTY_LINES_MAX: usize = 2;

/// Returns the number of bytes of the empty lines before the request line.
pub(super) fn skip_empty_lines(window: &[u8]) -> Result<usize, Reject> {
    let mut rest = window;
    for _ in 0..=EMPTY_LINES_MAX {
        match rest.strip_prefix(b"\r\n") {
            Some(after) => rest = after,
            None if rest.first() == Some(&b'\n') => return Err(Reject::LineEnding),
            None => return Ok(window.len() - rest.len()),
        }
    }
    Err(Reject::TooManyEmptyLines)
}

/// Checks that the visible part of the target is not too long; its end may be missing.
pub(super) fn check_visible_target(window: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
    let too_long = split_request_line(window)
        .is_some_and(|(method, target, _)| is_token(method) && target.len() > limits.target_bytes);
    if too_long { Err(Reject::TargetTooLong) } else { Ok(()) }
}

/// Splits a head that may be incomplete or invalid into the method, the visible part of the target,
/// and the rest after the target; `None` before the first space.
fn split_request_line(window: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let line = &window[skip_empty_lines(window).ok()?..];
    let (method, rest) = line.split_at(memchr(b' ', line)?);
    let rest = &rest[1..];
    let end = rest.iter().position(|byte| !matches!(byte, b'!'..=b'~' | 0x80..));
    let (target, rest) = rest.split_at(end.unwrap_or(rest.len()));
    Some((method, target, rest))
}

/// Returns why httparse refused the head; `None` if it did so before the reason is visible.
pub(super) fn diagnose(line: &[u8], error: httparse::Error) -> Option<Reject> {
    match error {
        httparse::Error::HeaderName => Some(Reject::FieldName),
        httparse::Error::HeaderValue => Some(Reject::FieldValue),
        httparse::Error::NewLine => Some(Reject::LineEnding),
        httparse::Error::TooManyHeaders => Some(Reject::TooManyFields),
        httparse::Error::Token | httparse::Error::Status => Some(diagnose_token(line)),
        httparse::Error::Version => diagnose_version(line),
    }
}

/// Returns which of the two is wrong, the method or the target.
fn diagnose_token(line: &[u8]) -> Reject {
    match split_request_line(line) {
        Some((method, ..)) if is_token(method) => Reject::TargetBytes,
        Some(_) | None => Reject::Method,
    }
}

/// Distinguishes an unsupported HTTP version from an invalid one; `None` while it can be either.
fn diagnose_version(line: &[u8]) -> Option<Reject> {
    let (.., rest) = split_request_line(line)?;
    let pattern = b" HTTP/0.0\r\n";
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        _ => byte == wanted,
    };
    if !rest.iter().zip(pattern).all(fits) {
        return Some(Reject::Version);
    }
    (rest.len() >= pattern.len()).then_some(Reject::VersionUnsupported)
}
