//! Acknowledgements on standard input: no sender gets 201 before its record is acknowledged.

use std::io::Write as _;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::source::consumer::{Lines, Place, acknowledgement};
use crate::source::process::{SourceProcess, assert_busy, position, record, source_command, text};
use crate::support::{ADMIN, DISCONNECTS, Process, eventually};

#[test]
fn only_an_acknowledged_record_is_confirmed() {
    let (source, mut input) = SourceProcess::with_ack_input(&[]);
    let mut wire = source.start_post("x");
    let line = source.lines(1).remove(0);
    wire.assert_silent();
    input.write_all(acknowledgement(&line).as_bytes()).expect("an open pipe");
    assert_eq!(wire.response().status(), 201);
    assert_eq!(text(&line), "x");
}

#[test]
fn acknowledgements_may_arrive_in_any_order_and_in_pieces() {
    let (source, mut input) = SourceProcess::with_ack_input(&[]);
    let mut wires: Vec<_> = (0..5)
        .map(|number| {
            let wire = source.start_post(format!("{number}"));
            source.lines(number + 1);
            wire
        })
        .collect();
    let lines = source.lines(5);
    for number in [3, 0, 4, 1] {
        for byte in acknowledgement(&lines[number]).bytes() {
            input.write_all(&[byte]).expect("an open pipe");
        }
        let position = position(&wires[number].response());
        assert_eq!(position.as_bytes(), record(&lines[number]).position);
    }
    wires[2].assert_silent();
}

#[test]
fn a_plain_uuid_is_an_acknowledgement() {
    let (source, mut input) = SourceProcess::with_ack_input(&[]);
    let mut wire = source.start_post("x");
    let position = String::from_utf8(source.records(1)[0].position.clone()).expect("text");
    writeln!(input, "{{\"ack\": \"{position}\", \"by\": \"me\"}}").expect("an open pipe");
    assert_eq!(wire.response().status(), 201);
}

#[test]
fn invalid_acknowledgements_are_logged_and_ignored() {
    let (source, mut input) = SourceProcess::with_ack_input(&[]);
    let mut wire = source.start_post("x");
    let line = source.lines(1).remove(0);
    let unknown = "01a1ff2f-9486-7771-be08-0e47d3009bfd";
    for (printed, words) in [
        ("hello\u{1b}[2J".to_owned(), "no acknowledgement: hello\\x1b[2J"),
        ("{\"nack\":1}".to_owned(), "no acknowledgement: {\\\"nack\\\":1}"),
        ("x".repeat(100_000), "no acknowledgement: xxxxxxx"),
        (format!("{{\"ack\":\"{unknown}\"}}"), unknown),
    ] {
        writeln!(input, "{printed}").expect("an open pipe");
        source.await_stderr(words);
        wire.assert_silent();
    }
    input.write_all(acknowledgement(&line).as_bytes()).expect("an open pipe");
    assert_eq!(wire.response().status(), 201);
    assert!(!source.end().stderr.contains('\u{1b}'), "nothing acts on a terminal");
}

#[test]
fn a_record_not_acknowledged_in_time_is_not_confirmed() {
    let (source, mut input) = SourceProcess::with_ack_input(&["--ack-timeout", "3s"]);
    assert_busy("no acknowledgement", &source.post("x"), "did not accept this record in time");
    let late = acknowledgement(&source.lines(1)[0]);
    input.write_all(late.as_bytes()).expect("an open pipe");
    source.await_stderr("waits for no acknowledgement");
    let mut wire = source.start_post("y");
    input.write_all(acknowledgement(&source.lines(2)[1]).as_bytes()).expect("an open pipe");
    assert_eq!(wire.response().status(), 201, "it goes on");
}

#[test]
fn the_end_of_the_acknowledgement_input_ends_the_source() {
    let (source, mut input) =
        SourceProcess::with_ack_input(&[&ADMIN[..], &["--consumer-timeout", "1s"]].concat());
    let mut wires = [source.start_post("one"), source.start_post("two")];
    let lines = source.lines(2);
    input.write_all(acknowledgement(&lines[0]).as_bytes()).expect("an open pipe");
    drop(input);
    let mut statuses = wires.each_mut().map(|wire| wire.response().status());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 503]);
    assert_busy("the next one", &source.post("three"), "No consumer is connected");
    let finished = source.finish();
    assert_eq!(finished.status.code(), Some(4));
    assert_eq!(finished.stdout.lines().count(), 2, "nothing more was handed over");
}

#[test]
fn acknowledgements_sent_before_a_disconnect_count() {
    let (input, mut say) = std::io::pipe().expect("a pipe");
    let (records, output) = std::io::pipe().expect("a pipe");
    let source = SourceProcess::of(Process::between(
        source_command(&["--ack", "--consumer-timeout", "1s"]),
        input.into(),
        output.into(),
    ));
    let mut lines = Lines::of(records);
    let mut wires: Vec<_> = (0..600).map(|number| source.start_post(format!("{number}"))).collect();
    // Far more than one read of the source.
    let acks: String = (0..600).map(|_| acknowledgement(&lines.line())).collect();
    while_stopped(&source, || {
        say.write_all(acks.as_bytes()).expect("a pipe holds them");
        drop((say, lines));
    });
    for wire in &mut wires {
        assert_eq!(wire.response().status(), 201);
    }
    assert_eq!(source.finish().status.code(), Some(4));
}

/// Runs a closure while the source is stopped, so that it reads all the input at once.
pub(crate) fn while_stopped(source: &SourceProcess, act: impl FnOnce()) {
    source.signal(Signal::SIGSTOP);
    let path = format!("/proc/{}/stat", source.process().id());
    eventually("the source is stopped", || {
        let stat = std::fs::read_to_string(&path).expect("its state");
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T")).then_some(())
    });
    act();
    source.signal(Signal::SIGCONT);
}

#[test]
fn a_fifo_is_closed_when_the_acknowledgement_input_ends() {
    let place = Place::new();
    place.make_fifo();
    let mut reader = place.read_fifo();
    let (input, say) = std::io::pipe().expect("a pipe");
    let flags = ["--ack", "--output", &place.output(), "--consumer-timeout", "1s"];
    let source =
        SourceProcess::of(Process::between(source_command(&flags), input.into(), Stdio::null()));
    drop(say);
    source.await_stderr("the consumer disconnected");
    assert_busy("no acknowledgement", &source.post("x"), "No consumer is connected");
    assert_eq!(source.finish().status.code(), Some(4));
    assert_eq!(reader.next(), None, "what was refused was not handed over");
}

#[test]
fn a_sender_disconnect_blocks_no_other_sender() {
    let (source, mut input) = SourceProcess::with_ack_input(&["--queue", "3"]);
    for (number, way) in DISCONNECTS.into_iter().enumerate() {
        let wire = source.start_post("it leaves");
        source.lines(number + 1);
        wire.leave(way);
    }
    let mut stays = source.start_post("it stays");
    let lines = source.lines(3);
    assert_busy("all of them still wait", &source.post("x"), "Record limit of this source");
    for line in &lines {
        input.write_all(acknowledgement(line).as_bytes()).expect("an open pipe");
    }
    assert_eq!(stays.response().status(), 201);
    let mut next = source.start_post("there is room again");
    input.write_all(acknowledgement(&source.lines(4)[3]).as_bytes()).expect("an open pipe");
    assert_eq!(next.response().status(), 201);
}
