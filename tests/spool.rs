//! Spools whose process is killed, or gets no room: what an append has returned for is there, once
//! and whole, and nothing else is in the way.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use rdv::connector::spool::{
    Found, Next, Opened, Spool, SpoolError, SpoolLimits, SpoolReader, Start,
};
use rdv::connector::spool::{head, position};
use support::{Process, pattern};
use uuid::Uuid;

/// What the test tells the process it starts.
const DIRECTORY: &str = "RDV_TEST_SPOOL";

/// How often a process is killed.
const ROUNDS: usize = 12;

/// Small segments, so that many are made and removed in a round.
const LIMITS: SpoolLimits =
    SpoolLimits { segment_bytes: 50_000, max_bytes: 1 << 30, keep_bytes: 0 };

fn at(number: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

/// The line of a record, which its number says all of: its length, and every byte.
fn line(number: u64) -> Vec<u8> {
    let size = match number % 50 {
        0 => 300_000,
        rest => 10 + 37 * usize::try_from(rest).expect("below 50"),
    };
    let text: String =
        pattern(number, size).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    format!("{},\"number\":{number},\"text\":\"{text}\"}}\n", head(at(number))).into_bytes()
}

fn number(position: Uuid) -> u64 {
    u64::try_from(position.as_u128() - at(0).as_u128()).expect("a position of this test")
}

/// All records that can be read, by their numbers.
fn records(reader: &mut SpoolReader) -> BTreeMap<u64, Vec<u8>> {
    let (mut records, mut record) = (BTreeMap::new(), Vec::new());
    loop {
        match reader.read().expect("reading") {
            Next::End => return records,
            Next::Gone => panic!("nobody removes anything"),
            Next::Piece(piece) => {
                record.extend(piece.bytes);
                if piece.ends {
                    let before =
                        records.insert(number(piece.position), std::mem::take(&mut record));
                    assert_eq!(before, None, "{} is there twice", number(piece.position));
                }
            }
        }
    }
}

/// Appends records, group after group, and long ones in pieces, and says behind each append how far
/// it is; delivers its own records half as fast.
fn append_for_ever(directory: &Path) -> ! {
    let Opened { spool, mut writer, .. } = Spool::open(directory, LIMITS).expect("the spool opens");
    let mut next = spool.last().map_or(1, |last| number(last) + 1);
    loop {
        let group = 1 + next % 7;
        if next.is_multiple_of(50) {
            let mut append = writer.begin(at(next)).expect("begin");
            line(next).chunks(10_000).for_each(|piece| append.write(piece).expect("a piece"));
            append.finish().expect("finish");
            next += 1;
        } else {
            let group = next..(next + group).min(next.next_multiple_of(50));
            let lines: Vec<u8> = group.clone().flat_map(line).collect();
            writer.append(&lines, at(next)).expect("append");
            next = group.end;
        }
        println!("appended {}", next - 1);
        if next.is_multiple_of(3) {
            spool.commit(at(next / 2));
            spool.save().expect("save");
            println!("saved {}", next / 2);
        }
    }
}

/// A process of this file that runs the ignored test of this name.
fn child(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "--nocapture", name]).env(DIRECTORY, directory);
    command
}

fn directory() -> std::path::PathBuf {
    std::env::var_os(DIRECTORY).expect("the directory, from the test that starts this").into()
}

#[test]
#[ignore = "the process that another test starts and kills"]
fn a_process_that_appends() {
    append_for_ever(&directory());
}

/// Kills a process once it has said so much, and gives how far it said it was: with what it
/// appended, and with what it saved.
fn killed_after(appends: usize, mut process: Child) -> (u64, u64) {
    let said = BufReader::new(process.stdout.take().expect("its output"));
    let (mut appended, mut saved, mut count) = (0, 0, 0);
    for said in said.lines() {
        let said = said.expect("a line");
        if let Some(number) = said.strip_prefix("appended ") {
            // The last line can be torn, too: a shorter number is a smaller one.
            appended = appended.max(number.parse().unwrap_or(0));
            count += 1;
        } else if let Some(number) = said.strip_prefix("saved ") {
            saved = saved.max(number.parse().unwrap_or(0));
        }
        if count == appends {
            process.kill().expect("kill");
        }
    }
    process.wait().expect("wait");
    assert!(count >= appends, "it ended by itself after {count} appends");
    (appended, saved)
}

