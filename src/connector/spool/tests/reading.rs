//! Readers: their start, records of any length, and waiting.

use super::super::test_records::{at, line, long_line};
use super::super::*;
use super::{SMALL, append, folder, lines, open, read_from, records, segments};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Long enough for a starting thread.
const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn a_long_record_is_written_and_read_in_pieces() {
    let folder = folder();
    let Opened { spool, mut writer, .. } = open(&folder, SMALL);
    let long = long_line(2, 1_000_000);
    append(&mut writer, 1..=1);
    let mut pieces = writer.begin(at(2)).unwrap();
    for piece in long.as_bytes().chunks(70_001) {
        assert_eq!(read_from(&spool, Start::Beginning).1, lines(1..=1), "nothing of it is seen");
        pieces.write(piece).unwrap();
    }
    pieces.finish().unwrap();
    append(&mut writer, 3..=3);
    let expected = vec![line(1, "x"), long, line(3, "x")];
    assert_eq!(read_from(&spool, Start::Beginning).1, expected);
    assert_eq!(read_from(&spool, Start::Behind(at(2))), (StartPoint::Next, lines(3..=3)));
}

#[test]
fn a_record_of_any_length_is_read_completely() {
    let folder = folder();
    let limits = SpoolLimits { segment_bytes: 300_000, ..SMALL };
    let Opened { spool, mut writer, .. } = open(&folder, limits);
    let sizes = [62 + 12, 65_535, 65_536, 65_537, 131_072, 65_474, 65_475, 130_000, 80, 80];
    let expected: Vec<_> =
        (1..).zip(sizes).map(|(number, bytes)| long_line(number, bytes)).collect();
    writer.append(expected.concat().as_bytes(), at(1)).unwrap();
    assert_eq!(read_from(&spool, Start::Beginning).1, expected);
    let (mut reader, _) = spool.reader(Start::Behind(at(8))).unwrap();
    assert!(matches!(reader.read().unwrap(), Next::Piece(piece) if piece.ends));
}

#[test]
fn a_reader_starts_at_a_position_and_reports_removed_records() {
    let folder = folder();
    let limits = SpoolLimits { keep_bytes: 2 * line(1, "x").len() as u64, ..SMALL };
    let Opened { spool, mut writer, .. } = open(&folder, limits);
    // Even positions only, two to a segment: 2 4, 6 8, 10 12, 14.
    for number in 1..=7 {
        append(&mut writer, 2 * number..=2 * number);
    }
    spool.commit(at(12));
    spool.save().unwrap();
    assert_eq!(segments(&folder), [10, 14], "one delivered segment is kept");
    for (name, start, found, numbers) in [
        ("the beginning", Start::Beginning, StartPoint::Next, &[10, 12, 14][..]),
        ("the cursor", Start::Cursor, StartPoint::Next, &[14]),
        ("behind one", Start::Behind(at(10)), StartPoint::Next, &[12, 14]),
        ("behind the last", Start::Behind(at(14)), StartPoint::Next, &[]),
        ("behind one that is gone", Start::Behind(at(4)), StartPoint::Gone, &[10, 12, 14]),
        ("behind the last one that is gone", Start::Behind(at(8)), StartPoint::Next, &[10, 12, 14]),
        ("behind none, before all", Start::Behind(at(1)), StartPoint::Gone, &[10, 12, 14]),
        ("behind none", Start::Behind(at(9)), StartPoint::Unknown, &[10, 12, 14]),
        ("behind none, inside", Start::Behind(at(11)), StartPoint::Unknown, &[12, 14]),
        ("behind none, between segments", Start::Behind(at(13)), StartPoint::Unknown, &[14]),
        ("behind none, behind all", Start::Behind(at(99)), StartPoint::Unknown, &[]),
    ] {
        let expected: Vec<_> = numbers.iter().map(|number| line(*number, "x")).collect();
        assert_eq!(read_from(&spool, start), (found, expected), "{name}");
    }
    let (mut ahead, _) = spool.reader(Start::Behind(at(99))).unwrap();
    append(&mut writer, 16..=16);
    assert_eq!(records(&mut ahead).0, lines(16..=16), "what comes next is read by all");
}

#[test]
fn an_overtaken_reader_finishes_its_segment_and_reports_the_gap() {
    let folder = folder();
    let Opened { spool, mut writer, .. } = open(&folder, SMALL);
    append(&mut writer, 1..=7);
    let (mut slow, _) = spool.reader(Start::Beginning).unwrap();
    assert!(matches!(slow.read().unwrap(), Next::Piece(piece) if piece.position == at(1)));
    let (mut idle, _) = spool.reader(Start::Beginning).unwrap();
    spool.commit(at(6));
    spool.save().unwrap();
    assert_eq!(records(&mut slow), ([lines(2..=2), lines(7..=7)].concat(), 1));
    assert_eq!(records(&mut idle), (lines(7..=7), 1));
}

#[test]
fn a_reader_waits_for_new_records() {
    let folder = folder();
    let Opened { spool, mut writer, .. } = open(&folder, SMALL);
    let (mut reader, _) = spool.reader(Start::Cursor).unwrap();
    assert_eq!(reader.wait(Duration::ZERO), WaitResult::TimedOut);
    let count = 50;
    let delivered = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut acknowledged = Acknowledged::new(NonZeroUsize::new(4).unwrap());
            let mut all = Vec::new();
            loop {
                for record in records(&mut reader).0 {
                    let position = position(record.as_bytes()).unwrap();
                    acknowledged.sent(position).unwrap();
                    assert_eq!(acknowledged.acknowledge(position), AckOutcome::UpTo(position));
                    spool.commit(position);
                    spool.save().unwrap();
                    all.push(record);
                }
                match reader.wait(TIMEOUT) {
                    WaitResult::Grown => {}
                    WaitResult::Closed => return all,
                    WaitResult::TimedOut => panic!("nothing came"),
                }
            }
        });
        append(&mut writer, 1..=count);
        drop(writer);
        reading.join().unwrap()
    });
    assert_eq!(delivered, lines(1..=count));
    assert_eq!((spool.delivered(), segments(&folder)), (Some(at(count)), vec![count - 1]));
}
