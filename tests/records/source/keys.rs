//! `--key`: the subject of a record.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::source::process::{SourceProcess, record};
use crate::support::{Ask, ask, assert_error};

/// The key in the record of a request, as written there.
fn key_of(source: &SourceProcess, request: &Ask, count: usize) -> String {
    let answer = source.exchange(request);
    assert_eq!(answer.status(), 201, "{}", answer.text());
    let line = source.lines(count).pop().expect("a line");
    record(&line);
    let (_, rest) = line.split_once("},\"key\":").expect("a key");
    rest.split_once(",\"payload\":").expect("a payload").0.to_owned()
}

fn encoded(text: &str) -> String {
    format!("\"{}\"", BASE64_STANDARD.encode(text))
}

fn json(body: &str) -> Ask {
    ask("POST", "/").field("Content-Type", "application/json").body(body)
}

#[test]
fn a_header_is_the_key() {
    let source = SourceProcess::start(&["--key", "header:x-key"]);
    let plain = ask("POST", "/").body("x");
    let rows = [
        ("once", plain.clone().field("X-Key", "a b"), encoded("a b")),
        ("twice", plain.clone().field("X-Key", "a").field("x-key", "b"), encoded("a, b")),
        ("empty", plain.clone().field("X-Key", ""), encoded("")),
        ("not there", plain, "null".to_owned()),
    ];
    for (number, (name, request, expected)) in rows.into_iter().enumerate() {
        assert_eq!(key_of(&source, &request, number + 1), expected, "{name}");
    }
}

#[test]
fn the_path_is_the_key() {
    let source = SourceProcess::start(&["--key", "path"]);
    let request = ask("POST", "/hooks/%41/?q=1").body("x");
    assert_eq!(key_of(&source, &request, 1), encoded("/hooks/%41/"));
}

#[test]
fn a_pointer_finds_the_key_in_the_body() {
    let deep = r#"{"a":{"b/c":[{"~":"here"}]}}"#;
    let rows = [
        ("a string", "/id", r#"{"id":"x\u0041"}"#, encoded("xA")),
        ("a number", "/id", r#"{"id":7}"#, encoded("7")),
        ("a boolean", "/id", r#"{"id":false}"#, encoded("false")),
        ("an array", "/id", r#"{"id":[1, "b"]}"#, encoded("[1,\"b\"]")),
        ("an object", "/id", r#"{"id":{"z":1, "a":"b c"}}"#, r#"{"z":1,"a":"b c"}"#.to_owned()),
        ("null", "/id", r#"{"id":null}"#, "null".to_owned()),
        ("nothing there", "/id", r#"{"name":1}"#, "null".to_owned()),
        ("deep, with escapes", "/a/b~1c/0/~0", deep, encoded("here")),
        ("the root", "", r#"{"a": 1}"#, r#"{"a":1}"#.to_owned()),
        ("in an array", "/1", "[1,2]", encoded("2")),
        ("beyond an array", "/2", "[1,2]", "null".to_owned()),
        ("with a zero too many", "/01", "[1,2]", "null".to_owned()),
        ("a duplicate name", "/a", r#"{"a":1,"a":2}"#, encoded("2")),
        ("in a string", "/0", "\"ab\"", "null".to_owned()),
    ];
    for (name, pointer, body, expected) in rows {
        let source = SourceProcess::start(&["--key", &format!("json:{pointer}")]);
        assert_eq!(key_of(&source, &json(body), 1), expected, "{name}");
    }
}

#[test]
fn a_number_is_a_key_as_written() {
    let source = SourceProcess::start(&["--key", "json:/id"]);
    for (number, id) in
        ["12345678901234567890123", "12345678901234567890124", "1.10", "1e400"].iter().enumerate()
    {
        let found = key_of(&source, &json(&format!("{{\"id\":{id}}}")), 2 * number + 1);
        assert_eq!(found, encoded(id));
        let found = key_of(&source, &json(&format!("{{\"id\":{{\"n\": {id}}}}}")), 2 * number + 2);
        assert_eq!(found, format!("{{\"n\":{id}}}"));
    }
}

#[test]
fn a_body_that_is_not_json_has_no_key() {
    let source = SourceProcess::start(&["--key", "json:/id"]);
    let plain = ask("POST", "/").body(r#"{"id":"x"}"#);
    assert_eq!(key_of(&source, &plain, 1), "null", "it does not say that it is JSON");
    assert_eq!(key_of(&source, &json(""), 2), "null", "no body");
    assert_error("broken", &source.exchange(&json("{")), (400, "InvalidBodyError", None));
}