#[test]
fn every_record_whose_append_returned_outlives_a_kill_once_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let (mut appended, mut saved, mut cut) = (0, 0, 0);
    for round in 0..ROUNDS {
        let mut command = child("a_process_that_appends", &directory);
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let said = killed_after(1 + 13 * round, process);
        (appended, saved) = (said.0.max(appended), said.1.max(saved));

        let Opened { spool, cut_bytes, .. } = Spool::open(&directory, LIMITS).unwrap();
        cut += cut_bytes;
        let last = number(spool.last().unwrap());
        assert!(last >= appended, "round {round}: {last} of {appended}");
        let delivered = spool.delivered().map_or(0, number);
        assert!(delivered >= saved, "round {round}: {delivered} of {saved}");
        let (mut reader, found) = spool.reader(Start::Cursor).unwrap();
        assert_eq!(found, Found::Next, "round {round}");
        let records = records(&mut reader);
        assert!(records.keys().copied().eq(delivered + 1..=last), "round {round}: no gap");
        for (number, record) in &records {
            assert!(*record == line(*number), "round {round}: record {number}");
            assert_eq!(position(record), Some(at(*number)));
        }
        appended = last;
    }
    println!("{appended} records, {saved} delivered, {cut} bytes cut");
}

#[test]
#[ignore = "the process that another test starts and kills"]
fn a_process_that_stops_within_a_record() {
    let Opened { mut writer, .. } = Spool::open(&directory(), LIMITS).unwrap();
    writer.append(&line(1), at(1)).unwrap();
    let mut append = writer.begin(at(50)).unwrap();
    append.write(&line(50)[..123_456]).unwrap();
    println!("within");
    // Until the end of its input, which does not come before it is killed.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn half_a_record_of_a_process_that_was_killed_is_cut_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let mut command = child("a_process_that_stops_within_a_record", &directory);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(process.stdout.take().unwrap());
    assert!(said.lines().any(|said| said.unwrap().ends_with("within")), "it comes so far");
    process.kill().unwrap();
    process.wait().unwrap();
    let Opened { spool, cut_bytes, .. } = Spool::open(&directory, LIMITS).unwrap();
    assert_eq!((cut_bytes, spool.last()), (123_456, Some(at(1))));
    let (mut reader, _) = spool.reader(Start::Beginning).unwrap();
    assert_eq!(records(&mut reader), BTreeMap::from([(1, line(1))]));
}

/// Appends what has room, is refused what has none, and goes on; with how much room was missing.
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
    assert!(records(&mut reader).into_keys().eq((1..=9).chain([51])), "others find their room");
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
fn an_append_beyond_the_limit_of_a_file_leaves_nothing_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let finished = Process::start(child("a_process_with_a_limit", &directory)).finish();
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
fn an_append_on_a_full_disk_leaves_nothing_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let inner = child("a_process_on_a_full_disk", &folder.path().join("spool"));
    // A disk of its own, in a mount namespace that ends with the process.
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=256k tmpfs \"$0\" || exit 77; exec \"$@\"";
    command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(folder.path());
    command.arg(inner.get_program()).args(inner.get_args());
    command.env(DIRECTORY, folder.path().join("spool"));
    let finished = Process::start(command).finish();
    if !finished.stdout.contains("running") {
        println!("no disk of its own here, so nothing is checked: {}", finished.stderr);
        return;
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
fn a_second_process_is_refused_and_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let opened = Spool::open(&directory, LIMITS).unwrap();
    let finished = Process::start(child("a_second_process", &directory)).finish();
    let expected = format!("another process uses the spool {}", directory.display());
    assert!(finished.stdout.contains(&expected), "{}{}", finished.stdout, finished.stderr);
    drop(opened);
    assert!(Spool::open(&directory, LIMITS).is_ok());
}
