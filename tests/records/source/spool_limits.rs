//! Limits of a spool: of the disk, of the setting, and of memory.

use std::process::Command;
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::source::consumer::{accept, lines_of};
use crate::source::process::{
    SourceProcess, assert_busy, body, post, record, source_command, text,
};
use crate::source::spool::{Spool, kill, position_of};
use crate::support::{Process, eventually, pattern};

const MIB: usize = 1 << 20;

/// Maximum resident memory of the process with one large record; the record alone has this size.
const RESIDENT_MAX_BYTES: u64 = 64 << 20;

/// Maximum growth while ten times as many records wait.
const GROWTH_MAX_BYTES: u64 = 4 << 20;

/// Posts until the source is full, at most this number; returns the accepted bodies.
pub(crate) fn fill(source: &SourceProcess, most: usize, length: usize) -> Vec<String> {
    let mut promised = Vec::new();
    for number in 0..most {
        let body = format!("{number} {:length$}", "");
        let answer = source.post(&body);
        if answer.status() != 201 {
            assert_busy("no more room", &answer, "could not be stored");
            return promised;
        }
        promised.push(body);
    }
    panic!("{most} records of {length} bytes found room");
}

pub(crate) fn bodies(spool: &Spool) -> Vec<String> {
    spool.lines().iter().map(|line| text(line)).collect()
}

#[test]
fn a_full_spool_refuses_records_until_some_were_delivered() {
    let spool = Spool::new();
    let source = spool.start(&["--spool-max", "200KiB"]);
    let promised = fill(&source, 20, 20_000);
    assert!(promised.len() > 3, "{} fit", promised.len());
    source.await_stderr("the spool is full");
    assert_eq!(source.post("a small one").status(), 201, "it fits in beside them");
    assert_eq!(bodies(&spool).len(), promised.len() + 1);
    let listener = spool.place().listen();
    let mut consumer = accept(&listener);
    for body in &promised {
        assert_eq!(&text(&consumer.line()), body);
    }
    assert_eq!(text(&consumer.line()), "a small one");
    eventually("there is room again", || {
        (source.post("x".repeat(20_000)).status() == 201).then_some(())
    });
    assert_eq!(text(&consumer.line()).len(), 20_000);
    source.end();
}

#[test]
fn a_spool_at_its_file_size_limit_contains_complete_records_only() {
    let spool = Spool::new();
    let socket = spool.place().socket();
    let plain = source_command(&[]);
    let mut command = Command::new("bash");
    // Blocks of 1024 bytes.
    command.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]).arg(plain.get_program());
    command.args(plain.get_args()).args(spool.flags(&["--output", &socket]));
    let source = SourceProcess::of(Process::start(command));
    let promised = fill(&source, 30, 300);
    assert!(!promised.is_empty());
    assert_eq!(bodies(&spool), promised);
    source.await_stderr("the spool has no room; free some, or raise its limit");
    kill(source);
    let source = spool.start_to_stdout(&[]);
    let found: Vec<_> = source.lines(promised.len()).iter().map(|line| text(line)).collect();
    assert_eq!(found, promised);
    source.end();
}

#[test]
fn a_large_body_passes_through_the_spool_with_little_memory() {
    let sent = pattern(3, 48 * MIB);
    let digest = Sha256::digest(&sent);
    for killed in [false, true] {
        let spool = Spool::new();
        let mut source = spool.start(&[]);
        assert_eq!(source.post(&sent).status(), 201);
        let most = source.memory_bytes("VmHWM");
        assert!(most < RESIDENT_MAX_BYTES, "{most} bytes resident during the request");
        if killed {
            kill(source);
            source = spool.start(&[]);
        }
        let listener = spool.place().listen();
        let mut consumer = accept(&listener);
        let found = body(&record(&consumer.line()));
        assert!(found.len() == sent.len() && Sha256::digest(&found) == digest, "killed: {killed}");
        assert_eq!(source.post("next").status(), 201);
        assert_eq!(text(&consumer.line()), "next");
        let most = source.memory_bytes("VmHWM");
        assert!(most < RESIDENT_MAX_BYTES, "{most} bytes resident, killed: {killed}");
        source.end();
    }
}

#[test]
fn unacknowledged_large_records_share_a_file_descriptor() {
    let spool = Spool::new();
    let source = spool.start(&[]);
    for _ in 0..100 {
        assert_eq!(source.post("x".repeat(60_000)).status(), 201);
    }
    kill(source);
    let source = spool.start(&["--ack"]);
    let descriptors = || {
        let folder = format!("/proc/{}/fd", source.process().id());
        std::fs::read_dir(folder).expect("its descriptors").count()
    };
    let before = descriptors();
    let listener = spool.place().listen();
    let mut consumer = accept(&listener);
    let lines: Vec<_> = (0..100).map(|_| consumer.line()).collect();
    let after = descriptors();
    assert!(after < before + 10, "from {before} to {after} descriptors");
    for line in &lines {
        consumer.acknowledge(line);
    }
    spool.await_delivered(&position_of(&lines[99]));
    source.end();
}

/// This number of records, from concurrent senders so that they share their syncs.
fn send_many(source: &SourceProcess, records: usize) {
    const SENDERS: usize = 50;
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let mut wire = source.connect();
                for _ in 0..records / SENDERS {
                    assert_eq!(wire.exchange(&post("a body like many others")).status(), 201);
                }
            });
        }
    });
}

#[test]
fn waiting_records_use_disk_and_no_memory() {
    let spool = Spool::new();
    let source = spool.start(&[]);
    send_many(&source, 2_000);
    let before = source.memory_bytes("VmRSS");
    send_many(&source, 18_000);
    let waiting = source.memory_bytes("VmRSS");
    assert!(waiting < before + GROWTH_MAX_BYTES, "from {before} to {waiting} bytes");
    let listener = spool.place().listen();
    let mut consumer = accept(&listener);
    let mut last = String::new();
    for _ in 0..20_000 {
        let position = position_of(&consumer.line());
        assert!(last < position, "in their order");
        last = position;
    }
    let after = source.memory_bytes("VmRSS");
    assert!(after < before + GROWTH_MAX_BYTES, "from {before} to {after} bytes");
    source.end();
    assert_eq!(consumer.lines().next(), None);
    assert_eq!(lines_of(&spool.segments()[0]).len(), 20_000);
}
