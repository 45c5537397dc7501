//! `--structured`: JSON objects unchanged, everything else as bytes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::source::process::SourceProcess;
use crate::source::record_format::read_by_python;
use crate::support::{ask, assert_error};

/// The payload in the record of a body of this type.
fn payload_of(source: &SourceProcess, kind: &str, body: &str, count: usize) -> String {
    let answer = source.exchange(&ask("POST", "/").field("Content-Type", kind).body(body));
    assert_eq!(answer.status(), 201, "{kind} {body}: {}", answer.text());
    let line = source.lines(count).pop().expect("a line");
    let (_, after) = line.split_once("\"payload\":{\"before\":null,\"after\":").expect("a payload");
    after.strip_suffix("}}").expect("its end").to_owned()
}

#[test]
fn json_objects_are_payloads_as_written() {
    let source = SourceProcess::start(&["--structured"]);
    let rows = [
        ("plain", "application/json", r#"{"b":1,"a":2}"#, r#"{"b":1,"a":2}"#),
        ("with a charset", "application/json; charset=utf-8", "{}", "{}"),
        ("in capitals", "Application/JSON", "{}", "{}"),
        ("of another type", "application/vnd.github+json", "{}", "{}"),
        (
            "spread over lines",
            "application/json",
            "\r\n {\t\"a b\" : [ 1 ,\n\"x\\\" y\\\\\" ] } \n",
            r#"{"a b":[1,"x\" y\\"]}"#,
        ),
        (
            "with numbers that no double holds",
            "application/json",
            r#"{"a":12345678901234567890123,"b":1.10,"c":1e400,"d":-0.0}"#,
            r#"{"a":12345678901234567890123,"b":1.10,"c":1e400,"d":-0.0}"#,
        ),
        (
            "with escapes",
            "application/json",
            r#"{"\u0061":"<\/\u2028"}"#,
            r#"{"\u0061":"<\/\u2028"}"#,
        ),
        ("with a name twice", "application/json", r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
    ];
    for (number, (name, kind, body, expected)) in rows.into_iter().enumerate() {
        assert_eq!(payload_of(&source, kind, body, number + 1), expected, "{name}");
    }
    let found = read_by_python(&source.lines(rows.len()));
    assert!(found.iter().all(|found| found["after"].is_object()), "{found:#?}");
}

#[test]
fn everything_but_json_objects_is_bytes() {
    let source = SourceProcess::start(&["--structured"]);
    let rows = [
        ("an array", "application/json", "[{}, 1]"),
        ("a string", "application/json", "\"{}\""),
        ("a number with spaces", "application/json", " 7\n"),
        ("an object of another type", "text/plain", "{}"),
        ("no JSON of another type", "application/jsonx", "{"),
        ("lines of JSON", "application/x-ndjson", "{}\n{}"),
    ];
    for (number, (name, kind, body)) in rows.into_iter().enumerate() {
        let expected = format!("\"{}\"", BASE64_STANDARD.encode(body));
        assert_eq!(payload_of(&source, kind, body, number + 1), expected, "{name}");
    }
    assert_eq!(payload_of(&source, "application/json", "", rows.len() + 1), "null", "no body");
}

#[test]
fn without_structured_even_json_is_bytes() {
    let source = SourceProcess::start(&[]);
    for (number, body) in ["{}", "{", "[1]"].into_iter().enumerate() {
        let expected = format!("\"{}\"", BASE64_STANDARD.encode(body));
        assert_eq!(payload_of(&source, "application/json", body, number + 1), expected, "{body}");
    }
}

#[test]
fn invalid_json_is_rejected() {
    let source = SourceProcess::start(&["--structured"]);
    let deep = "[".repeat(100_000);
    let rows: [(&str, &[u8]); 8] = [
        ("half of it", b"{\"a\":"),
        ("more than one", b"{} {}"),
        ("a comma too many", b"{\"a\":1,}"),
        ("no UTF-8", b"{\"a\":\"\xff\"}"),
        ("a byte order mark", b"\xef\xbb\xbf{}"),
        ("nothing but spaces", b"  \n"),
        ("a bare line feed in a string", b"{\"a\":\"\n\"}"),
        ("very deep", deep.as_bytes()),
    ];
    let mut wire = source.connect();
    for (name, body) in rows {
        let request = ask("POST", "/").field("Content-Type", "application/json").body(body);
        let answer = wire.exchange(&request);
        assert_error(name, &answer, (400, "InvalidBodyError", None));
        assert!(answer.text().contains("The body is not valid JSON"), "{name}: {}", answer.text());
    }
    let good = ask("POST", "/").field("Content-Type", "application/json").body("{}");
    assert_eq!(wire.exchange(&good).status(), 201, "the connection goes on");
    source.lines(1);
    assert_eq!(source.end().stdout.lines().count(), 1, "nothing of them was handed over");
}

/// JSON with this number of levels.
fn levels(levels: usize) -> String {
    format!("{{\"]}}\\\"[[\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
}

#[test]
fn json_nested_too_deeply_is_rejected() {
    let source = SourceProcess::start(&["--structured"]);
    let body = levels(100);
    assert_eq!(payload_of(&source, "application/json", &body, 1), body);
    for body in [levels(101), levels(50_000)] {
        let request = ask("POST", "/").field("Content-Type", "application/json").body(&body);
        let answer = source.exchange(&request);
        let levels = body.len();
        assert_error(&format!("{levels} bytes"), &answer, (400, "InvalidBodyError", None));
        assert!(answer.text().contains("more than 100 levels; send fewer"), "{}", answer.text());
    }
    source.end();
}

#[test]
fn deeply_nested_json_is_accepted_as_bytes() {
    let source = SourceProcess::start(&["--structured"]);
    let body = levels(200);
    let list = format!("[{body}]");
    assert_eq!(source.exchange(&ask("POST", "/").body(&body)).status(), 201, "of another type");
    let request = ask("POST", "/").field("Content-Type", "application/json").body(&list);
    assert_eq!(source.exchange(&request).status(), 201, "no object");
    source.end();
}
