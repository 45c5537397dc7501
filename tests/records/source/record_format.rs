//! The format of a record, byte by byte and as read by a third-party parser.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::source::process::{SourceProcess, hex, position, post};
use crate::support::{ask, pattern};

/// Parses each line with Python's `json`, and prints the members in their order.
const READER: &str = r#"
import base64, json, sys
out = []
for line in sys.stdin.buffer:
    assert line.endswith(b"\n"), line
    record = json.loads(line.decode("utf-8"), parse_float=str)
    after = record["payload"]["after"]
    if isinstance(after, str):
        after = base64.b64decode(after, validate=True).hex()
    out.append({"members": list(record), "payload": list(record["payload"]),
                "metadata": list(record["metadata"]), "operation": record["operation"],
                "position": base64.b64decode(record["position"], validate=True).decode(),
                "after": after})
json.dump(out, sys.stdout)
"#;

/// The members of these lines as parsed by Python.
pub(crate) fn read_by_python(lines: &[String]) -> Vec<Value> {
    let mut command = Command::new("python3");
    command.args(["-c", READER]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3");
    let mut input = child.stdin.take().expect("stdin");
    for line in lines {
        input.write_all(format!("{line}\n").as_bytes()).expect("python3 reads");
    }
    drop(input);
    let output = child.wait_with_output().expect("python3");
    assert!(output.status.success(), "python3 could not read {lines:#?}");
    serde_json::from_slice(&output.stdout).expect("what it found")
}

/// The value of a metadata name, unchanged in the line.
fn metadata(line: &str, name: &str) -> String {
    let value: Value = serde_json::from_str(line).expect("a record");
    value["metadata"][name].as_str().unwrap_or_else(|| panic!("{name} in {line}")).to_owned()
}

#[test]
fn a_record_has_exactly_this_line() {
    let source =
        SourceProcess::start(&["--header", "X-Event", "--header", "accept", "--header", "X-None"]);
    let mut wire = source.connect();
    let request = ask("POST", "/hooks/a%20b?x=1&y=%22")
        .field("X-Event", "first")
        .field("Content-Type", "text/plain; charset=utf-8")
        .field("x-event", "second, <third>")
        .field("Accept", "*/*")
        .field("X-Other", "not selected");
    let answer = wire.exchange(&request.body("<\u{fc}\0>"));
    let at = wire.sender().local_addr().expect("an address");
    let (position, id) = (position(&answer), answer.head.get("X-Request-Id").expect("an id"));
    assert_eq!(answer.text(), format!("{{\"position\":\"{position}\"}}\n"));
    assert_eq!(answer.head.get("Content-Type"), Some("application/json"));

    let line = &source.lines(1)[0];
    let created = metadata(line, "opencdc.createdAt");
    let read = metadata(line, "opencdc.readAt");
    for time in [&created, &read] {
        assert!(time.len() == 19 && time.bytes().all(|byte| byte.is_ascii_digit()), "{time}");
    }
    let encoded = BASE64_STANDARD.encode(&position);
    let expected = format!(
        "{{\"position\":\"{encoded}\",\"operation\":\"create\",\"metadata\":{{\
         \"opencdc.createdAt\":\"{created}\",\"opencdc.readAt\":\"{read}\",\
         \"opencdc.version\":\"v1\",\
         \"rdv.source.content_type\":\"text/plain; charset=utf-8\",\
         \"rdv.source.header.accept\":\"*/*\",\
         \"rdv.source.header.x-event\":\"first, second, \\u003cthird\\u003e\",\
         \"rdv.source.method\":\"POST\",\"rdv.source.path\":\"/hooks/a%20b\",\
         \"rdv.source.query\":\"x=1\\u0026y=%22\",\"rdv.source.remote_address\":\"{at}\",\
         \"rdv.source.request_id\":\"{id}\"}},\"key\":null,\
         \"payload\":{{\"before\":null,\"after\":\"PMO8AD4=\"}}}}"
    );
    assert_eq!(*line, expected);
}

#[test]
fn absent_fields_are_omitted_from_the_record() {
    let source = SourceProcess::start(&["--request-id=false"]);
    assert_eq!(source.exchange(&ask("POST", "/").body("")).status(), 201);
    assert_eq!(source.exchange(&ask("POST", "/?")).status(), 201, "neither length nor body");
    for (line, query) in source.lines(2).iter().zip([None, Some("")]) {
        let value: Value = serde_json::from_str(line).expect("a record");
        let metadata = value["metadata"].as_object().expect("an object");
        for name in ["content_type", "request_id"] {
            assert!(!metadata.contains_key(&format!("rdv.source.{name}")), "{line}");
        }
        assert_eq!(metadata.get("rdv.source.query").and_then(Value::as_str), query, "{line}");
        assert!(line.ends_with("\"payload\":{\"before\":null,\"after\":null}}"), "{line}");
    }
}

#[test]
fn the_request_id_of_the_sender_is_in_the_record() {
    let source = SourceProcess::start(&[]);
    let answer = source.exchange(&post("x").field("X-Request-Id", "from-afar.7"));
    assert_eq!(answer.head.get("X-Request-Id"), Some("from-afar.7"));
    assert_eq!(metadata(&source.lines(1)[0], "rdv.source.request_id"), "from-afar.7");
}

#[test]
fn invalid_utf_8_in_a_header_becomes_replacement_characters() {
    let source = SourceProcess::start(&["--header", "X-A"]);
    let mut wire = source.connect();
    wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nX-A: a\xffb\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(wire.response().status(), 201);
    assert_eq!(metadata(&source.lines(1)[0], "rdv.source.header.x-a"), "a\u{fffd}b");
}

#[test]
fn another_parser_finds_the_records_in_response_order() {
    let source = SourceProcess::start(&["--header", "X-A"]);
    let bodies: Vec<Vec<u8>> = vec![
        b"x".to_vec(),
        (0..=255).collect(),
        b"\n\r\n\"\\".to_vec(),
        "\u{2028}\u{1f980}".into(),
        pattern(7, 100_000),
        pattern(8, 3 << 20),
    ];
    let mut wire = source.connect();
    let mut positions = Vec::new();
    for (number, body) in bodies.iter().enumerate() {
        let number = "\"\\\t<".repeat(number);
        positions.push(position(&wire.exchange(&post(body).field("X-A", &number))));
    }
    assert!(positions.is_sorted(), "{positions:?}");
    for position in &positions {
        let uuid = Uuid::parse_str(position).expect("a UUID");
        assert_eq!((uuid.get_version_num(), uuid.hyphenated().to_string()), (7, position.clone()));
    }
    let found = read_by_python(&source.lines(bodies.len()));
    for ((body, position), found) in bodies.iter().zip(&positions).zip(found) {
        assert!(found["after"] == hex(body), "a body of {} bytes", body.len());
        assert_eq!(found["position"], *position);
        assert_eq!(found["operation"], "create");
        let members = json!(["position", "operation", "metadata", "key", "payload"]);
        assert_eq!((&found["members"], &found["payload"]), (&members, &json!(["before", "after"])));
        let names = found["metadata"].as_array().expect("names").iter();
        assert!(names.map(|name| name.as_str().expect("text")).is_sorted(), "{found}");
    }
}
