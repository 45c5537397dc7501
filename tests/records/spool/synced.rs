//! The system calls that an append waits for, their order, and the result if one fails; traced and
//! injected by strace(1).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::spool::records::{DIRECTORY, LIMITS, at, child, directory, line, records};
use crate::support::Process;
use rdv::connector::spool::{Opened, Spool, SpoolLimits, Start};

/// The strace log of a process that runs this ignored test; and the output of the process.
fn traced(name: &str, directory: &Path, options: &[&str]) -> (String, String) {
    let installed = Command::new("strace").arg("--version").output().is_ok();
    assert!(installed, "these tests need strace(1): install the package `strace`");
    let log = directory.with_extension("log");
    let inner = child(name, directory);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-o"]).arg(&log).args(options);
    command.arg(inner.get_program()).args(inner.get_args()).env(DIRECTORY, directory);
    let finished = Process::start(command).finish();
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    (fs::read_to_string(log).expect("what strace wrote"), finished.stdout)
}

#[test]
#[ignore = "the process that another test looks at"]
fn a_process_that_delivers() {
    // A segment for each append.
    let limits = SpoolLimits { segment_bytes: 1, ..LIMITS };
    let Opened { spool, mut writer, .. } = Spool::open(&directory(), limits).unwrap();
    for number in 1..=2 {
        writer.append(&line(number), at(number)).unwrap();
        println!("appended");
    }
    spool.commit(at(1));
    spool.save().unwrap();
    println!("saved");
}

/// A traced call, as far as its order is significant.
fn act(call: &str) -> Option<&'static str> {
    let acts = [
        (&["pwrite64(", ".jsonl>"][..], "write the segment"),
        (&["fdatasync(", ".jsonl>"], "sync the segment"),
        (&["fsync(", "/spool>"], "sync the directory"),
        (&["write(1", "appended"], "return from the append"),
        (&["write(", "cursor.new>"], "write the cursor"),
        (&["fsync(", "cursor.new>"], "sync the cursor"),
        (&["rename", "cursor.new"], "replace the cursor"),
        (&["unlink", ".jsonl"], "remove the segment"),
        (&["write(1", "saved"], "return from saving"),
    ];
    let is = |(words, _): &&(&[&str], _)| words.iter().all(|word| call.contains(word));
    acts.iter().find(is).map(|(_, act)| *act)
}

#[test]
fn no_call_returns_before_its_changes_are_synced() {
    let folder = tempfile::tempdir().unwrap();
    let calls = "--trace=/^(p?write(64)?|fsync|fdatasync|rename.*|unlink.*)$";
    let spool = folder.path().join("spool");
    let (log, _) = traced("spool::synced::a_process_that_delivers", &spool, &[calls]);
    let acts: Vec<_> = log.lines().filter_map(act).collect();
    let append =
        ["write the segment", "sync the segment", "sync the directory", "return from the append"];
    let save = [
        "write the cursor",
        "sync the cursor",
        "replace the cursor",
        "sync the directory",
        "remove the segment",
        "return from saving",
    ];
    assert_eq!(acts, [&append[..], &append[..], &save[..]].concat(), "{log}");
}

#[test]
#[ignore = "the process that another test disturbs"]
fn a_process_whose_disk_fails() {
    let Opened { mut writer, .. } = Spool::open(&directory(), LIMITS).unwrap();
    for number in 1..=4 {
        match writer.append(&line(number), at(number)) {
            Ok(()) => println!("{number}: appended"),
            Err(error) => println!("{number}: {error}"),
        }
    }
}

#[test]
fn after_a_failed_sync_the_append_is_rolled_back_or_the_spool_fails() {
    let second_sync = "--inject=fdatasync:error=EIO:when=2";
    for (name, faults, printed, there, segments) in [
        ("a sync fails", &[second_sync][..], "4: appended", &[1, 3, 4][..], 2),
        (
            "and then a cut",
            &[second_sync, "--inject=ftruncate:error=EIO"],
            "4: the spool could not take back",
            // Not synced, but not lost either.
            &[1, 2],
            1,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let spool = folder.path().join("spool");
        let options = [&["--trace=fdatasync,ftruncate"], faults].concat();
        let (log, output) = traced("spool::synced::a_process_whose_disk_fails", &spool, &options);
        assert!(log.contains("(INJECTED)"), "{name}: {log}");
        assert!(
            output.contains("1: appended") && output.contains("2: cannot append to"),
            "{output}"
        );
        assert!(output.contains(printed), "{name}: {output}");
        let Opened { spool: opened, cut_bytes, .. } = Spool::open(&spool, LIMITS).unwrap();
        let (mut reader, _) = opened.reader(Start::Beginning).unwrap();
        let numbers: Vec<_> = records(&mut reader).into_keys().collect();
        assert_eq!((numbers.as_slice(), cut_bytes), (there, 0), "{name}");
        let files = fs::read_dir(&spool).unwrap().map(|file| file.unwrap().path());
        let count = files.filter(|file| file.extension().is_some_and(|it| it == "jsonl")).count();
        assert_eq!(count, segments, "{name}: nothing is appended to a file whose sync failed");
    }
}
