//! A spool as its threads use it: appended records are read in order, also after reopening.

use super::test_records::{at, line};
use super::*;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

mod model;
mod reading;

/// Segments of two short records.
const SMALL: SpoolLimits = SpoolLimits { segment_bytes: 100, max_bytes: 1 << 20, keep_bytes: 0 };

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &TempDir, limits: SpoolLimits) -> Opened {
    Spool::open(&folder.path().join("spool"), limits).unwrap()
}

fn append(writer: &mut SpoolWriter, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        writer.append(line(number, "x").as_bytes(), at(number)).unwrap();
    }
}

/// Reads all records up to the end, joined from their pieces, and counts the gaps.
fn records(reader: &mut SpoolReader) -> (Vec<String>, usize) {
    let (mut records, mut gone, mut record) = (Vec::new(), 0, Vec::new());
    loop {
        match reader.read().unwrap() {
            Next::End => break,
            Next::Gone => gone += 1,
            Next::Piece(piece) => {
                record.extend(piece.bytes);
                assert_eq!(piece.bytes.ends_with(b"\n"), piece.ends);
                assert_eq!(position(&record), Some(piece.position));
                if piece.ends {
                    records.push(String::from_utf8(std::mem::take(&mut record)).unwrap());
                }
            }
        }
    }
    assert!(record.is_empty(), "no record is cut");
    (records, gone)
}

fn read_from(spool: &Spool, start: Start) -> (StartPoint, Vec<String>) {
    let (mut reader, found) = spool.reader(start).unwrap();
    (found, records(&mut reader).0)
}

fn lines(numbers: std::ops::RangeInclusive<u64>) -> Vec<String> {
    numbers.map(|number| line(number, "x")).collect()
}

/// Returns the names of the segments, as numbers.
fn segments(folder: &TempDir) -> Vec<u64> {
    let mut firsts: Vec<u64> = fs::read_dir(folder.path().join("spool"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let first = name.strip_suffix(".jsonl")?.parse::<Uuid>().unwrap();
            Some(u64::try_from(first.as_u128() - at(0).as_u128()).unwrap())
        })
        .collect();
    firsts.sort_unstable();
    firsts
}

#[test]
fn appended_records_are_read_in_order_and_after_reopening() {
    let folder = folder();
    {
        let Opened { spool, mut writer, cut_bytes } = open(&folder, SMALL);
        assert_eq!((cut_bytes, spool.last()), (0, None));
        assert_eq!(read_from(&spool, Start::Beginning), (StartPoint::Next, vec![]));
        append(&mut writer, 1..=5);
        assert_eq!(read_from(&spool, Start::Beginning), (StartPoint::Next, lines(1..=5)));
        assert_eq!(segments(&folder), [1, 3, 5]);
    }
    let Opened { spool, mut writer, cut_bytes } = open(&folder, SMALL);
    assert_eq!((cut_bytes, spool.last()), (0, Some(at(5))));
    assert_eq!(spool.undelivered_bytes(), lines(1..=5).concat().len() as u64);
    append(&mut writer, 6..=7);
    assert_eq!(read_from(&spool, Start::Cursor), (StartPoint::Next, lines(1..=7)));
    assert_eq!(segments(&folder), [1, 3, 5, 7], "the newest segment is filled first");
}

#[test]
fn files_are_private_and_consist_of_plain_lines() {
    let folder = folder();
    let Opened { spool, mut writer, .. } = open(&folder, SMALL);
    writer.append((line(1, "a") + &line(2, "b")).as_bytes(), at(1)).unwrap();
    spool.commit(at(1));
    spool.save().unwrap();
    let path = folder.path().join("spool");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let text = fs::read_to_string(path.join(format!("{}.jsonl", at(1)))).unwrap();
    assert_eq!(text, line(1, "a") + &line(2, "b"));
    text.lines().for_each(|line| assert!(serde_json::from_str::<serde_json::Value>(line).is_ok()));
    let cursor = format!("{{\"delivered\":\"{}\",\"removed\":null}}\n", at(1));
    assert_eq!(fs::read_to_string(path.join("cursor")).unwrap(), cursor);
}

