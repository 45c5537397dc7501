//! Bodies too large for memory: they are stored on disk, within limits, and leave no files there.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::source::consumer::{Lines, Place, accept};
use crate::source::files::faulty;
use crate::source::process::{
    SourceProcess, assert_busy, body, post, record, source_command, text,
};
use crate::support::{Process, ask, eventually, pattern};

const MIB: usize = 1 << 20;

/// Maximum resident memory of the process, including the program itself; a body alone is larger.
const RESIDENT_MAX_BYTES: u64 = 24 << 20;

/// The source with an address space of this number of KiB.
fn with_address_space(kib: u32, flags: &[&str]) -> Command {
    let plain = source_command(flags);
    let mut command = Command::new("bash");
    command.args(["-c", &format!("ulimit -v {kib}; exec \"$0\" \"$@\"")]);
    command.arg(plain.get_program()).args(plain.get_args());
    command
}

#[test]
fn bodies_of_64_mib_pass_with_little_memory() {
    let place = Place::new();
    let flags = ["--output", &place.output(), "--max-body", "65MiB"];
    // Half of it is used by the program and the stacks of its threads.
    let source = SourceProcess::of(Process::start(with_address_space(64 << 10, &flags)));
    let sent = pattern(3, 64 * MIB);
    assert_eq!(source.post(&sent).status(), 201);
    let mut wire = source.connect();
    wire.ask(&ask("POST", "/").chunked());
    for piece in sent.chunks(MIB) {
        wire.send(format!("{:x}\r\n", piece.len()));
        wire.send(piece);
        wire.send("\r\n");
    }
    wire.send("0\r\n\r\n");
    assert_eq!(wire.response().status(), 201, "in chunks");
    let most = source.memory_bytes("VmHWM");
    assert!(most <= RESIDENT_MAX_BYTES, "{most} bytes resident");
    let lines = std::fs::read(place.path()).expect("the file");
    let mut lines = Lines::of(&lines[..]);
    let digest = Sha256::digest(&sent);
    for _ in 0..2 {
        let found = body(&record(&lines.line()));
        assert!(found.len() == sent.len() && Sha256::digest(&found) == digest);
    }
    assert_eq!(lines.next(), None);
}

/// Whether the process has a file of this length open, which had its name in this folder.
fn has_unnamed(process: u32, folder: &str, bytes: usize) -> bool {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).expect("/proc");
    open.flatten().any(|open| {
        let place = std::fs::read_link(open.path());
        let is_there = place.is_ok_and(|place| place.starts_with(folder));
        is_there && std::fs::metadata(open.path()).is_ok_and(|file| file.len() == bytes as u64)
    })
}

#[test]
fn disk_use_is_bounded_and_released() {
    let place = Place::new();
    let folder = tempfile::tempdir().expect("a directory");
    let folder = folder.path().to_str().expect("text");
    let limits = ["--memory-body", "64KiB", "--spill-max", "2MiB", "--spill-dir", folder];
    let source = SourceProcess::start(&[&limits, &["--output", &place.socket()][..]].concat());
    assert_busy(
        "more than may ever be there",
        &source.post(pattern(1, 3 * MIB)),
        "could not be stored",
    );
    let sent = pattern(2, MIB * 3 / 2);
    let mut first = source.start_post(&sent);
    // Space is taken as a body arrives: what is left is known once all of it has arrived.
    eventually("the body is on disk", || {
        has_unnamed(source.process().id(), folder, sent.len()).then_some(())
    });
    let refused = source.post(pattern(1, MIB));
    assert_busy("more than is left", &refused, "could not be stored");
    let small = pattern(4, 300_000);
    let mut second = source.start_post(&small);
    let listener = place.listen();
    let mut consumer = accept(&listener);
    assert!(body(&record(&consumer.line())) == sent);
    assert_eq!(first.response().status(), 201);
    assert!(body(&record(&consumer.line())) == small, "it fitted in beside the other");
    assert_eq!(second.response().status(), 201);
    let mut wire = source.start_post(&sent);
    assert!(body(&record(&consumer.line())) == sent, "there is room again");
    assert_eq!(wire.response().status(), 201);
    let left = std::fs::read_dir(folder).expect("a directory").count();
    assert_eq!(left, 0, "files without names leave none");
    let why = format!("large bodies in {folder} reached --spill-max (2097152 bytes)");
    let stderr = source.end().stderr;
    assert!(stderr.contains(&why), "{stderr}");
}

