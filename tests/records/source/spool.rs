//! Records in a spool: accepted once they are on disk, with or without a consumer, and delivered
//! from there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::source::consumer::{Place, accept, lines_of};
use crate::source::process::{SourceProcess, position, post, record, source_command, text};
use crate::support::{Finished, Process, eventually};
use nix::sys::signal::Signal;

/// A directory for a spool, and a name for the socket of its consumer.
pub(crate) struct Spool {
    directory: TempDir,
    place: Place,
}

impl Spool {
    pub(crate) fn new() -> Spool {
        Spool { directory: tempfile::tempdir().expect("a directory"), place: Place::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("spool")
    }

    /// Path of the spool's own directory.
    pub(crate) fn parent(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Path of the consumer's socket.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// These flags, and those of the spool; records go to standard output.
    pub(crate) fn flags(&self, more: &[&str]) -> Vec<String> {
        let path = self.path().to_str().expect("text").to_owned();
        let own = ["--spool".to_owned(), path];
        own.into_iter().chain(more.iter().map(|&flag| flag.to_owned())).collect()
    }

    /// A source with the consumer's socket as its output.
    pub(crate) fn start(&self, more: &[&str]) -> SourceProcess {
        let socket = self.place.socket();
        self.start_to_stdout(&[&["--output", &socket], more].concat())
    }

    /// A source whose records are read from its standard output at once.
    pub(crate) fn start_to_stdout(&self, more: &[&str]) -> SourceProcess {
        SourceProcess::start(&strs(&self.flags(more)))
    }

    /// The result of a source that failed to start.
    pub(crate) fn refused(&self, more: &[&str]) -> Finished {
        Process::start(source_command(&strs(&self.flags(more)))).finish()
    }

    /// The files with records, in their order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).expect("the spool");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut paths: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
        paths.sort();
        paths
    }

    /// The kept records, one per line.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.segments().iter().flat_map(|path| lines_of(path)).collect()
    }

    /// Waits until the cursor after this record is saved.
    pub(crate) fn await_delivered(&self, position: &str) {
        eventually("it is saved how far records were handed over", || {
            let cursor: Value =
                serde_json::from_slice(&fs::read(self.path().join("cursor")).ok()?).ok()?;
            (cursor["delivered"].as_str() == Some(position)).then_some(())
        });
    }
}

