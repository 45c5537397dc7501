//! A spool with acknowledgements: a sender gets 201 only when its record is on disk and
//! acknowledged; unacknowledged records are sent again, to the next consumer or by the next
//! process.

use crate::source::consumer::{accept, acknowledgement};
use crate::source::process::{SourceProcess, assert_busy, position, text};
use crate::source::spool::{Spool, kill, position_of, post_all};
use crate::support::{Wire, eventually};

/// Waiting senders, each with the line of its record.
fn posted(spool: &Spool, source: &SourceProcess, count: usize) -> Vec<(Wire, String)> {
    let begin = |number: usize| {
        let wire = source.start_post(format!("{number}"));
        let line = crate::support::eventually("it is kept", || {
            let mut lines = spool.lines();
            (lines.len() > number).then(|| lines.remove(number))
        });
        (wire, line)
    };
    (0..count).map(begin).collect()
}

#[test]
fn only_an_acknowledged_record_is_confirmed_in_any_order() {
    let spool = Spool::new();
    let listener = spool.place().listen();
    let source = spool.start(&["--ack"]);
    let mut consumer = accept(&listener);
    let mut wires: Vec<_> =
        (0..5).map(|number| (source.start_post(format!("{number}")), consumer.line())).collect();
    for number in [3, 0, 4, 1] {
        wires.iter_mut().skip(2).take(1).for_each(|(wire, _)| wire.assert_silent());
        let (wire, line) = &mut wires[number];
        wire.assert_silent();
        consumer.acknowledge(line);
        assert_eq!(position(&wire.response()), position_of(line));
    }
    spool.await_delivered(&position_of(&wires[1].1));
    wires[2].0.assert_silent();
    kill(source);
    let _source = spool.start(&["--ack"]);
    let mut consumer = accept(&listener);
    for (_, line) in &wires[2..] {
        assert_eq!(&consumer.line(), line, "what has a gap before it comes again, too");
    }
}

#[test]
fn acknowledgements_are_read_from_standard_input() {
    let spool = Spool::new();
    let flags = spool.flags(&[]);
    let (source, mut input) = SourceProcess::with_ack_input(&crate::source::spool::strs(&flags));
    let mut wire = source.start_post("x");
    let line = source.lines(1).remove(0);
    wire.assert_silent();
    std::io::Write::write_all(&mut input, acknowledgement(&line).as_bytes()).expect("an open pipe");
    assert_eq!(position(&wire.response()), position_of(&line));
    source.end();
}

#[test]
fn without_ack_records_sent_before_a_disconnect_count_as_delivered() {
    let spool = Spool::new();
    let listener = spool.place().listen();
    let source = spool.start(&[]);
    let first = accept(&listener);
    let promised = post_all(&source, &["taken", "never read"]);
    spool.await_delivered(&promised[1]);
    drop(first);
    source.await_stderr("the consumer disconnected");
    source.post("next");
    assert_eq!(text(&accept(&listener).line()), "next");
    source.end();
}

#[test]
fn unacknowledged_records_are_redelivered_to_the_next_consumer() {
    let spool = Spool::new();
    let listener = spool.place().listen();
    let source = spool.start(&["--ack"]);
    let mut first = accept(&listener);
    let mut wires = posted(&spool, &source, 3);
    for (_, line) in &wires {
        assert_eq!(&first.line(), line);
    }
    first.acknowledge(&wires[1].1);
    assert_eq!(wires[1].0.response().status(), 201);
    drop(first);
    let mut second = accept(&listener);
    for number in [0, 2] {
        let (wire, line) = &mut wires[number];
        assert_eq!(&second.line(), line);
        wire.assert_silent();
        second.acknowledge(line);
        assert_eq!(wire.response().status(), 201);
    }
    source.end();
    assert_eq!(second.lines().next(), None, "and nothing more");
}

#[test]
fn a_record_whose_sender_timed_out_is_still_delivered() {
    let spool = Spool::new();
    let listener = spool.place().listen();
    let source = spool.start(&["--ack", "--ack-timeout", "3s"]);
    let mut first = accept(&listener);
    assert_busy("no acknowledgement", &source.post("x"), "did not accept this record in time");
    let line = first.line();
    drop(first);
    let mut second = accept(&listener);
    assert_eq!(second.line(), line, "it is kept for the next one");
    second.acknowledge(&line);
    spool.await_delivered(&position_of(&line));
    let mut wire = source.start_post("y");
    let line = second.line();
    second.acknowledge(&line);
    assert_eq!(position(&wire.response()), position_of(&line), "it goes on");
    source.end();
}

#[test]
fn without_a_consumer_the_sender_times_out_and_the_record_is_kept() {
    let spool = Spool::new();
    let source = spool.start(&["--ack", "--ack-timeout", "300ms"]);
    assert_busy("no consumer", &source.post("x"), "did not accept this record in time");
    let listener = spool.place().listen();
    let mut consumer = accept(&listener);
    let line = consumer.line();
    assert_eq!(text(&line), "x");
    consumer.acknowledge(&line);
    source.end();
}

#[test]
fn unacknowledged_records_are_redelivered_by_the_next_process() {
    let spool = Spool::new();
    let listener = spool.place().listen();
    let source = spool.start(&["--ack"]);
    let mut consumer = accept(&listener);
    let mut wires = posted(&spool, &source, 3);
    for (_, line) in &wires {
        assert_eq!(&consumer.line(), line);
    }
    consumer.acknowledge(&wires[0].1);
    assert_eq!(wires[0].0.response().status(), 201);
    spool.await_delivered(&position_of(&wires[0].1));
    kill(source);
    let source = spool.start(&["--ack"]);
    let mut next = accept(&listener);
    for (_, line) in &wires[1..] {
        assert_eq!(&next.line(), line);
        next.acknowledge(line);
    }
    let mut wire = source.start_post("new");
    let line = next.line();
    assert_eq!(text(&line), "new");
    wire.assert_silent();
    next.acknowledge(&line);
    assert_eq!(wire.response().status(), 201);
    spool.await_delivered(&position_of(&line));
    source.end();
}

#[test]
fn an_immediate_stop_refuses_waiting_senders_and_keeps_their_records() {
    let spool = Spool::new();
    let source = spool.start(&["--ack", "--consumer-timeout", "1s"]);
    let mut wire = source.start_post("x");
    // Earlier it would be refused without being kept.
    eventually("the record is kept", || (spool.lines().len() == 1).then_some(()));
    source.signal(nix::sys::signal::Signal::SIGINT);
    assert_busy("interrupted", &wire.response(), "shutting down");
    drop(wire);
    assert_eq!(source.finish().status.code(), Some(0));
    let source = spool.start_to_stdout(&[]);
    assert_eq!(text(&source.lines(1)[0]), "x");
    source.end();
}
