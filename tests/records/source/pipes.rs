//! Records to pipes: slow readers, and readers that disconnect and return.

use std::io::Read as _;

use crate::source::consumer::{Lines, Place};
use crate::source::process::{SourceProcess, assert_busy, post, text};
use crate::support::{ADMIN, eventually};

/// More than a pipe holds (pipe(7): 64 KiB, unless changed).
const MORE_THAN_A_PIPE: usize = 200_000;

#[test]
fn records_wait_for_a_reader_of_the_fifo() {
    let place = Place::new();
    place.make_fifo();
    let source = SourceProcess::start(&[&ADMIN[..], &["--output", &place.output()]].concat());
    let mut wire = source.start_post("early");
    source.await_waiting(1);
    wire.assert_silent();
    let mut reader = place.read_fifo();
    assert_eq!(wire.response().status(), 201);
    assert_eq!(text(&reader.line()), "early");
}

#[test]
fn the_reader_of_a_fifo_may_be_replaced() {
    let place = Place::new();
    place.make_fifo();
    let source = SourceProcess::start(&["--output", &place.output(), "--consumer-timeout", "2s"]);
    let mut reader = place.read_fifo();
    assert_eq!(source.post("one").status(), 201);
    assert_eq!(text(&reader.line()), "one");
    drop(reader);
    assert_busy("no reader", &source.post("two"), "No consumer is connected");
    assert_busy("still no reader", &source.post("three"), "No consumer is connected");
    let mut reader = place.read_fifo();
    eventually("records are taken again", || (source.post("four").status() == 201).then_some(()));
    assert_eq!(text(&reader.line()), "four", "nothing that was refused is handed over later");
}

#[test]
fn a_closed_standard_output_ends_the_source() {
    let (source, mut reader) =
        SourceProcess::piped(&[&ADMIN[..], &["--consumer-timeout", "2s"]].concat());
    let mut wire = source.start_post("x".repeat(MORE_THAN_A_PIPE));
    reader.read_exact(&mut [0; 100]).expect("the record begins");
    let mut another = source.start_post("another");
    source.await_waiting(2);
    drop(reader);
    assert_busy("half handed over", &wire.response(), "No consumer is connected");
    assert_busy("not begun", &another.response(), "No consumer is connected");
    assert_busy("the next one", &source.post("next"), "No consumer is connected");
    let finished = source.finish();
    assert_eq!(finished.status.code(), Some(4));
    let last = finished.stderr.lines().last();
    assert_eq!(last, Some("rdv: the consumer disconnected"));
}

#[test]
fn a_stalled_reader_gets_only_complete_confirmed_records() {
    let (source, reader) = SourceProcess::piped(&["--consumer-timeout", "300ms"]);
    let mut begun = source.start_post("x".repeat(MORE_THAN_A_PIPE));
    let mut reader = Lines::stalled_within_line(reader);
    let mut wires = Vec::new();
    for number in 0..10 {
        wires.push(source.start_post(format!("{number}")));
    }
    for mut wire in wires {
        assert_busy("not begun", &wire.response(), "did not accept this record in time");
    }
    assert_busy("not even taken in", &source.post("next"), "did not accept this record in time");
    begun.assert_silent();
    assert_eq!(text(&reader.line()).len(), MORE_THAN_A_PIPE);
    assert_eq!(begun.response().status(), 201, "it was complete in the end");
    eventually("records are taken again", || (source.post("again").status() == 201).then_some(()));
    assert_eq!(text(&reader.line()), "again");
    source.end();
    assert_eq!(reader.next(), None, "nothing else was handed over");
}

#[test]
fn a_full_queue_refuses_at_once() {
    let flags = ["--queue", "3", "--consumer-timeout", "1h"];
    let (source, reader) = SourceProcess::piped(&[&ADMIN[..], &flags].concat());
    let mut wires = vec![source.start_post("x".repeat(MORE_THAN_A_PIPE))];
    let mut reader = Lines::stalled_within_line(reader);
    wires.extend([source.start_post("1"), source.start_post("2")]);
    source.await_waiting(3);
    assert_busy("one too many", &source.post("3"), "Record limit of this source");
    let mut kept = source.connect();
    assert_busy("another", &kept.exchange(&post("4")), "Record limit of this source");
    let lengths: Vec<_> = (0..3).map(|_| text(&reader.line()).len()).collect();
    assert_eq!(lengths, [MORE_THAN_A_PIPE, 1, 1]);
    for wire in &mut wires {
        assert_eq!(wire.response().status(), 201);
    }
    assert_eq!(kept.exchange(&post("5")).status(), 201, "there is room again");
}

#[test]
fn a_queue_at_its_byte_limit_refuses() {
    let flags = ["--queue-bytes", "300KiB", "--consumer-timeout", "1h"];
    let (source, reader) = SourceProcess::piped(&[&ADMIN[..], &flags].concat());
    let mut wire = source.start_post("x".repeat(MORE_THAN_A_PIPE));
    let mut reader = Lines::stalled_within_line(reader);
    let refused = source.post("x".repeat(MORE_THAN_A_PIPE));
    assert_busy("too much", &refused, "Record limit of this source");
    let mut small = source.start_post("small");
    source.await_waiting(2);
    reader.line();
    assert_eq!(wire.response().status(), 201);
    assert_eq!(small.response().status(), 201);
    assert_eq!(text(&reader.line()), "small");
}
