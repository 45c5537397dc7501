//! Help, manual pages, errors, log lines, comments, responses and the documentation are in plain
//! English. Phrases that are unclear or unusual are refused, with an alternative.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Process;

/// Refused phrases, and what to write instead.
const REFUSED: &[(&str, &str)] = &[
    ("is no", "is not a valid, invalid"),
    ("are no", "are not valid"),
    ("was no", "was not a"),
    ("so many", "the number"),
    ("so long", "the timeout"),
    ("thus long", "the timeout"),
    ("who", "client, sender, receiver, peer, operator"),
    ("whoever", "client, sender, receiver, peer, operator"),
    ("nobody", "no client, no receiver"),
    ("somebody", "a client, a receiver"),
    ("anybody", "anyone, any client"),
    ("everybody", "everyone, all clients"),
    ("behind it", "after it"),
    ("behind them", "after them"),
    ("behind that", "after that"),
    ("behind each", "after each"),
    ("behind its", "after its"),
    ("in front of it", "before it"),
    ("in front of them", "before them"),
    ("in front of each", "before each"),
    ("whole", "complete, entire"),
    ("wholly", "entirely"),
    ("anew", "again"),
    ("for ever", "indefinitely"),
    ("by way of", "through"),
    ("to and fro", "both ways"),
    ("into the bargain", "also"),
    ("is there", "exists, is connected"),
    ("are there", "exist, are connected"),
    ("is away", "is disconnected"),
    ("is gone", "disconnected, was removed"),
    ("came", "was received, connected"),
    ("went", "was sent, disconnected"),
    ("comes into", "is received"),
    ("stand", "is, means"),
    ("stands", "is, means"),
    ("stood", "was"),
    ("told", "reported, declared"),
    ("tells", "reports"),
    ("says", "reports"),
    ("said", "reported"),
    ("asks", "requests"),
    ("asked", "requested"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("perhaps", "maybe, or nothing"),
    ("elsewhere perhaps", "redirect"),
    ("hold up", "block"),
    ("held up", "blocked"),
    ("holds up", "blocks"),
    ("patience", "timeout"),
    ("patient", "timeout"),
    ("bear with", "tolerate"),
    ("bears with", "tolerates"),
    ("foretold", "declared"),
    ("in force", "effective"),
    ("broke off", "was interrupted"),
    ("broken off", "interrupted"),
    ("breaks off", "is interrupted"),
    ("begin again", "retry"),
    ("begins again", "retries"),
    ("left out", "skipped, except"),
    ("leave out", "omit, remove"),
    ("leaves out", "omits, skips"),
    ("leave it out", "remove it"),
    ("lets", "allows, keeps"),
    ("to be found", "reachable, is in"),
    ("may not", "must not, cannot"),
];

/// Accepted phrases that contain refused ones.
const ACCEPTED: &[&str] =
    &["is no longer", "are no longer", "there is no", "there are no", "kill whom"];

/// Pages outside `docs/`.
const PAGES: &[&str] =
    &["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md", "fuzz/README.md"];

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// The words of a text in lower case, without the characters between them.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let split = lower.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '_'));
    split.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The refused phrases of a text.
fn refused(text: &str) -> Vec<String> {
    let words = words(text);
    let begins = |at: usize, phrase: &str| {
        let phrase = phrase.split(' ');
        phrase.enumerate().all(|(offset, word)| words.get(at + offset).is_some_and(|w| w == word))
    };
    let mut found = Vec::new();
    for at in 0..words.len() {
        let is_accepted = |phrase: &&str| {
            let length = phrase.split(' ').count();
            (at.saturating_sub(length - 1)..=at).any(|from| begins(from, phrase))
        };
        for (phrase, instead) in REFUSED.iter().filter(|(phrase, _)| begins(at, phrase)) {
            if !ACCEPTED.iter().any(is_accepted) {
                found.push(format!("\"{phrase}\" (write: {instead})"));
            }
        }
    }
    found
}

/// The string literals of a source, each with its line, except those in tests at its end.
fn literals(source: &str) -> Vec<(usize, String)> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let line = source[..source.len() - rest.len() + at].matches('\n').count() + 1;
        let before = &rest[..at];
        rest = &rest[at..];
        let hashes = before.len() - before.trim_end_matches('#').len();
        let is_raw = before[..before.len() - hashes].ends_with('r');
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with('"') && is_raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let length = rest[1..].find(&end).expect("the end of a raw string");
            found.push((line, rest[1..=length].to_owned()));
            rest = &rest[1 + length + end.len()..];
        } else if rest.starts_with('"') {
            let mut escaped = false;
            let is_end = |c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            };
            let length = rest[1..].find(is_end).expect("the end of a string");
            // A backslash at the end of a line joins it with the next, without its indentation.
            let lines = rest[1..=length].split("\\\n").map(str::trim_start);
            found.push((line, lines.collect::<String>().replace("\\n", " ")));
            rest = &rest[length + 2..];
        } else {
            // A character, possibly a quote; or a lifetime.
            let quoted = rest[1..].starts_with(['"', '\'']) && rest[2..].starts_with('\'');
            let is_character = quoted || rest.starts_with("'\\");
            rest = &rest[if is_character { 3 } else { 1 }..];
        }
    }
    found
}

