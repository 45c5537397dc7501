//! Records to pipes: slow readers, and readers that disconnect and return.

use std::io::Read as _;

use crate::source::consumer::{Lines, Place};
use crate::source::process::{Desk, assert_busy, post, text};
use crate::support::{ADMIN, eventually};

/// More than a pipe holds (pipe(7): 64 KiB, unless changed).
const MORE_THAN_A_PIPE: usize = 200_000;

#[test]
fn records_wait_for_a_reader_of_the_fifo() {
    let place = Place::new();
    place.make_fifo();
    let desk = Desk::start(&[&ADMIN[..], &["--output", &place.output()]].concat());
    let mut wire = desk.start_post("early");
    desk.await_waiting(1);
    wire.assert_silent();
    let mut reader = place.read_fifo();
    assert_eq!(wire.response().status(), 201);
    assert_eq!(text(&reader.line()), "early");
}

#[test]
fn the_reader_of_a_fifo_may_be_replaced() {
    let place = Place::new();
    place.make_fifo();
    let desk = Desk::start(&["--output", &place.output(), "--consumer-timeout", "300ms"]);
    let mut reader = place.read_fifo();
    assert_eq!(desk.post("one").status(), 201);
    assert_eq!(text(&reader.line()), "one");
    drop(reader);
    assert_busy("nobody reads", &desk.post("two"), "No consumer is connected");
    assert_busy("still nobody reads", &desk.post("three"), "No consumer is connected");
    let mut reader = place.read_fifo();
    eventually("records are taken again", || (desk.post("four").status() == 201).then_some(()));
    assert_eq!(text(&reader.line()), "four", "nothing that was refused is handed over later");
}

#[test]
fn a_closed_standard_output_ends_the_source() {
    let (desk, mut reader) = Desk::piped(&[&ADMIN[..], &["--consumer-timeout", "2s"]].concat());
    let mut wire = desk.start_post("x".repeat(MORE_THAN_A_PIPE));
    reader.read_exact(&mut [0; 100]).expect("the record begins");
    let mut another = desk.start_post("another");
    desk.await_waiting(2);
    drop(reader);
    assert_busy("half handed over", &wire.response(), "No consumer is connected");
    assert_busy("not begun", &another.response(), "No consumer is connected");
    assert_busy("the next one", &desk.post("next"), "No consumer is connected");
    let finished = desk.finish();
    assert_eq!(finished.status.code(), Some(4));
    let last = finished.stderr.lines().last();
    assert_eq!(last, Some("rdv: the consumer disconnected"));
}

#[test]
fn a_stalled_reader_gets_only_complete_confirmed_records() {
    let (desk, reader) = Desk::piped(&["--consumer-timeout", "300ms"]);
    let mut begun = desk.start_post("x".repeat(MORE_THAN_A_PIPE));
    let mut reader = Lines::stalled_within_line(reader);
    let mut wires = Vec::new();
    for number in 0..10 {
        wires.push(desk.start_post(format!("{number}")));
    }
    for mut wire in wires {
        assert_busy("not begun", &wire.response(), "did not accept this record in time");
    }
    assert_busy("not even taken in", &desk.post("next"), "did not accept this record in time");
    begun.assert_silent();
    assert_eq!(text(&reader.line()).len(), MORE_THAN_A_PIPE);
    assert_eq!(begun.response().status(), 201, "it was whole in the end");
    eventually("records are taken again", || (desk.post("again").status() == 201).then_some(()));
    assert_eq!(text(&reader.line()), "again");
    desk.end();
    assert_eq!(reader.next(), None, "nothing else was handed over");
}

#[test]
fn a_full_queue_refuses_at_once() {
    let flags = ["--queue", "3", "--consumer-timeout", "1h"];
    let (desk, reader) = Desk::piped(&[&ADMIN[..], &flags].concat());
    let mut wires = vec![desk.start_post("x".repeat(MORE_THAN_A_PIPE))];
    let mut reader = Lines::stalled_within_line(reader);
    wires.extend([desk.start_post("1"), desk.start_post("2")]);
    desk.await_waiting(3);
    assert_busy("one too many", &desk.post("3"), "Record limit of this source");
    let mut kept = desk.connect();
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
    let (desk, reader) = Desk::piped(&[&ADMIN[..], &flags].concat());
    let mut wire = desk.start_post("x".repeat(MORE_THAN_A_PIPE));
    let mut reader = Lines::stalled_within_line(reader);
    let refused = desk.post("x".repeat(MORE_THAN_A_PIPE));
    assert_busy("too much", &refused, "Record limit of this source");
    let mut small = desk.start_post("small");
    desk.await_waiting(2);
    reader.line();
    assert_eq!(wire.response().status(), 201);
    assert_eq!(small.response().status(), 201);
    assert_eq!(text(&reader.line()), "small");
}
