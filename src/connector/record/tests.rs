//! Lines of other writers, read and written again; and invalid records.

use super::*;
use proptest::prelude::*;
use std::path::Path;

fn golden(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    text.split_inclusive('\n').map(str::to_owned).collect()
}

fn written(record: &Record) -> String {
    let mut out = Vec::new();
    record.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn raw(bytes: &[u8]) -> Data {
    Data::Raw(bytes.to_vec())
}

fn object(text: &str) -> Data {
    Data::Structured(RawValue::from_string(text.to_owned()).unwrap())
}

fn record(operation: Operation, position: &[u8], metadata: &[(&str, &str)]) -> Record {
    let pairs = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Record {
        position: position.to_vec(),
        operation,
        metadata: pairs.collect(),
        key: None,
        payload: Change::default(),
    }
}

#[test]
fn golden_lines_are_read_field_by_field_and_written_byte_for_byte() {
    let conduit = Record {
        key: Some(raw(b"bar")),
        payload: Change { before: None, after: Some(object(r#"{"baz":"qux","foo":"bar"}"#)) },
        ..record(Operation::Create, b"foo", &[("conduit.source.plugin.name", "example")])
    };
    let update = Record {
        key: Some(object(r#"{"id":9007199254740993}"#)),
        payload: Change {
            before: Some(object(r#"{"price":1.10,"big":1e400}"#)),
            after: Some(object(r#"{"price":1.100,"note":"a \u003c b, \" ö \\"}"#)),
        },
        ..record(Operation::Update, b"\0\x01\xff", &[("a", "1"), ("b", "2"), ("ä", "3")])
    };
    let delete = Record {
        key: Some(raw(b"")),
        payload: Change { before: Some(raw(b"old")), after: None },
        ..record(Operation::Delete, b"7", &[])
    };
    let escapes = "<&>\u{2028}\u{2029}\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}\"\\/é𝄞";
    let snapshot = Record {
        payload: Change { before: None, after: Some(raw(&[0xff; 4])) },
        ..record(
            Operation::Snapshot,
            b"",
            &[
                (OPENCDC_VERSION, "v1"),
                (CREATED_AT, "1"),
                (READ_AT, "2"),
                ("escapes", escapes),
                ("<", ""),
            ],
        )
    };
    let expected = [conduit, update, delete, snapshot];
    let lines = golden("records.jsonl");
    assert_eq!(lines.len(), expected.len());
    for (line, expected) in lines.iter().zip(expected) {
        let read = Record::parse(line.as_bytes()).unwrap();
        assert_eq!(read, expected);
        assert_eq!(&written(&read), line);
    }
}

#[test]
fn other_spellings_of_a_record_are_equivalent() {
    let spread = golden("spread.json").concat();
    let read = Record::parse(spread.as_bytes()).unwrap();
    let expected = Record {
        key: Some(raw(b"k/?")),
        payload: Change { before: None, after: Some(object(r#"{"a b":[1,2.50,{"c":" x "}]}"#)) },
        ..record(Operation::Update, b"p", &[("n", "last")])
    };
    assert_eq!(read, expected);
    assert_eq!(written(&read).lines().count(), 1);
    for (name, line) in [
        ("members that may be absent", r#"{"position":"cA==","operation":"delete"}"#),
        (
            "the same as null",
            r#"{"position":"cA==","operation":"delete","metadata":null,"key":null,"payload":null}"#,
        ),
        ("an empty payload", r#"{"operation":"delete","position":"cA==","payload":{}}"#),
    ] {
        let read = Record::parse(line.as_bytes()).unwrap();
        assert_eq!(read, record(Operation::Delete, b"p", &[]), "{name}");
    }
    let null = Record::parse(br#"{"position":null,"operation":"create"}"#).unwrap();
    assert_eq!(null.position, b"", "Go's empty slice");
}

#[test]
fn an_invalid_record_is_refused_with_the_reason() {
    for (name, line, hint) in [
        ("nothing", "", "not a JSON object"),
        ("no JSON", "position", "not a JSON object"),
        ("an array", r#"["cA==","create",null,null,null]"#, "the record is not a JSON object"),
        ("no position", r#"{"operation":"create"}"#, "missing field `position`"),
        ("no operation", r#"{"position":"cA=="}"#, "missing field `operation`"),
        (
            "an unknown operation",
            r#"{"position":"cA==","operation":"up\nsert"}"#,
            "operation 'up\\nsert'; it must be create",
        ),
        ("no base64", r#"{"position":"c?==","operation":"create"}"#, "position is not standard"),
        ("no padding", r#"{"position":"cA","operation":"create"}"#, "position is not standard"),
        (
            "base64 of URLs",
            r#"{"position":"cA==","operation":"create","key":"_-8="}"#,
            "key is not standard",
        ),
        ("a number as key", r#"{"position":"cA==","operation":"create","key":1}"#, "key must be"),
        (
            "an array as payload",
            r#"{"position":"cA==","operation":"create","payload":[null,null]}"#,
            "payload is not a JSON object",
        ),
        (
            "a number as data",
            r#"{"position":"cA==","operation":"create","payload":{"after":true}}"#,
            "payload.after must be null",
        ),
        (
            "a member twice",
            r#"{"position":"cA==","operation":"create","key":null,"key":"cA=="}"#,
            "duplicate field `key`",
        ),
        (
            "a member of the payload twice",
            r#"{"position":"cA==","operation":"create","payload":{"after":null,"after":null}}"#,
            "duplicate field `after`",
        ),
        (
            "metadata that is no text",
            r#"{"position":"cA==","operation":"create","metadata":{"n":1}}"#,
            "expected a string",
        ),
        ("cut short", r#"{"position":"cA==","operation":"create""#, "EOF"),
        ("more behind it", r#"{"position":"cA==","operation":"create"}{}"#, "trailing"),
    ] {
        let error = Record::parse(line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(hint), "{name}: {error}");
        assert!(!error.contains('\n'), "{name}: one line");
    }
    assert!(matches!(Record::parse(b"{\"position\":\"\xff\"}"), Err(RecordError::Json(_))));
}

#[test]
fn compact_json_keeps_the_contents_of_strings() {
    for (text, compact) in [
        ("{ \"a b\" :\t[ 1 , \"\\\" x\" ]\r\n}", "{\"a b\":[1,\"\\\" x\"]}"),
        ("\"\\\\\" ", "\"\\\\\""),
        ("", ""),
    ] {
        assert_eq!(json::compact(text.as_bytes()), compact.as_bytes());
    }
}

fn any_data() -> impl Strategy<Value = Option<Data>> {
    let text = (any::<String>(), any::<f64>()).prop_map(|(text, number)| {
        let value = serde_json::json!({ text.clone(): [number, text] });
        RawValue::from_string(value.to_string()).unwrap()
    });
    prop_oneof![
        Just(None),
        any::<Vec<u8>>().prop_map(|bytes| Some(Data::Raw(bytes))),
        text.prop_map(|object| Some(Data::Structured(object))),
    ]
}

proptest! {
    #[test]
    fn a_written_record_is_read_back(
        position in any::<Vec<u8>>(),
        operation in 0..4_usize,
        metadata in any::<BTreeMap<String, String>>(),
        key in any_data(),
        before in any_data(),
        after in any_data(),
    ) {
        use Operation::{Create, Delete, Snapshot, Update};
        let operation = [Create, Update, Delete, Snapshot][operation];
        let payload = Change { before, after };
        let record = Record { position, operation, metadata, key, payload };
        let line = written(&record);
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        prop_assert_eq!(Record::parse(line.as_bytes()), Ok(record));
    }
}
