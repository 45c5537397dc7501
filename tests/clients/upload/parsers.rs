//! Third-party form parsers read exactly the bytes that were sent: Python's `email` and Node's
//! `formData` (undici).

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::Command;

use rdv::client::{Part, Upload};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Process, eventually, pattern};

/// A parser with an HTTP interface.
struct Parser {
    url: String,
    escapes: Escapes,
    _process: Process,
}

/// How it handles escapes in names.
enum Escapes {
    /// It keeps them: mail has none, nor do all versions of Node support them.
    Kept,
    /// It decodes them, as browsers encode them (HTML Standard).
    Undone,
}

impl Parser {
    fn all() -> [Parser; 2] {
        [Parser::start("python3", "parser.py"), Parser::start("node", "parser.mjs")]
    }

    fn start(program: &str, script: &str) -> Parser {
        let mut command = Command::new(program);
        command.arg(format!("{}/tests/clients/upload/{script}", env!("CARGO_MANIFEST_DIR")));
        let mut process = Process::start(command);
        let (port, escapes) = eventually("the parser listens", || {
            assert!(!process.ended(), "{}", process.stderr());
            let line = process.stdout();
            let (port, escapes) = line.strip_suffix('\n')?.split_once(' ')?;
            Some((port.to_owned(), escapes.to_owned()))
        });
        let escapes = if escapes == "undone" { Escapes::Undone } else { Escapes::Kept };
        Parser { url: format!("http://127.0.0.1:{port}/"), escapes, _process: process }
    }

    /// Its result for a form of these parts.
    fn read(&self, parts: Vec<Part<'_>>) -> Vec<Value> {
        let mut answer = Upload::new("POST", &self.url).unwrap().send_all(parts).unwrap();
        let mut text = String::new();
        answer.body().read_to_string(&mut text).unwrap();
        assert_eq!(answer.status(), 200, "{text}");
        let mut found: Value = serde_json::from_str(&text).unwrap();
        if found["defects"].is_array() {
            assert_eq!(found["defects"], json!([]), "one document without defects");
            assert!(found["preamble"].is_null(), "{}", found["preamble"]);
            assert!(["", "null"].contains(&found["epilogue"].as_str().unwrap_or("null")));
        }
        found["parts"].as_array_mut().expect("parts").split_off(0)
    }

    fn name(&self, name: &str) -> String {
        match self.escapes {
            Escapes::Undone => name.to_owned(),
            Escapes::Kept => name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A"),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn contents() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("one byte", vec![0]),
        ("a line break", b"\r\n".to_vec()),
        ("line breaks at both ends", b"\r\n\r\na\r\n\n\r\r\n".to_vec()),
        ("like a delimiter", b"a\r\n--".to_vec()),
        ("like another", b"--rdv-\r\n--rdv-00000000000000000000000000000000--\r\n".to_vec()),
        (
            "like a complete form",
            b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n".to_vec(),
        ),
        ("all bytes", (0..=255).collect()),
        ("5 MiB", pattern(5, 5 << 20)),
    ]
}

#[test]
fn contents_arrive_byte_for_byte_alone_and_together() {
    let contents = contents();
    let described = |name: &str, content: &[u8]| {
        json!({ "name": "file", "filename": name, "type": "application/octet-stream",
                "bytes": content.len(), "sha256": sha256(content) })
    };
    let expected: Vec<_> = contents.iter().map(|(name, bytes)| described(name, bytes)).collect();
    for parser in Parser::all() {
        for ((name, content), expected) in contents.iter().zip(&expected) {
            for known in [true, false] {
                let part = Part::from(content.as_slice()).file_name(*name);
                let part = if known { part.size_bytes(content.len() as u64) } else { part };
                assert_eq!(
                    parser.read(vec![part]),
                    std::slice::from_ref(expected),
                    "{name}, known: {known}"
                );
            }
        }
        let parts =
            contents.iter().map(|(name, content)| Part::from(content.as_slice()).file_name(*name));
        assert_eq!(parser.read(parts.collect()), expected, "together");
    }
}

#[test]
fn files_and_pipes_arrive_byte_for_byte() {
    let content = pattern(6, 3_000_001);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &content).unwrap();
    for parser in Parser::all() {
        let (input, mut filler) = std::io::pipe().unwrap();
        let piped = content.clone();
        let writer = std::thread::spawn(move || {
            std::io::Write::write_all(&mut filler, &piped).unwrap();
        });
        let parts = vec![
            Part::path(file.path()).unwrap(),
            Part::descriptor(std::os::fd::AsFd::as_fd(&input)),
            Part::path(file.path()).unwrap(),
        ];
        let found = parser.read(parts);
        writer.join().unwrap();
        assert_eq!(found.len(), 3);
        for part in found {
            assert_eq!(part["sha256"], sha256(&content));
        }
    }
}

#[test]
fn names_and_types_arrive_as_given() {
    for parser in Parser::all() {
        for name in [
            "plain.txt",
            "größe ünd 文書.txt",
            "🦀",
            "a \"quoted\" name",
            "two\r\nlines",
            "line\nfeed",
            "100%",
            "a%20b",
            "semi;colon=x",
            "'single'",
            " blank ",
            "",
        ] {
            let part = || Part::from("x".as_bytes()).content_type("text/csv");
            let found = parser.read(vec![part().field_name(name), part().file_name(name)]);
            let read = |part: usize, member: &str| found[part][member].as_str().unwrap_or_default();
            assert_eq!(read(0, "name"), parser.name(name), "{name:?} as a field");
            assert_eq!(read(1, "filename"), parser.name(name), "{name:?} as a file");
            assert_eq!(read(0, "type"), "text/csv", "{name:?}");
        }
    }
}