#[test]
fn a_torn_tail_is_truncated_and_its_length_reported() {
    let torn = line(4, "x");
    for (name, tail, cut) in [
        ("nothing", "", 0),
        ("half a record", &torn[..70], 70),
        ("all but the line feed", torn.trim_end(), torn.len() - 1),
        ("a hole", "\0\0\0", 3),
    ] {
        let folder = folder();
        append(&mut open(&folder, SMALL).writer, 1..=3);
        let newest = folder.path().join("spool").join(format!("{}.jsonl", at(3)));
        fs::write(&newest, line(3, "x") + tail).unwrap();
        let Opened { spool, mut writer, cut_bytes } = open(&folder, SMALL);
        assert_eq!(cut_bytes, cut as u64, "{name}");
        append(&mut writer, 4..=4);
        assert_eq!(read_from(&spool, Start::Beginning).1, lines(1..=4), "{name}");
    }
}

#[test]
fn a_segment_without_a_complete_record_is_removed() {
    let folder = folder();
    append(&mut open(&folder, SMALL).writer, 1..=2);
    let newest = folder.path().join("spool").join(format!("{}.jsonl", at(3)));
    for (name, text) in [("empty", ""), ("torn", "{\"pos")] {
        fs::write(&newest, text).unwrap();
        let Opened { spool, mut writer, cut_bytes } = open(&folder, SMALL);
        assert_eq!(cut_bytes, text.len() as u64, "{name}");
        assert_eq!((segments(&folder), spool.last()), (vec![1], Some(at(2))), "{name}");
        // Its name is free again, and a failed append is undone.
        writer.begin(at(3)).unwrap().write(b"{").unwrap();
        assert_eq!(segments(&folder), [1], "{name}");
    }
}