#[test]
fn an_interrupted_large_body_releases_its_disk_space() {
    let limits = ["--memory-body", "64KiB", "--spill-max", "2MiB"];
    let source = SourceProcess::start(&limits);
    let sent = pattern(2, MIB * 3 / 2);
    for _ in 0..3 {
        let mut wire = source.connect();
        wire.ask(&ask("POST", "/").length(sent.len() + 1).raw_body(&sent));
        wire.finish_sending();
        assert_eq!(wire.response().status(), 400);
    }
    assert_eq!(source.post(&sent).status(), 201);
    assert!(body(&source.records(1)[0]) == sent);
}

#[test]
fn a_slow_disk_does_not_time_out_the_sender() {
    let place = Place::new();
    let log = format!("{}.strace", place.output());
    let flags = ["--memory-body", "64KiB", "--header-timeout", "300ms"];
    // Microseconds; longer than the timeout for the sender's next byte.
    let faults = ["write:delay_enter=700000:when=2+"];
    let source = SourceProcess::of(Process::start(faulty(&faults, &log, &flags)));
    assert_eq!(source.post(pattern(1, 600_000)).status(), 201);
    assert!(body(&source.records(1)[0]) == pattern(1, 600_000));
}

#[test]
fn an_unusable_spill_directory_is_an_error_at_startup() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("none");
    let path = path.to_str().expect("text");
    let finished = Process::start(source_command(&["--spill-dir", path])).finish();
    assert_eq!(finished.status.code(), Some(1));
    let expected = format!("rdv: no temporary file in {path}: ");
    assert!(finished.stderr.starts_with(&expected), "{}", finished.stderr);
    let advice = "; choose another directory with --spill-dir\n";
    assert!(finished.stderr.ends_with(advice), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
}

#[test]
fn a_removed_spill_directory_fails_only_large_bodies() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().to_str().expect("text").to_owned();
    let source = SourceProcess::start(&["--memory-body", "64KiB", "--spill-dir", &path]);
    folder.close().expect("an empty directory");
    let mut wire = source.connect();
    assert_busy("large", &wire.exchange(&post(pattern(1, 200_000))), "could not be stored");
    assert_eq!(source.post("small").status(), 201);
    std::fs::create_dir(&path).expect("a directory");
    std::fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("ours");
    assert_eq!(source.post(pattern(1, 200_000)).status(), 201, "there is space again");
    std::fs::remove_dir(&path).expect("it is empty");
}

#[test]
fn many_slow_bodies_share_the_memory_budget() {
    let flags = ["--memory", "1MiB", "--memory-body", "512KiB", "--max-body", "512KiB"];
    let source = SourceProcess::start(&[&flags[..], &["--structured"]].concat());
    let half = vec![b' '; 300_000];
    let json =
        |length: usize| ask("POST", "/").field("Content-Type", "application/json").length(length);
    let mut slow: Vec<_> = (0..3)
        .map(|_| {
            let mut wire = source.connect();
            wire.ask(&json(half.len() + 2).field("Expect", "100-continue"));
            wire.expect_continue();
            wire.send(&half);
            wire
        })
        .collect();
    let mut raw = source.connect();
    raw.ask(&ask("POST", "/").length(half.len() + 2).field("Expect", "100-continue"));
    raw.expect_continue();
    raw.send(&half);
    let refused = source.exchange(&json(half.len() + 2).raw_body(&[&half[..], b"{}"].concat()));
    assert_busy("JSON must fit in memory", &refused, "Record limit of this source");
    raw.send("{}");
    assert_eq!(raw.response().status(), 201, "bytes go to the disk");
    for wire in &mut slow {
        wire.send("{}");
        assert_eq!(wire.response().status(), 201, "what was begun may go on");
    }
    let complete = source.exchange(&json(half.len() + 2).raw_body(&[&half[..], b"{}"].concat()));
    assert_eq!(complete.status(), 201, "there is memory again");
    source.lines(5);
}

#[test]
fn a_body_of_exactly_memory_body_stays_in_memory() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().to_str().expect("text").to_owned();
    let source = SourceProcess::start(&["--memory-body", "64KiB", "--spill-dir", &path]);
    folder.close().expect("an empty directory");
    assert_eq!(source.post("x".repeat(64 << 10)).status(), 201);
    assert_eq!(source.post("x".repeat((64 << 10) + 1)).status(), 503);
    assert_eq!(text(&source.lines(1)[0]).len(), 64 << 10);
}
