//! The layers of the crate, and those of its event loop: permitted imports; no sockets, clocks or
//! random numbers in the pure modules; and which modules use mio and socket2. Checked in the
//! sources, so that every import is covered. A script measures what imports do not show,
//! `tests/support/structure.py`.
//!
//! Needs python3.

mod planted;
mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use source::{declares_or_exports, names_crate, paths, statements};

/// The modules from top to bottom; those in one row do not import each other.
const ROWS: [&[&str]; 7] = [
    &["connector", "notify", "socket"],
    &["client", "relay"],
    &["web"],
    &["ops"],
    &["api", "splice"],
    &["rendezvous", "mux"],
    &["http"],
];

/// Modules that only work on their arguments.
const PURE: [&str; 5] = ["http", "rendezvous", "mux", "api", "web"];

/// Names forbidden in a pure module.
const IMPURE: [&str; 9] = [
    "Instant::now",
    "SystemTime",
    "nix::",
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "rustix",
    "Uuid::new_v4",
    "rand::",
];

/// Crates, and the modules that can use them.
const CRATES: [(&str, &[&str]); 2] = [("mio", &["relay"]), ("socket2", &["relay"])];

/// The module with layers.
const RELAY: &str = "relay";

/// Its layers from top to bottom, each a directory or a file. Those in one row do not import each
/// other: only the event loop imports two services.
const LAYERS: [&[&str]; 5] = [
    &["event_loop"],
    &["streams", "agents", "intake", "admin", "pages"],
    &["transfers"],
    &["http1"],
    &["io"],
];

/// Modules beside the event loop, imported only by it, and what they can import.
const BESIDE: (&str, &[&str]) = ("process", &["http1", "io"]);

/// One line that violates a rule.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    what: String,
}

#[test]
fn every_file_respects_its_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 40, "the sources are found: {}", files.len());
    let mut violations = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        violations.extend(check(&name, &fs::read_to_string(&file).unwrap()));
    }
    assert_eq!(violations, [], "see the modules in src/lib.rs");
}

#[test]
fn the_event_loop_stays_within_its_limits() {
    let output = structure_script(&["--verbose"]);
    let report = String::from_utf8_lossy(&output.stdout);
    for figure in ["cycle", "spread", "silent", "role", "route"] {
        let is_reported = report.lines().any(|line| line.starts_with(figure));
        assert!(is_reported, "{figure} is measured: {output:?}");
    }
    let is_measured_only = !Path::new(env!("CARGO_MANIFEST_DIR")).join("src/relay").exists();
    assert!(is_measured_only || output.status.success(), "{report}");
}

#[test]
fn the_script_finds_planted_violations() {
    let output = structure_script(&["--self-test"]);
    assert!(output.status.success(), "{output:?}");
}

/// Runs the script that measures the event loop's directory.
fn structure_script(arguments: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/structure.py");
    Command::new("python3").arg(script).args(arguments).output().expect("python3 is installed")
}

/// Every source file below a directory.
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

/// The violations of one file, named relative to `src/`.
fn check(file: &str, text: &str) -> Vec<Violation> {
    if file.ends_with("tests.rs") {
        return Vec::new();
    }
    let module = segment(file, 0);
    let is_exempt = matches!(module, "lib" | "main" | "fuzzing");
    let violation = |line, what| Violation { file: file.to_owned(), line, what };
    if !is_exempt && row(&ROWS, module).is_none() {
        return vec![violation(0, format!("{module} is not a known module"))];
    }
    let mut violations = Vec::new();
    if module == RELAY && !is_layer(segment(file, 1)) {
        violations.push(violation(0, format!("{} is not a known layer", segment(file, 1))));
    }
    for (line, statement) in statements(text) {
        let mut findings = misplaced_crates(module, &statement);
        if !is_exempt {
            findings.extend(unknown_paths(file, &statement));
            findings.extend(impurities(module, &statement));
        }
        if file == "relay/mod.rs" && !declares_or_exports(&statement) {
            findings.push(format!("{file} does more than declare"));
        }
        violations.extend(findings.into_iter().map(|what| violation(line, what)));
    }
    violations
}

/// A part of a file's path, without the extension.
fn segment(file: &str, at: usize) -> &str {
    file.trim_end_matches(".rs").split('/').nth(at).unwrap_or_default()
}

fn row(rows: &[&[&str]], name: &str) -> Option<usize> {
    rows.iter().position(|row| row.contains(&name))
}

/// Whether one is in a lower row than the other.
fn is_below(rows: &[&[&str]], one: &str, other: &str) -> bool {
    row(rows, one).is_some_and(|lower| row(rows, other).is_some_and(|upper| lower > upper))
}

/// Whether the event loop's directory can have a file or directory of this name.
fn is_layer(name: &str) -> bool {
    name == "mod" || name == BESIDE.0 || row(&LAYERS, name).is_some()
}

/// Whether a layer of the event loop can import another.
fn can_import(layer: &str, known: &str) -> bool {
    let (beside, below) = BESIDE;
    if layer == known {
        true
    } else if layer == beside {
        below.contains(&known)
    } else if known == beside {
        layer == LAYERS[0][0]
    } else {
        is_below(&LAYERS, known, layer)
    }
}

/// Imports of a statement that its module or its layer forbids.
fn unknown_paths(file: &str, statement: &str) -> Vec<String> {
    let (module, layer) = (segment(file, 0), segment(file, 1));
    let mut findings = Vec::new();
    for path in paths(file, statement) {
        let Some(known) = path.first() else { continue };
        if known != module && !is_below(&ROWS, known, module) {
            findings.push(format!("{module} imports {known}"));
        }
        if known != RELAY || module != RELAY || layer == "mod" {
            continue;
        }
        match path.get(1) {
            Some(known) if can_import(layer, known) => {}
            Some(known) => findings.push(format!("{layer} imports {known}")),
            None => findings.push(format!("{layer} imports all layers")),
        }
    }
    findings
}

/// Crates that a statement uses in a module that forbids them.
fn misplaced_crates(module: &str, statement: &str) -> Vec<String> {
    let misplaced = CRATES.iter().filter(|(_, modules)| !modules.contains(&module));
    let named = misplaced.filter(|(name, _)| names_crate(statement, name));
    named.map(|(name, _)| format!("{name} in {module}")).collect()
}

/// Names in a statement that a pure module forbids.
fn impurities(module: &str, statement: &str) -> Vec<String> {
    if !PURE.contains(&module) {
        return Vec::new();
    }
    let mut words: Vec<_> = IMPURE.into_iter().filter(|word| statement.contains(word)).collect();
    if statement.contains("std::net::{") {
        let sockets = ["TcpStream", "TcpListener", "UdpSocket"];
        words.extend(sockets.into_iter().filter(|word| statement.contains(word)));
    }
    words.into_iter().map(|word| format!("{word} in {module}")).collect()
}
