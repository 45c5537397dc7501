//! Records in a rotated file: each accepted one is in a file that still has a name.

use std::fs;

use nix::sys::signal::Signal;

use crate::source::consumer::{Place, lines_of};
use crate::source::files::faulty;
use crate::source::process::{SourceProcess, assert_busy, text};
use crate::support::{Process, eventually};

/// A source that writes to this file, from memory and from a spool.
fn each(place: &Place, test: impl Fn(&SourceProcess, &str)) {
    let spool = format!("{}.spool", place.output());
    for flags in [&[][..], &["--spool", &spool]] {
        let _ = fs::remove_file(place.path());
        let source = SourceProcess::start(&[&["--output", &place.output()], flags].concat());
        test(&source, &format!("{flags:?}"));
        source.end();
    }
}

fn bodies(path: &str) -> Vec<String> {
    lines_of(path.as_ref()).iter().map(|line| text(line)).collect()
}

/// The bodies of its complete lines, if it exists.
fn bodies_if_any(path: &str) -> Vec<String> {
    let file = fs::read_to_string(path).unwrap_or_default();
    let complete = file.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().map(text).collect()
}

/// Waits until the file has this record and no other: from a spool it is written after the
/// response.
fn await_body(path: &str, body: &str, what: &str) {
    eventually(what, || {
        fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n')).then_some(())
    });
    assert_eq!(bodies(path), [body], "{what}");
}

#[test]
fn a_renamed_file_is_noticed_before_the_next_record() {
    let place = Place::new();
    let (path, old) = (place.output(), format!("{}.1", place.output()));
    each(&place, |source, what| {
        assert_eq!(source.post("one").status(), 201);
        await_body(&path, "one", what);
        fs::rename(&path, &old).expect("renamed");
        assert_eq!(source.post("two").status(), 201);
        await_body(&path, "two", what);
        await_body(&old, "one", what);
        source.await_stderr("was renamed or removed; opened it again");
    });
}

#[test]
fn a_removed_file_is_noticed_before_the_next_record() {
    let place = Place::new();
    let path = place.output();
    each(&place, |source, what| {
        assert_eq!(source.post("one").status(), 201);
        await_body(&path, "one", what);
        fs::remove_file(&path).expect("removed");
        assert_eq!(source.post("two").status(), 201);
        // From a spool, "one" is written again if it was not synchronized before the removal.
        eventually(what, || (bodies_if_any(&path).last()? == "two").then_some(()));
    });
}

#[test]
fn signals_open_the_output_again() {
    for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
        let place = Place::new();
        let (path, old) = (place.output(), format!("{}.1", place.output()));
        each(&place, |source, what| {
            let what = format!("{signal}, {what}");
            assert_eq!(source.post("one").status(), 201);
            await_body(&path, "one", &what);
            fs::rename(&path, &old).expect("renamed");
            source.signal(signal);
            eventually(&what, || fs::metadata(&path).ok());
            assert_eq!(source.post("two").status(), 201);
            await_body(&path, "two", &what);
        });
    }
}

#[test]
fn without_its_directory_records_are_refused_until_it_is_back() {
    let place = Place::new();
    let directory = format!("{}.d", place.output());
    let path = format!("{directory}/records");
    fs::create_dir(&directory).expect("a directory");
    let source = SourceProcess::start(&["--output", &path]);
    assert_eq!(source.post("one").status(), 201);
    fs::remove_dir_all(&directory).expect("removed");
    assert_busy("no directory", &source.post("two"), "could not be stored");
    source.signal(Signal::SIGHUP);
    source.await_stderr("cannot reopen the output: no such file");
    fs::create_dir(&directory).expect("a directory");
    assert_eq!(source.post("three").status(), 201);
    assert_eq!(bodies(&path), ["three"]);
    source.end();
}

#[test]
fn a_name_that_is_not_a_file_any_more_is_left_unchanged() {
    let place = Place::new();
    let source = SourceProcess::start(&["--output", &place.output()]);
    assert_eq!(source.post("one").status(), 201);
    fs::remove_file(place.path()).expect("removed");
    place.make_fifo();
    assert_busy("a FIFO", &source.post("two"), "could not be stored");
    source.await_stderr("is not a file any more");
    source.end();
}

#[test]
fn a_record_in_a_file_that_is_removed_meanwhile_is_not_promised() {
    let place = Place::new();
    let log = format!("{}.strace", place.output());
    // Long enough to remove the file before it is synchronized.
    let faults = ["fdatasync:delay_enter=2s:when=1"];
    let flags = ["--output", &place.output()];
    let source = SourceProcess::of(Process::start(faulty(&faults, &log, &flags)));
    let mut sender = source.start_post("one");
    eventually("it is written", || {
        fs::read_to_string(place.path()).is_ok_and(|text| text.ends_with('\n')).then_some(())
    });
    fs::remove_file(place.path()).expect("removed");
    assert_busy("it is lost", &sender.response(), "could not be stored");
    assert_eq!(source.post("two").status(), 201);
    assert_eq!(bodies(&place.output()), ["two"]);
    source.end();
}
