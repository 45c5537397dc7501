//! `Content-Encoding`: kept with the encoded bytes, and decoded to parse JSON.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use rdv::connector::record::{Data, Record};

use crate::source::process::{SourceProcess, body};
use crate::support::{Ask, Response, ask, assert_error};

const NAME: &str = "rdv.source.content_encoding";
const JSON: &str = r#"{"id":7,"a":"b"}"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 0).expect("memory")
}

/// A JSON body in this coding.
fn encoded(coding: &str, body: &[u8]) -> Ask {
    let request = ask("POST", "/").field("Content-Type", "application/json");
    request.field("Content-Encoding", coding).body(body)
}

/// The record of an accepted request.
fn recorded(source: &SourceProcess, request: &Ask, count: usize) -> Record {
    let answer = source.exchange(request);
    assert_eq!(answer.status(), 201, "{}", answer.text());
    source.records(count).pop().expect("a record")
}

fn coding(record: &Record) -> Option<&str> {
    record.metadata.get(NAME).map(String::as_str)
}

#[test]
fn bytes_keep_their_coding() {
    let source = SourceProcess::start(&["--memory-body", "1KiB"]);
    let large = vec![7; 100_000];
    for (at, (name, sent)) in
        [("gzip", gzip(JSON.as_bytes())), ("br", b"any".to_vec()), ("zstd", large)]
            .into_iter()
            .enumerate()
    {
        let record = recorded(&source, &encoded(name, &sent), at + 1);
        assert_eq!((coding(&record), body(&record) == sent), (Some(name), true), "{name}");
    }
    let two = encoded("gzip", b"").field("content-encoding", "br");
    assert_eq!(coding(&recorded(&source, &two, 4)), Some("gzip, br"));
    assert_eq!(coding(&recorded(&source, &ask("POST", "/").body("x"), 5)), None);
    source.end();
}

#[test]
fn structured_payloads_are_decoded() {
    let source = SourceProcess::start(&["--structured"]);
    let text = JSON.as_bytes();
    let two_members = [gzip(&text[..5]), gzip(&text[5..])].concat();
    for (at, (name, sent)) in [
        ("gzip", gzip(text)),
        ("X-GZIP", two_members),
        ("deflate", deflate(text)),
        ("zstd", zstd(text)),
        ("identity", text.to_vec()),
    ]
    .into_iter()
    .enumerate()
    {
        let record = recorded(&source, &encoded(name, &sent), at + 1);
        let Some(Data::Structured(json)) = &record.payload.after else { panic!("{name}: bytes") };
        assert_eq!((json.get(), coding(&record)), (JSON, None), "{name}");
    }
    source.end();
}

#[test]
fn what_is_no_object_is_bytes_as_they_were_sent() {
    let source = SourceProcess::start(&["--structured"]);
    let sent = gzip(b"[1]");
    let record = recorded(&source, &encoded("gzip", &sent), 1);
    assert_eq!((coding(&record), body(&record) == sent), (Some("gzip"), true), "an array");
    let record = recorded(&source, &encoded("gzip", &gzip(b"")), 2);
    assert_eq!((coding(&record), body(&record) == gzip(b"")), (Some("gzip"), true), "nothing");
    let other = ask("POST", "/").field("Content-Encoding", "br").body("text");
    assert_eq!(coding(&recorded(&source, &other, 3)), Some("br"), "of another type");
    source.end();
}

#[test]
fn a_key_is_read_from_an_encoded_body() {
    let source = SourceProcess::start(&["--key", "json:/id"]);
    let sent = zstd(JSON.as_bytes());
    let record = recorded(&source, &encoded("zstd", &sent), 1);
    assert_eq!(record.key, Some(Data::Raw(b"7".to_vec())));
    assert_eq!((coding(&record), body(&record) == sent), (Some("zstd"), true));
    source.end();
}

#[test]
fn what_cannot_be_decoded_is_refused() {
    let source = SourceProcess::start(&["--structured", "--max-body", "64KiB"]);
    let mut wire = source.connect();
    let complete = gzip(JSON.as_bytes());
    let bomb = format!("{{\"a\":\"{}\"}}", " ".repeat(64 << 10));
    let rows: [(&str, &str, Vec<u8>, u16, &str); 9] = [
        ("another coding", "br", b"x".to_vec(), 415, "gzip, deflate and zstd"),
        ("two codings", "gzip, zstd", zstd(&complete), 415, "gzip, deflate and zstd"),
        ("no gzip", "gzip", JSON.into(), 400, "The body is not valid gzip"),
        (
            "cut short",
            "gzip",
            complete[..complete.len() - 1].into(),
            400,
            "The body is not valid gzip",
        ),
        ("no zlib", "deflate", complete.clone(), 400, "The body is not valid deflate"),
        ("no zstd", "zstd", complete.clone(), 400, "The body is not valid zstd"),
        ("no JSON", "gzip", gzip(b"{"), 400, "The body is not valid JSON"),
        ("too long by gzip", "gzip", gzip(bomb.as_bytes()), 413, "longer than 65536 bytes"),
        ("too long by zstd", "zstd", zstd(bomb.as_bytes()), 413, "longer than 65536 bytes"),
    ];
    for (name, coding, sent, status, words) in rows {
        let answer: Response = wire.exchange(&encoded(coding, &sent));
        assert_eq!(answer.status(), status, "{name}: {}", answer.text());
        assert!(answer.text().contains(words), "{name}: {}", answer.text());
        let codings = answer.head.get("Accept-Encoding");
        assert_eq!(codings, (status == 415).then_some("gzip, deflate, zstd"), "{name}");
    }
    assert_error(
        "by name",
        &wire.exchange(&encoded("br", b"x")),
        (415, "UnsupportedMediaTypeError", None),
    );
    assert_eq!(wire.exchange(&encoded("gzip", &complete)).status(), 201, "the connection goes on");
    assert_eq!(source.end().stdout.lines().count(), 1, "nothing of them was handed over");
}