pub(crate) fn strs(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// Kills it, as a power failure would.
pub(crate) fn kill(source: SourceProcess) -> Finished {
    source.signal(Signal::SIGKILL);
    source.finish()
}

/// Posts these in sequence; returns their positions.
pub(crate) fn post_all(source: &SourceProcess, bodies: &[&str]) -> Vec<String> {
    bodies.iter().map(|body| position(&source.post(body))).collect()
}

/// The position of the record in a line.
pub(crate) fn position_of(line: &str) -> String {
    String::from_utf8(record(line).position).expect("text")
}

#[test]
fn a_record_is_stored_as_a_line_before_it_is_confirmed() {
    let spool = Spool::new();
    let source = spool.start(&["--consumer-timeout", "300ms"]);
    for (number, body) in ["one", "two", "three"].into_iter().enumerate() {
        let promised = position(&source.post(body));
        let lines = spool.lines();
        assert_eq!(lines.len(), number + 1);
        assert_eq!((text(&lines[number]), position_of(&lines[number])), (body.into(), promised));
    }
    let mode = |path: PathBuf| fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!((mode(spool.path()), mode(spool.segments().remove(0))), (0o700, 0o600));
    assert_eq!(source.end().stdout, "");
}

#[test]
fn records_are_delivered_in_order_once_a_consumer_connects() {
    let spool = Spool::new();
    let source = spool.start(&[]);
    let mut promised = post_all(&source, &["one", "two"]);
    let listener = spool.place().listen();
    let mut consumer = accept(&listener);
    promised.extend(post_all(&source, &["three"]));
    let lines: Vec<_> = (0..3).map(|_| consumer.line()).collect();
    let positions: Vec<_> = lines.iter().map(|line| position_of(line)).collect();
    assert_eq!(positions, promised);
    assert_eq!(lines, spool.lines(), "as they are kept");
    source.end();
    assert_eq!(consumer.lines().next(), None, "and nothing more");
}

#[test]
fn delivery_starts_at_the_given_position() {
    let spool = Spool::new();
    let source = spool.start_to_stdout(&[]);
    let promised = post_all(&source, &["0", "1", "2", "3", "4"]);
    source.lines(5);
    source.end();
    let base64 = BASE64_STANDARD.encode(&promised[1]);
    let never = "01a1ff2f-9486-7771-be08-0e47d3009bfd";
    for (name, from, expected, warning) in [
        ("all there is", "start", &["0", "1", "2", "3", "4"][..], None),
        ("base64", &base64, &["2", "3", "4"], None),
        ("a UUID", &promised[2], &["3", "4"], None),
        ("the last one", &promised[4], &[], None),
        ("no record", never, &["0", "1", "2", "3", "4"], Some("holds no such position")),
    ] {
        let source = spool.start_to_stdout(&["--from", from]);
        let lines = source.lines(expected.len());
        let bodies: Vec<_> = lines.iter().map(|line| text(line)).collect();
        assert_eq!(bodies, expected, "{name}");
        let printed = source.end().stderr;
        assert_eq!(
            warning.is_some_and(|words| printed.contains(words)),
            warning.is_some(),
            "{name}"
        );
        assert_eq!(printed.contains("WARN"), warning.is_some(), "{name}: {printed}");
    }
    let source = spool.start_to_stdout(&[]);
    source.post("5");
    assert_eq!(text(&source.lines(1)[0]), "5", "a repeated acknowledgement changes nothing");
    source.end();
}

/// More than fits into a segment of a spool of 1 MiB, together with the next.
const HALF_A_SEGMENT: usize = 40_000;

#[test]
fn delivered_records_are_removed_except_those_in_spool_keep() {
    for (name, keep, all) in [("not kept", "0", false), ("kept", "1MiB", true)] {
        let spool = Spool::new();
        let flags = ["--spool-max", "1MiB", "--spool-keep", keep];
        let source = spool.start_to_stdout(&flags);
        let promised: Vec<_> = (0..12)
            .map(|number| position(&source.post(format!("{number} {:HALF_A_SEGMENT$}", ""))))
            .collect();
        source.lines(12);
        source.end();
        spool.await_delivered(&promised[11]);
        let source = spool.start_to_stdout(&[&flags[..], &["--from", &promised[0]]].concat());
        let kept = spool.lines().len();
        let lines = source.lines(if all { 11 } else { kept });
        assert!(kept == 12 || !all && (1..4).contains(&kept), "{name}: {kept} lines");
        assert_eq!(position_of(&lines[lines.len() - 1]), promised[11], "{name}");
        let warned = source.end().stderr.contains("after that position were removed");
        assert_eq!(warned, !all, "{name}");
    }
}

#[test]
fn a_spool_in_use_is_refused() {
    let spool = Spool::new();
    let source = spool.start(&["--consumer-timeout", "300ms"]);
    assert_eq!(source.post("x").status(), 201);
    let finished = spool.refused(&[]);
    assert_eq!(finished.status.code(), Some(1));
    let expected = format!(
        "rdv: another process uses the spool {}; stop it, or give another directory\n",
        spool.path().display()
    );
    assert_eq!(finished.stderr, expected);
    assert_eq!(source.exchange(&post("y")).status(), 201, "the first one goes on");
    kill(source);
    assert_eq!(spool.start_to_stdout(&[]).lines(2).len(), 2, "it is free again");
}

#[test]
fn a_directory_with_other_files_is_refused_and_left_alone() {
    let spool = Spool::new();
    let notes = spool.path().join("notes.txt");
    fs::create_dir(spool.path()).expect("a directory");
    fs::write(&notes, "mine").expect("a file");
    let finished = spool.refused(&[]);
    assert_eq!(finished.status.code(), Some(1));
    let words = "does not belong to a spool; give a directory of its own";
    assert_eq!(finished.stderr, format!("rdv: {} {words}\n", notes.display()));
    assert_eq!(fs::read_dir(spool.path()).expect("it").count(), 1, "nothing was made there");
}

#[test]
fn a_spool_that_cannot_be_created_is_an_error_at_startup() {
    let spool = Spool::new();
    fs::write(spool.path(), "a file").expect("a file");
    let below = spool.path().join("below");
    for path in [spool.path(), below] {
        let path = path.to_str().expect("text").to_owned();
        let finished = Process::start(source_command(&["--spool", &path])).finish();
        assert_eq!(finished.status.code(), Some(1), "{path}");
        assert!(finished.stderr.starts_with("rdv: "), "{path}: {}", finished.stderr);
        assert!(finished.stderr.contains(&path), "{}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{path}: {}", finished.stderr);
    }
}
