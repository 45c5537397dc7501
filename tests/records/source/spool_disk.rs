//! A full disk: requests are refused, and nothing else fails.

use std::fs;

use crate::source::consumer::{accept, lines_of};
use crate::source::process::text;
use crate::source::spool::Spool;
use crate::source::spool_limits::{bodies, fill};
use crate::support::{SmallDisk, eventually};

const MIB: usize = 1 << 20;

#[test]
fn a_full_disk_refuses_records_until_there_is_space() {
    let spool = Spool::new();
    let Some(mounted) = SmallDisk::mount(spool.parent(), 1) else { return };
    let source = spool.start(&[]);
    let filler = spool.parent().join("filler");
    fs::write(&filler, vec![0; MIB / 2]).expect("it fits");
    let mut promised = fill(&source, 100, 20_000);
    assert!(promised.len() > 3, "{} fit", promised.len());
    source.await_stderr("the spool's disk is full; make room for");
    assert_eq!(bodies(&spool), promised, "nothing is torn");
    fs::remove_file(filler).expect("it was there");
    assert_eq!(source.post("there is room").status(), 201);
    promised.push("there is room".into());
    let listener = spool.place().listen();
    let mut consumer = accept(&listener);
    for body in &promised {
        assert_eq!(&text(&consumer.line()), body);
    }
    source.end();
    drop(mounted);
}

#[test]
fn records_wait_while_the_disk_of_the_output_file_is_full() {
    let spool = Spool::new();
    let outside = tempfile::tempdir().expect("a directory");
    let Some(mounted) = SmallDisk::mount(outside.path(), 1) else { return };
    let (filler, output) = (outside.path().join("filler"), outside.path().join("records"));
    fs::write(&filler, vec![0; MIB - 100_000]).expect("it fits");
    let name = output.to_str().expect("text");
    let source = spool.start_to_stdout(&["--output", name, "--consumer-timeout", "300ms"]);
    let promised: Vec<_> = (0..10).map(|number| format!("{number} {:20000}", "")).collect();
    for body in &promised {
        assert_eq!(source.post(body).status(), 201);
    }
    source.await_stderr("could not be written, and wait in the spool");
    fs::remove_file(filler).expect("it was there");
    assert_eq!(source.post("next").status(), 201);
    eventually("all of them are stored", || {
        let text = fs::read_to_string(&output).ok()?;
        (text.ends_with('\n') && text.lines().count() >= 11).then_some(())
    });
    let found: Vec<_> = lines_of(&output).iter().map(|line| text(line)).collect();
    assert_eq!(found, [&promised[..], &["next".into()]].concat(), "in their order, each once");
    source.end();
    drop(mounted);
}

#[test]
fn delivery_frees_a_disk_filled_by_the_spool() {
    let spool = Spool::new();
    let Some(mounted) = SmallDisk::mount(spool.parent(), 1) else { return };
    let source = spool.start(&["--spool-max", "8MiB"]);
    // Small ones fill the last page, too.
    let mut promised = fill(&source, 100, 20_000);
    promised.extend(fill(&source, 1000, 100));
    let listener = spool.place().listen();
    let mut consumer = accept(&listener);
    for body in &promised {
        assert_eq!(&text(&consumer.line()), body);
    }
    eventually("there is room again", || {
        (source.post("x".repeat(100_000)).status() == 201).then_some(())
    });
    assert_eq!(text(&consumer.line()).len(), 100_000);
    source.end();
    drop(mounted);
}
