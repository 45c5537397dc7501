//! Appends without space, and a second process with the same spool.

use std::path::Path;
use std::process::Command;

use crate::spool::records::{DIRECTORY, LIMITS, at, child, directory, line, records};
use crate::support::{Process, skip};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use rdv::connector::spool::{Opened, Spool, SpoolError, Start};

/// Checks that an append without space is refused, with the number of missing bytes, and that
/// smaller ones still succeed.
fn refused_for_room(directory: &Path, is_expected: fn(Option<u64>) -> bool) {
    let Opened { spool, mut writer, .. } = Spool::open(directory, LIMITS).expect("the spool opens");
    let small: Vec<u8> = (1..=9).flat_map(line).collect();
    writer.append(&small, at(1)).expect("there is room");
    for (name, cut) in [("at once", 400_000), ("in pieces", 3000)] {
        let mut append = writer.begin(at(50)).expect("begin");
        let refused = line(50).chunks(cut).find_map(|piece| append.write(piece).err());
        let Some(SpoolError::NoRoom { missing_bytes, .. }) = refused else {
            panic!("{name}: {refused:?}");
        };
        assert!(is_expected(missing_bytes), "{name}: {missing_bytes:?}");
        drop(append);
        let file = directory.join(format!("{}.jsonl", at(1)));
        assert_eq!(std::fs::metadata(file).expect("its size").len(), small.len() as u64, "{name}");
    }
    writer.append(&line(51), at(51)).expect("there is room");
    let (mut reader, _) = spool.reader(Start::Beginning).expect("a reader");
    assert!(records(&mut reader).into_keys().eq((1..=9).chain([51])), "others are accepted");
}

#[test]
#[ignore = "the process that another test starts; it limits itself"]
fn a_process_with_a_limit() {
    // Blocked, so that the write fails (setrlimit(2), RLIMIT_FSIZE) and does not kill.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    signals.thread_block().unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 10_000, 10_000).unwrap();
    refused_for_room(&directory(), |missing_bytes| missing_bytes.is_none());
}

#[test]
fn an_append_beyond_the_file_size_limit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let finished =
        Process::start(child("spool::refused::a_process_with_a_limit", &directory)).finish();
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    assert!(finished.stdout.contains("1 passed"), "{}", finished.stdout);
    let Opened { spool, cut_bytes, .. } = Spool::open(&directory, LIMITS).unwrap();
    assert_eq!((cut_bytes, spool.last()), (0, Some(at(51))));
}

#[test]
#[ignore = "the process that another test starts, on a small disk"]
fn a_process_on_a_full_disk() {
    refused_for_room(&directory(), |missing_bytes| {
        missing_bytes.is_some_and(|bytes| bytes < 300_000)
    });
}

#[test]
fn an_append_on_a_full_disk_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let inner = child("spool::refused::a_process_on_a_full_disk", &folder.path().join("spool"));
    // A separate disk, in a mount namespace that ends with the process.
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=256k tmpfs \"$0\" || exit 77; exec \"$@\"";
    command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(folder.path());
    command.arg(inner.get_program()).args(inner.get_args());
    command.env(DIRECTORY, folder.path().join("spool"));
    let finished = Process::start(command).finish();
    if !finished.stdout.contains("running") {
        return skip("disk of its own", &finished.stderr);
    }
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    assert!(finished.stdout.contains("1 passed"), "{}", finished.stdout);
}

#[test]
#[ignore = "the process that another test starts; it does not get the spool"]
fn a_second_process() {
    println!("{}", Spool::open(&directory(), LIMITS).unwrap_err());
}

#[test]
fn a_second_process_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let opened = Spool::open(&directory, LIMITS).unwrap();
    let finished = Process::start(child("spool::refused::a_second_process", &directory)).finish();
    let expected = format!("another process uses the spool {}", directory.display());
    assert!(finished.stdout.contains(&expected), "{}{}", finished.stdout, finished.stderr);
    drop(opened);
    assert!(Spool::open(&directory, LIMITS).is_ok());
}
