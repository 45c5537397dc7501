//! The rooms of the house: who may know whom, and that the protocol rooms know no socket, no clock
//! and no chance. Read from the sources, so that no import slips by.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from top to bottom; those of one row do not know each other.
const ROWS: [&[&str]; 6] = [
    &["connector", "socket"],
    &["client", "net"],
    &["ops"],
    &["api", "splice"],
    &["rendezvous", "mux"],
    &["http"],
];

/// Rooms in which everything is passed in.
const PURE: [&str; 4] = ["http", "rendezvous", "mux", "api"];

/// What a pure room must not name.
const IMPURE: [&str; 11] = [
    "Instant::now",
    "SystemTime",
    "mio::",
    "nix::",
    "socket2",
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "rustix",
    "Uuid::new_v4",
    "rand::",
];

/// One line that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    what: String,
}

#[test]
fn every_file_keeps_to_its_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 40, "the sources are found: {}", files.len());
    let mut violations = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        violations.extend(check(&name, &fs::read_to_string(&file).unwrap()));
    }
    assert_eq!(violations, [], "see the rooms in src/lib.rs");
}

#[test]
fn planted_violations_are_found() {
    for (name, file, text, found) in [
        ("an import upwards", "http/head.rs", "use crate::api::Failure;", Some("http knows api")),
        (
            "in braces",
            "rendezvous/a.rs",
            "use crate::{http::x, net::y};",
            Some("rendezvous knows net"),
        ),
        ("in a path", "api/a.rs", "let x = crate::net::run();", Some("api knows net")),
        ("in two lines", "http/a.rs", "use crate::{\n    ops::x,\n};", Some("http knows ops")),
        ("a neighbour", "api/a.rs", "use crate::splice::Pipe;", Some("api knows splice")),
        ("a room that only decides", "mux/a.rs", "use std::fs;", Some("std::fs in mux")),
        ("an unknown room", "api/a.rs", "use crate::utils::x;", Some("api knows utils")),
        ("a file of an unknown room", "utils/a.rs", "", Some("utils is no room")),
        ("from the parent", "http/a.rs", "use super::super::api::x;", Some("http knows api")),
        (
            "a clock",
            "rendezvous/a.rs",
            "let now = Instant::now();",
            Some("Instant::now in rendezvous"),
        ),
        ("a socket", "http.rs", "use std::net::{IpAddr, TcpStream};", Some("TcpStream in http")),
        ("an identifier by chance", "api/a.rs", "Uuid::new_v4()", Some("Uuid::new_v4 in api")),
        (
            "the top from below",
            "client/a.rs",
            "use crate::connector::record;",
            Some("client knows connector"),
        ),
        ("from the top", "connector/a.rs", "use crate::{client::x, net::y};", None),
        ("downwards", "net/a.rs", "use crate::{http::x, ops::{a, b}};", None),
        ("its own room", "http/a/b.rs", "use crate::http::x; use super::super::y;", None),
        ("a comment", "http/a.rs", "// not Instant::now(), crate::net says", None),
        ("a test", "http/a.rs", "#[cfg(test)]\nmod tests {\n    use mio::Poll;\n}", None),
        ("a file of tests", "http/a/tests.rs", "use mio::Poll;", None),
        ("a test module elsewhere", "http/a.rs", "#[cfg(test)]\nmod tests;\n", None),
        (
            "behind a test",
            "http/a.rs",
            "#[cfg(test)]\nmod tests {\n}\nuse mio::Poll;",
            Some("mio:: in http"),
        ),
        ("not pure", "net/a.rs", "use mio::Poll; let now = Instant::now();", None),
        ("exempt", "main.rs", "use crate::net::x; use std::fs;", None),
        ("exempt, too", "fuzzing/a.rs", "Instant::now(); use crate::api::x;", None),
    ] {
        let whats: Vec<_> = check(file, text).into_iter().map(|violation| violation.what).collect();
        let expected: Vec<_> = found.into_iter().map(str::to_owned).collect();
        assert_eq!(whats, expected, "{name}");
    }
}

/// Every source file below a folder.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The violations of one file, named from `src/` on.
fn check(file: &str, text: &str) -> Vec<Violation> {
    let room = file.split(['/', '.']).next().unwrap_or_default();
    if matches!(room, "lib" | "main" | "fuzzing") || file.ends_with("tests.rs") {
        return Vec::new();
    }
    let violation = |line, what| Violation { file: file.to_owned(), line, what };
    let Some(row) = row(room) else { return vec![violation(0, format!("{room} is no room"))] };
    let mut violations = Vec::new();
    for (line, statement) in statements(text) {
        for known in rooms_named(file, &statement) {
            let below = self::row(&known).is_some_and(|its| its > row);
            if known != room && !below {
                violations.push(violation(line, format!("{room} knows {known}")));
            }
        }
        if PURE.contains(&room) {
            for word in impurities(&statement) {
                violations.push(violation(line, format!("{word} in {room}")));
            }
        }
    }
    violations
}

fn row(room: &str) -> Option<usize> {
    ROWS.iter().position(|rooms| rooms.contains(&room))
}

/// The statements of a file with their first lines, without comments and test modules; an import in
/// braces is one statement, however many lines it takes.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    let (mut open, mut in_test) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if in_test {
            // The formatter closes a module where it began: at the left edge.
            let one_line = !code.starts_with([' ', '#']) && code.trim_end().ends_with(';');
            in_test = !(code.starts_with('}') || one_line);
            continue;
        }
        if code.trim_end() == "#[cfg(test)]" {
            in_test = true;
            continue;
        }
        match statements.last_mut().filter(|_| open) {
            Some((_, statement)) => statement.push_str(code.trim()),
            None => statements.push((number + 1, code.trim().to_owned())),
        }
        let last = statements.last().map_or("", |(_, statement)| statement.as_str());
        open = (last.starts_with("use ") || last.starts_with("pub use ")) && !last.contains(';');
    }
    statements
}

/// The rooms a statement names through `crate::` or, from a file whose depth is known, `super::`.
fn rooms_named(file: &str, statement: &str) -> Vec<String> {
    let mut paths: Vec<_> = statement.split("crate::").skip(1).collect();
    // `src/http/a.rs` is `http::a`, so two steps up from it is the crate.
    let depth = file.trim_end_matches("/mod.rs").split('/').count();
    let steps = "super::".repeat(depth);
    paths.extend(statement.find(&steps).map(|at| &statement[at + steps.len()..]));
    paths.into_iter().flat_map(first_segments).collect()
}

/// `a::b` begins with `a`; `{a::b, c}` with `a` and `c`.
fn first_segments(path: &str) -> Vec<String> {
    let segment = |text: &str| {
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        text[..end].to_owned()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![segment(path)] };
    let (mut depth, mut segments, mut start) = (0, Vec::new(), 0);
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                segments.push(segment(&group[start..at]));
                start = at + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

/// The words of a statement that a pure room must not name.
fn impurities(statement: &str) -> Vec<&str> {
    let mut words: Vec<_> = IMPURE.into_iter().filter(|word| statement.contains(word)).collect();
    if statement.contains("std::net::{") {
        let sockets = ["TcpStream", "TcpListener", "UdpSocket"];
        words.extend(sockets.into_iter().filter(|word| statement.contains(word)));
    }
    words
}
