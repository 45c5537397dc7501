//! Processes killed at any time, also within a record.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use crate::spool::records::{LIMITS, at, child, directory, line, number, records};
use rdv::connector::spool::{Opened, Spool, Start, StartPoint, position};

/// How often a process is killed.
const ROUNDS: usize = 12;

/// Appends records in groups, and long ones in pieces, and prints its progress after each append;
/// delivers its own records at half the rate.
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

#[test]
#[ignore = "the process that another test starts and kills"]
fn a_process_that_appends() {
    append_for_ever(&directory());
}

/// Kills a process after this amount of output, and returns its printed progress: the last record
/// appended, and the last one saved as delivered.
fn killed_after(appends: usize, mut process: Child) -> (u64, u64) {
    let output = BufReader::new(process.stdout.take().expect("its output"));
    let (mut appended, mut saved, mut count) = (0, 0, 0);
    for output in output.lines() {
        let output = output.expect("a line");
        if let Some(number) = output.strip_prefix("appended ") {
            // The last line can be torn, too: a shorter number is a smaller one.
            appended = appended.max(number.parse().unwrap_or(0));
            count += 1;
        } else if let Some(number) = output.strip_prefix("saved ") {
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
fn every_appended_record_survives_a_kill_once_and_complete() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let (mut appended, mut saved, mut cut) = (0, 0, 0);
    for round in 0..ROUNDS {
        let mut command = child("spool::killed::a_process_that_appends", &directory);
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = killed_after(1 + 13 * round, process);
        (appended, saved) = (output.0.max(appended), output.1.max(saved));

        let Opened { spool, cut_bytes, .. } = Spool::open(&directory, LIMITS).unwrap();
        cut += cut_bytes;
        let last = number(spool.last().unwrap());
        assert!(last >= appended, "round {round}: {last} of {appended}");
        let delivered = spool.delivered().map_or(0, number);
        assert!(delivered >= saved, "round {round}: {delivered} of {saved}");
        let (mut reader, found) = spool.reader(Start::Cursor).unwrap();
        assert_eq!(found, StartPoint::Next, "round {round}");
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
    // Until the end of its input, which it does not reach before it is killed.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_torn_record_of_a_killed_process_is_truncated_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let mut command = child("spool::killed::a_process_that_stops_within_a_record", &directory);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    assert!(
        output.lines().any(|output| output.unwrap().ends_with("within")),
        "it starts the append"
    );
    process.kill().unwrap();
    process.wait().unwrap();
    let Opened { spool, cut_bytes, .. } = Spool::open(&directory, LIMITS).unwrap();
    assert_eq!((cut_bytes, spool.last()), (123_456, Some(at(1))));
    let (mut reader, _) = spool.reader(Start::Beginning).unwrap();
    assert_eq!(records(&mut reader), BTreeMap::from([(1, line(1))]));
}
