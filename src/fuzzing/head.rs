//! Request heads: the verdict depends only on the bytes of the head, not on how they arrive, and an
//! accepted head can be serialized again without a change in meaning.

use super::choices::Choices;
use super::request;
use crate::http::fields::is_token;
use crate::http::framing::Framing;
use crate::http::head::{self, Expect, FieldSlots, HeadLimits, Method, Version};
use crate::http::reject::Reject;

/// Longest input; every byte costs up to three parses.
const INPUT_BYTES_MAX: usize = 2048;

/// The contents of a head, in a form that outlives its buffer.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    method: (Method, String),
    target: (String, String, Option<String>),
    version: Version,
    fields: Vec<(String, Vec<u8>)>,
    framing: Framing,
    expect: Expect,
    keep_alive: bool,
}

/// The result of a parse: incomplete, or the contents of the head and its length.
type Verdict = Result<Option<(Contents, usize)>, Reject>;

/// Fuzzes a head with limits and the bytes after it; the first byte chooses the limits.
pub fn head(data: &[u8]) {
    let mut choices = Choices::new(data);
    let bytes = choices.pick(&[16 << 10, 1024, 200, 64, 4096]);
    let limits = HeadLimits { bytes, target_bytes: bytes / 2 };
    let input = choices.rest();
    let input = &input[..input.len().min(INPUT_BYTES_MAX)];
    let verdict = parse(input, &limits);
    for end in 0..input.len() {
        let early = parse(&input[..end], &limits);
        assert!(early == Ok(None) || early == verdict, "{early:?} at byte {end}, then {verdict:?}");
    }
    check_trickle(input, &limits, &verdict);
    if let Ok(Some((contents, len))) = &verdict {
        check_accepted(&input[..*len], contents, &limits);
        check_what_follows(&input[..*len], &verdict, &limits);
    }
}

fn parse(input: &[u8], limits: &HeadLimits) -> Verdict {
    let mut slots = FieldSlots::new();
    let Some(head) = head::parse(input, &mut slots, limits)? else { return Ok(None) };
    request::check(&head);
    let contents = Contents {
        method: (head.method, head.method_name.to_owned()),
        target: (head.target.to_owned(), head.path.to_owned(), head.query.map(str::to_owned)),
        version: head.version,
        fields: head.fields.iter().map(|(n, v)| (n.to_owned(), v.to_vec())).collect(),
        framing: head.framing,
        expect: head.expect,
        keep_alive: head.keep_alive,
    };
    Ok(Some((contents, head.len)))
}

/// Checks that parsing byte by byte, only where `worth_parsing` advises it, misses nothing.
fn check_trickle(input: &[u8], limits: &HeadLimits, verdict: &Verdict) {
    let mut found = Ok(None);
    let mut seen = 0;
    for end in 1..=input.len() {
        if head::worth_parsing(&input[..end], seen, limits) {
            found = parse(&input[..end], limits);
        }
        if found != Ok(None) {
            break;
        }
        seen = end;
    }
    let late = verdict.is_err() && input.last() != Some(&b'\n') && input.len() < limits.bytes;
    assert!(found == *verdict || (late && found == Ok(None)), "{found:?}, not {verdict:?}");
}

/// Checks that an accepted head conforms to RFC 9112 and survives serialization.
fn check_accepted(text: &[u8], contents: &Contents, limits: &HeadLimits) {
    assert!(text.ends_with(b"\r\n\r\n") && text.len() <= limits.bytes);
    let complete_lines = text.split(|&byte| byte == b'\n').rev().skip(1);
    assert!(complete_lines.into_iter().all(|line| line.last() == Some(&b'\r')), "CRLF everywhere");
    assert!(is_token(contents.method.1.as_bytes()));
    assert!(contents.target.0.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    let mut again = format!("{} {} ", contents.method.1, contents.target.0).into_bytes();
    again.extend_from_slice(match contents.version {
        Version::Http10 => b"HTTP/1.0\r\n",
        Version::Http11 => b"HTTP/1.1\r\n",
    });
    for (name, value) in &contents.fields {
        assert!(is_token(name.as_bytes()));
        assert!(value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control()));
        assert_eq!(value, value.trim_ascii(), "no blanks around a value");
        again.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    again.extend_from_slice(b"\r\n");
    let roomy = HeadLimits { bytes: again.len() + 1, target_bytes: limits.target_bytes };
    match parse(&again, &roomy) {
        Ok(Some((found, len))) => assert_eq!((&found, len), (contents, again.len())),
        other => panic!("{:?} is not accepted again: {other:?}", again.escape_ascii().to_string()),
    }
}

/// Checks that bytes after a head do not change its verdict.
fn check_what_follows(text: &[u8], verdict: &Verdict, limits: &HeadLimits) {
    for after in [&b""[..], b"\r\n", b"\n", b"\0", b" folded: x\r\n", b"GET / HTTP/1.1\r\n"] {
        assert_eq!(parse(&[text, after].concat(), limits), *verdict, "{after:?} after it");
    }
}
