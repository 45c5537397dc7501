//! Lines of any length, complete and truncated.

use super::super::{Change, Data, Operation};
use super::*;
use std::collections::BTreeMap;
use std::io::Write as _;

fn record(after: Option<Data>) -> Record {
    Record {
        position: b"p".to_vec(),
        operation: Operation::Create,
        metadata: BTreeMap::new(),
        key: None,
        payload: Change { before: None, after },
    }
}

fn line(after: Option<Data>) -> Vec<u8> {
    let mut line = Vec::new();
    record(after).write(&mut line);
    line
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 7 + at / 251 % 5).to_le_bytes()[0]).collect()
}

fn content(spilled: &SpilledContent) -> Vec<u8> {
    let mut content = Vec::new();
    spilled.reader().read_to_end(&mut content).unwrap();
    content
}

#[test]
fn content_of_any_length_is_read_and_written_again() {
    let edges = [0, 1, 2, 3, 700_000, LINE_MAX_BYTES, 3 * LINE_MAX_BYTES + 1];
    let input: Vec<u8> =
        edges.iter().flat_map(|bytes| line(Some(Data::Raw(pattern(*bytes))))).collect();
    let mut reader = Reader::new(&input[..]);
    for bytes in edges {
        let incoming = reader.read().unwrap().unwrap();
        let (head, tail) = incoming.record.halves();
        let (mut again, expected) = (head, pattern(bytes));
        match (&incoming.spilled, &incoming.record.payload.after) {
            (Some(spilled), None) => {
                assert!(bytes > LINE_MAX_BYTES / 2, "{bytes} bytes fit into memory");
                assert_eq!((content(spilled), spilled.bytes()), (expected, bytes as u64));
                again.push(b'"');
                let chars = spilled.base64_reader().read_to_end(&mut again).unwrap();
                assert_eq!(chars as u64, spilled.base64_chars());
                again.push(b'"');
                again.extend_from_slice(tail);
            }
            (None, Some(Data::Raw(content))) => {
                assert_eq!(content, &expected);
                again.clear();
                incoming.record.write(&mut again);
            }
            other => panic!("{bytes}: {other:?}"),
        }
        assert!(incoming.held_bytes <= LINE_MAX_BYTES);
        assert!(again == line(Some(Data::Raw(pattern(bytes)))), "{bytes}: the same line");
    }
    assert!(reader.read().unwrap().is_none());
}

#[test]
fn several_readers_can_share_the_same_content() {
    let input = line(Some(Data::Raw(pattern(LINE_MAX_BYTES))));
    let incoming = Reader::new(&input[..]).read().unwrap().unwrap();
    let spilled = incoming.spilled.unwrap();
    let mut begun = spilled.reader();
    begun.read_exact(&mut [0; 100]).unwrap();
    assert_eq!(content(&spilled), pattern(LINE_MAX_BYTES), "another place");
    let mut rest = Vec::new();
    begun.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, &pattern(LINE_MAX_BYTES)[100..]);
    let mut file = Vec::new();
    spilled.file().unwrap().read_to_end(&mut file).unwrap();
    assert_eq!(file, pattern(LINE_MAX_BYTES));
}

#[test]
fn empty_lines_are_skipped_but_counted() {
    let input = [b"\n\n", &line(None)[..], b"\n", line(None).trim_ascii_end()].concat();
    let mut reader = Reader::new(&input[..]);
    let lines = [(); 2].map(|()| reader.read().unwrap().unwrap().line);
    assert_eq!(lines, [3, 5], "the last one needs no end");
    assert!(reader.read().unwrap().is_none());
}

#[test]
fn an_invalid_record_is_reported_with_its_line() {
    let long = "x".repeat(LINE_MAX_BYTES);
    let good = String::from_utf8(line(None)).unwrap();
    let start = r#"{"position":"cA==","operation":"create","#;
    let a = "A".repeat(2 * LINE_MAX_BYTES);
    for (name, input, hint) in [
        ("no record", format!("{good}nothing\n"), "not a JSON object"),
        ("cut short", format!("{good}{}", &good[..50]), "ended within"),
        ("long, and no record", format!("{good}{long}{long}"), "only raw bytes"),
        (
            "large metadata",
            format!("{good}{start}\"metadata\":{{\"n\":\"{long}\"}}}}\n"),
            "only raw bytes",
        ),
        (
            "a large object",
            format!("{good}{start}\"payload\":{{\"after\":{{\"n\":\"{long}\"}}}}}}\n"),
            "only raw bytes",
        ),
        ("a large key", format!("{good}{start}\"key\":\"{a}\"}}\n"), "only raw bytes"),
        (
            "an array of such names",
            format!("{good}{start}\"payload\":[{{\"after\":\"{a}\"}}]}}\n"),
            "only raw bytes",
        ),
        (
            "twice",
            format!("{good}{start}\"payload\":{{\"after\":\"{a}\",\"after\":\"{a}\"}}}}\n"),
            "duplicate field",
        ),
        (
            "padding within",
            format!("{good}{start}\"payload\":{{\"after\":\"AA=={a}\"}}}}\n"),
            "base64",
        ),
        (
            "not a multiple of 4",
            format!("{good}{start}\"payload\":{{\"after\":\"{a}A\"}}}}\n"),
            "base64",
        ),
        (
            "a line's end within the content",
            format!("{good}{start}\"payload\":{{\"after\":\"{a}\n{a}\"}}}}\n"),
            "the line ends within payload.after",
        ),
        (
            "cut short within the content",
            format!("{good}{start}\"payload\":{{\"after\":\"{a}"),
            "ended within",
        ),
    ] {
        let mut reader = Reader::new(input.as_bytes());
        reader.read().unwrap();
        let error = reader.read().unwrap_err().to_string();
        assert!(error.contains(hint), "{name}: {error}");
        assert_eq!(reader.line(), 2, "{name}");
    }
}

#[test]
fn escapes_and_whitespace_do_not_hide_the_content() {
    let content = "////".repeat(LINE_MAX_BYTES / 4);
    let escaped = content.replace("////", r"\/\u002f//");
    let mut input = Vec::new();
    let names = r#""key" : "cA==", "p\u0061yload" : { "other" : "after" , "after" : "#;
    write!(input, r#"{{"position":"cA==", "operation":"create", {names}"{escaped}" }} }}"#)
        .unwrap();
    let incoming = Reader::new(&input[..]).read().unwrap();
    let spilled = incoming.unwrap().spilled.unwrap();
    assert!(self::content(&spilled).iter().all(|byte| *byte == 0xff));
    assert_eq!(spilled.bytes(), LINE_MAX_BYTES as u64 / 4 * 3);
}

#[test]
fn an_unusable_temporary_directory_is_the_reported_reason() {
    let input = line(Some(Data::Raw(pattern(LINE_MAX_BYTES))));
    let mut reader = Reader::spilling_to(&input[..], "/nowhere/at/all");
    let error = reader.read().unwrap_err().to_string();
    assert!(error.contains("no temporary file in /nowhere/at/all: no such file"), "{error}");
}