#[test]
fn a_foreign_directory_or_a_damaged_spool_is_refused() {
    let folder = folder();
    append(&mut open(&folder, SMALL).writer, 1..=5);
    let path = folder.path().join("spool");
    let first = path.join(format!("{}.jsonl", at(1)));
    let named = |number: u64| path.join(format!("{}.jsonl", at(number)));
    for (name, file, text, expected) in [
        ("a foreign file", path.join("notes.txt"), String::new(), "does not belong"),
        ("a foreign segment", path.join("a.jsonl"), String::new(), "does not belong"),
        (
            "upper case",
            path.join(format!("{}.jsonl", at(1)).replace("019", "ABC")),
            String::new(),
            "does not belong",
        ),
        ("another first record", first.clone(), line(2, "x"), "is damaged"),
        ("no end", first.clone(), lines(1..=2).concat().trim_end().into(), "is damaged"),
        ("no record", first.clone(), "hello\n".into(), "is damaged"),
        ("records of the next", first.clone(), lines(1..=3).concat(), "is damaged"),
        (
            "another text in the newest",
            named(5),
            line(5, "x") + "hello\n",
            "damaged after 75 bytes",
        ),
        ("no cursor", path.join("cursor"), "half".into(), "is damaged"),
    ] {
        let before = fs::read(&file).ok();
        fs::write(&file, text).unwrap();
        let error = Spool::open(&path, SMALL).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
        match before {
            Some(before) => fs::write(&file, before).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        assert_eq!(
            read_from(&open(&folder, SMALL).spool, Start::Beginning).1,
            lines(1..=5),
            "{name}"
        );
    }
    let somebodys = folder.path().join("home");
    fs::create_dir(&somebodys).unwrap();
    fs::write(somebodys.join("letter"), "").unwrap();
    assert!(matches!(Spool::open(&somebodys, SMALL), Err(SpoolError::Foreign(_))));
    assert_eq!(fs::read_dir(&somebodys).unwrap().count(), 1, "nothing is made in it");
}

#[test]
fn a_spool_is_locked_until_all_its_handles_are_dropped() {
    let folder = folder();
    let Opened { spool, writer, .. } = open(&folder, SMALL);
    let path = folder.path().join("spool");
    let error = Spool::open(&path, SMALL).unwrap_err();
    assert!(matches!(error, SpoolError::Locked(_)), "{error}");
    let (reader, _) = spool.reader(Start::Beginning).unwrap();
    drop((spool, writer));
    assert!(matches!(Spool::open(&path, SMALL), Err(SpoolError::Locked(_))));
    drop(reader);
    assert!(Spool::open(&path, SMALL).is_ok());
}

#[test]
fn a_refused_append_leaves_nothing() {
    let folder = folder();
    let Opened { spool, mut writer, .. } = open(&folder, SMALL);
    append(&mut writer, 1..=3);
    let (good, three) = (line(4, "x"), line(3, "x"));
    for (name, lines, first, expected) in [
        ("no line", String::new(), 4, "does not end"),
        ("no line feed", good.trim_end().into(), 4, "does not end"),
        ("half of the second", format!("{good}{{"), 4, "does not end"),
        ("no record", "hello\n".into(), 4, "does not begin"),
        ("the second is none", format!("{good}hello\n"), 4, "does not begin"),
        ("a NUL byte", good.replace('x', "\0"), 4, "NUL"),
        ("backwards", format!("{}{good}", line(5, "x")), 5, "not greater"),
        ("there already", three.clone(), 3, "not greater"),
        ("another position than said", good.clone(), 5, "not at the position"),
        ("an old one behind a new one", three, 4, "not greater"),
    ] {
        let error = writer.append(lines.as_bytes(), at(first)).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
        assert_eq!((segments(&folder), spool.last()), (vec![1, 3], Some(at(3))), "{name}");
    }
    let mut failed = writer.begin(at(4)).unwrap();
    failed.write(b"\0").unwrap_err();
    assert!(failed.write(good.as_bytes()).unwrap_err().to_string().contains("failed before"));
    assert!(failed.finish().unwrap_err().to_string().contains("failed before"));
    append(&mut writer, 4..=5);
    drop((spool, writer));
    let Opened { spool, cut_bytes, .. } = open(&folder, SMALL);
    assert_eq!((read_from(&spool, Start::Beginning).1, cut_bytes), (lines(1..=5), 0));
}

#[test]
fn a_full_spool_accepts_records_once_some_were_delivered() {
    let folder = folder();
    let bytes = line(1, "x").len() as u64;
    let limits = SpoolLimits { max_bytes: 3 * bytes, ..SMALL };
    let Opened { spool, mut writer, .. } = open(&folder, limits);
    append(&mut writer, 1..=3);
    let refused = writer.append(line(4, "x").as_bytes(), at(4));
    let Err(SpoolError::Full { undelivered_bytes, max_bytes }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((undelivered_bytes, max_bytes), (3 * bytes, 3 * bytes));
    spool.commit(at(1));
    append(&mut writer, 4..=4);
    assert!(matches!(writer.append(line(5, "x").as_bytes(), at(5)), Err(SpoolError::Full { .. })));
    assert_eq!(read_from(&spool, Start::Cursor), (StartPoint::Next, lines(2..=4)));
    drop((spool, writer));
    // Not saved: all four must be delivered again, and there is no room for another.
    let Opened { spool, mut writer, .. } = open(&folder, limits);
    assert_eq!(spool.undelivered_bytes(), 4 * bytes);
    assert!(writer.append(line(5, "x").as_bytes(), at(5)).is_err());
}

#[test]
fn delivered_segments_are_removed_when_the_cursor_is_saved() {
    let folder = folder();
    let Opened { spool, mut writer, .. } = open(&folder, SMALL);
    append(&mut writer, 1..=7);
    spool.commit(at(4));
    assert_eq!(segments(&folder), [1, 3, 5, 7], "not before it is saved");
    spool.save().unwrap();
    assert_eq!(segments(&folder), [5, 7]);
    spool.commit(at(7));
    spool.save().unwrap();
    assert_eq!(segments(&folder), [7], "the newest stays");
    drop((spool, writer));
    let Opened { spool, mut writer, .. } = open(&folder, SMALL);
    assert_eq!((spool.delivered(), spool.undelivered_bytes()), (Some(at(7)), 0));
    append(&mut writer, 8..=9);
    assert_eq!(read_from(&spool, Start::Cursor), (StartPoint::Next, lines(8..=9)));
}

#[test]
fn a_crash_between_saving_and_removing_is_recovered_from() {
    let folder = folder();
    let path = folder.path().join("spool").join(format!("{}.jsonl", at(1)));
    {
        let Opened { spool, mut writer, .. } = open(&folder, SMALL);
        append(&mut writer, 1..=3);
        let before = fs::read(&path).unwrap();
        spool.commit(at(2));
        spool.save().unwrap();
        fs::write(&path, before).unwrap();
        fs::write(folder.path().join("spool/cursor.new"), "half").unwrap();
    }
    let Opened { spool, .. } = open(&folder, SMALL);
    assert_eq!(segments(&folder), [3]);
    assert_eq!(read_from(&spool, Start::Cursor), (StartPoint::Next, lines(3..=3)));
}