/// The comments of a source, with consecutive lines joined, each with its first line.
fn comments(source: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(source.lines()) {
        let Some(text) = line.trim_start().strip_prefix("//") else {
            goes_on = false;
            continue;
        };
        match found.last_mut().filter(|_| goes_on) {
            Some((_, comment)) => comment.extend([" ", text]),
            None => found.push((number, text.to_owned())),
        }
        goes_on = true;
    }
    found
}

fn assert_nothing_is_refused(complaints: &[String]) {
    assert!(complaints.is_empty(), "{}\n{} in all", complaints.join("\n"), complaints.len());
}

/// The Rust sources of a folder, with their paths from the root.
pub(crate) fn sources(folder: &str) -> Vec<(String, String)> {
    let paths =
        files(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let named = paths.map(|path| {
        let name = path.strip_prefix(root()).expect("below").display().to_string();
        (name, fs::read_to_string(&path).expect("a source"))
    });
    named.collect()
}

/// The refused phrases of texts, each with its line.
fn complaints<'a>(
    name: &'a str,
    texts: impl IntoIterator<Item = (usize, String)> + 'a,
) -> impl Iterator<Item = String> + 'a {
    texts.into_iter().flat_map(move |(line, text)| {
        refused(&text).into_iter().map(move |what| format!("{name}:{line}: {what}"))
    })
}

#[test]
fn wording_of_comments() {
    let mut found = Vec::new();
    for folder in ["src", "examples", "benches", "fuzz/fuzz_targets", "tests"] {
        for (name, source) in sources(folder) {
            found.extend(complaints(&name, comments(&source)));
        }
    }
    assert_nothing_is_refused(&found);
}

#[test]
fn wording_of_errors_logs_and_messages() {
    let mut found = Vec::new();
    let mut seen = 0;
    for folder in ["src", "examples", "benches", "fuzz/fuzz_targets"] {
        for (name, source) in sources(folder) {
            // The strings of tests are often data.
            if !name.contains("/tests") {
                let literals = literals(&source);
                seen += literals.len();
                found.extend(complaints(&name, literals));
            }
        }
    }
    assert!(seen > 1000, "{seen} literals");
    assert_nothing_is_refused(&found);
}

#[test]
fn wording_of_documents_and_installed_files() {
    let pages = PAGES.iter().map(|page| root().join(page));
    let mut complaints = Vec::new();
    let shown = files("src/web").into_iter().filter(|path| path.extension() != Some("rs".as_ref()));
    let all = pages.chain(files("docs")).chain(files("deploy")).chain(shown);
    for path in all.filter(|path| path.extension() != Some("png".as_ref())) {
        let text = fs::read_to_string(&path).expect("a page");
        let name = path.strip_prefix(root()).expect("below").display();
        for paragraph in text.split("\n\n") {
            let first = paragraph.trim_start().lines().next().unwrap_or_default();
            let complain = |what: &String| format!("{name}: {what} in the paragraph of: {first}");
            complaints.extend(refused(paragraph).iter().map(complain));
        }
    }
    assert_nothing_is_refused(&complaints);
}

#[test]
fn wording_of_help_and_manual_pages() {
    let folder = tempfile::tempdir().expect("a directory");
    let finished = Process::rdv(&["man", folder.path().to_str().expect("UTF-8")]).finish();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let mut complaints = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(folder.path()).expect("the pages") {
        let path = entry.expect("a page").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let page = fs::read_to_string(&path).expect("a page");
        complaints.extend(refused(&page).iter().map(|what| format!("{name}: {what}")));
        seen += 1;
    }
    let help = Process::rdv(&["--help"]).finish().stdout;
    complaints.extend(refused(&help).iter().map(|what| format!("--help: {what}")));
    assert!(seen > 15, "{seen} pages");
    assert_nothing_is_refused(&complaints);
}

#[test]
fn a_refused_phrase_is_found_in_any_case_and_across_lines() {
    assert_eq!(refused("It\nIs  no URL"), ["\"is no\" (write: is not a valid, invalid)"]);
    assert_eq!(refused("the port is no longer free"), [""; 0]);
    let source = "// \"who\"\nlet a = 'x'; say(\"so \\\n   many\"); let b = ('\"', r#\"told\"#);";
    let found: Vec<_> = literals(source);
    assert_eq!(found, [(2, "so many".to_owned()), (3, "told".to_owned())]);
}
