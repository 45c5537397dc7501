//! Records in a file: appended, synchronized before they are accepted, and never torn.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::source::consumer::{Place, lines_of};
use crate::source::process::{SourceProcess, assert_busy, position, record, source_command, text};
use crate::support::Process;

#[test]
fn a_file_is_appended_to_and_private() {
    let place = Place::new();
    for (run, body) in ["one", "two"].into_iter().enumerate() {
        let source = SourceProcess::start(&["--output", &place.output()]);
        let position = position(&source.post(body));
        let lines = lines_of(&place.path());
        assert_eq!(lines.len(), run + 1, "it is in the file at the time of the 201");
        assert_eq!(text(&lines[run]), body);
        assert_eq!(record(&lines[run]).position, position.as_bytes());
        assert_eq!(source.end().stdout, "");
    }
    let mode = fs::metadata(place.path()).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn standard_output_may_be_a_file() {
    let place = Place::new();
    let file = fs::File::create(place.path()).expect("a file");
    let null = std::process::Stdio::null();
    let source = SourceProcess::of(Process::between(source_command(&[]), null, file.into()));
    assert_eq!(source.post("x").status(), 201);
    assert_eq!(lines_of(&place.path()).len(), 1);
    source.end();
}

#[test]
fn a_torn_record_of_a_killed_source_is_truncated() {
    let place = Place::new();
    let source = SourceProcess::start(&["--output", &place.output()]);
    assert_eq!(source.post("one").status(), 201);
    source.signal(Signal::SIGKILL);
    source.finish();
    let complete = fs::read(place.path()).expect("the file");
    for cut in [complete.len() - 1, 20, 5, 1] {
        fs::write(place.path(), [&complete[..], &complete[..cut]].concat()).expect("the file");
        let source = SourceProcess::start(&["--output", &place.output()]);
        assert_eq!(source.post("two").status(), 201);
        let bodies: Vec<_> = lines_of(&place.path()).iter().map(|line| text(line)).collect();
        assert_eq!(bodies, ["one", "two"], "torn after {cut} bytes");
    }
}

#[test]
fn a_file_without_records_is_left_alone() {
    let place = Place::new();
    fs::write(place.path(), "notes\nwithout an end").expect("a file");
    let finished = Process::start(source_command(&["--output", &place.output()])).finish();
    assert_eq!(finished.status.code(), Some(1));
    let expected = format!(
        "rdv: --output {}: the last line is incomplete and not a valid record; complete it, or use another file\n",
        place.output()
    );
    assert_eq!(finished.stderr, expected);
    assert_eq!(fs::read_to_string(place.path()).expect("it"), "notes\nwithout an end");
}

/// The source under strace(1), which logs these calls.
fn traced(calls: &str, log: &str, flags: &[&str]) -> Command {
    let plain = source_command(flags);
    let mut command = Command::new("strace");
    // -D: the known process id is that of the source itself.
    command.args(["-D", "-f", "-qq", "-s", "16", "-o", log]).arg(format!("--trace={calls}"));
    command.arg(plain.get_program()).args(plain.get_args());
    command
}

/// The same, with some calls failing or delayed (strace(1), "Tampering").
pub(crate) fn faulty(faults: &[&str], log: &str, flags: &[&str]) -> Command {
    let plain = traced("none", log, flags);
    let mut command = Command::new("strace");
    command.args(faults.iter().map(|fault| format!("--inject={fault}")));
    command.args(plain.get_args().filter(|word| !word.to_string_lossy().starts_with("--trace")));
    command
}

#[test]
fn a_record_is_synced_before_it_is_confirmed() {
    let place = Place::new();
    let log = format!("{}.strace", place.output());
    let flags = ["--output", &place.output()];
    let source = SourceProcess::of(Process::start(traced(
        "writev,fdatasync,sendto,send,write",
        &log,
        &flags,
    )));
    assert_eq!(source.post("x").status(), 201);
    source.end();
    let log = fs::read_to_string(log).expect("the log of strace");
    let at = |call: &str| log.find(call).unwrap_or_else(|| panic!("no {call} in\n{log}"));
    let (record, kept, told) = (at("{\\\"position\\\""), at("fdatasync("), at("HTTP/1.1 201"));
    assert!(record < kept && kept < told, "{log}");
}

#[test]
fn a_record_that_cannot_be_synced_is_rolled_back() {
    let place = Place::new();
    let log = format!("{}.strace", place.output());
    let flags = ["--output", &place.output()];
    let faults = ["fdatasync:error=EIO:when=2"];
    let source = SourceProcess::of(Process::start(faulty(&faults, &log, &flags)));
    assert_eq!(source.post("one").status(), 201);
    assert_busy("the disk fails", &source.post("two"), "could not be stored");
    assert_eq!(source.post("three").status(), 201, "it goes on");
    let bodies: Vec<_> = lines_of(&place.path()).iter().map(|line| text(line)).collect();
    assert_eq!(bodies, ["one", "three"]);
    assert!(source.end().stderr.contains("a record could not be written: "));
}

#[test]
fn a_file_that_cannot_be_repaired_is_no_longer_written_to() {
    let place = Place::new();
    let log = format!("{}.strace", place.output());
    let flags = ["--output", &place.output(), "--consumer-timeout", "1s"];
    let faults = ["fdatasync:error=EIO:when=2", "ftruncate:error=EIO"];
    let source = SourceProcess::of(Process::start(faulty(&faults, &log, &flags)));
    assert_eq!(source.post("one").status(), 201);
    // It is in the file, where a consumer can read it: 503 would be wrong.
    source.start_post("two").try_response().expect_err("no answer");
    let before = fs::read(place.path()).expect("the file");
    assert_busy("the next one", &source.post("three"), "No consumer is connected");
    assert_eq!(source.finish().status.code(), Some(4));
    assert_eq!(fs::read(place.path()).expect("the file"), before);
}

#[test]
fn a_record_whose_removal_is_not_on_the_disk_has_no_answer() {
    let place = Place::new();
    let log = format!("{}.strace", place.output());
    let faults = ["fdatasync:error=EIO:when=2..3"];
    let flags = ["--output", &place.output()];
    let source = SourceProcess::of(Process::start(faulty(&faults, &log, &flags)));
    assert_eq!(source.post("one").status(), 201);
    source.start_post("two").try_response().expect_err("no answer");
    source.await_stderr("records could not be removed from the output again count=1");
    assert_eq!(source.post("three").status(), 201, "it goes on");
    let bodies: Vec<_> = lines_of(&place.path()).iter().map(|line| text(line)).collect();
    assert_eq!(bodies, ["one", "three"]);
    source.end();
}

#[test]
fn a_file_at_its_size_limit_contains_complete_records_only() {
    let place = Place::new();
    // Blocks of 1024 bytes.
    let mut command = Command::new("bash");
    let plain = source_command(&["--output", &place.output()]);
    command.args(["-c", "ulimit -f 4; exec \"$0\" \"$@\""]);
    command.arg(plain.get_program()).args(plain.get_args());
    let source = SourceProcess::of(Process::start(command));
    let mut promised = Vec::new();
    for number in 0..20 {
        let body = format!("{number} {}", "x".repeat(300));
        let answer = source.post(&body);
        if answer.status() == 201 {
            promised.push(body);
        } else {
            assert_busy("no more room", &answer, "could not be stored");
        }
    }
    assert!((1..20).contains(&promised.len()), "{} fit", promised.len());
    let bodies: Vec<_> = lines_of(&place.path()).iter().map(|line| text(line)).collect();
    assert_eq!(bodies, promised);
    fs::write(place.path(), "").expect("room");
    assert_eq!(source.post("after").status(), 201, "there is room again");
    assert_eq!(text(&lines_of(&place.path())[0]), "after");
    source.end();
}
