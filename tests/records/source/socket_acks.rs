//! Acknowledgements over the socket of the records: records not acknowledged by one consumer are
//! sent to the next.

use crate::source::consumer::{Place, accept, acknowledgement};
use crate::source::process::{SourceProcess, assert_busy, position, record, text};
use crate::support::{ADMIN, DISCONNECTS};

#[test]
fn an_acknowledged_record_is_confirmed_to_its_sender() {
    let place = Place::new();
    let listener = place.listen();
    let source = SourceProcess::start(&["--ack", "--output", &place.socket()]);
    let mut consumer = accept(&listener);
    let mut wires = [source.start_post("one"), source.start_post("two")];
    let lines = [consumer.line(), consumer.line()];
    for wire in &mut wires {
        wire.assert_silent();
    }
    consumer.send_text(&format!(
        "nonsense\n{}{}",
        acknowledgement(&lines[1]),
        acknowledgement(&lines[0])
    ));
    let mut promised: Vec<_> =
        wires.iter_mut().map(|wire| position(&wire.response()).into_bytes()).collect();
    promised.sort();
    assert_eq!(promised, lines.map(|line| record(&line).position));
    source.await_stderr("no acknowledgement: nonsense");
}

#[test]
fn unacknowledged_records_are_redelivered_to_the_next_consumer() {
    let place = Place::new();
    let listener = place.listen();
    let source = SourceProcess::start(&["--ack", "--output", &place.socket()]);
    let mut first = accept(&listener);
    let mut wires = Vec::new();
    let mut lines = Vec::new();
    for body in ["one", "two", "three"] {
        wires.push(source.start_post(body));
        lines.push(first.line());
    }
    first.acknowledge(&lines[1]);
    assert_eq!(wires[1].response().status(), 201);
    drop(first);
    let mut second = accept(&listener);
    assert_eq!([second.line(), second.line()], [lines[0].clone(), lines[2].clone()]);
    wires[0].assert_silent();
    for number in [0, 2] {
        second.acknowledge(&lines[number]);
        assert_eq!(wires[number].response().status(), 201);
    }
    source.end();
    assert_eq!(second.lines().next(), None, "and nothing more");
}

#[test]
fn acknowledged_records_are_not_redelivered_after_a_disconnect() {
    for next_sender in [false, true] {
        let place = Place::new();
        let listener = place.listen();
        let source =
            SourceProcess::start(&[&ADMIN[..], &["--ack", "--output", &place.socket()]].concat());
        let mut first = accept(&listener);
        let mut wires: Vec<_> =
            (0..600).map(|number| source.start_post(format!("{number}"))).collect();
        let acks: String = (0..600).map(|_| acknowledgement(&first.line())).collect();
        let mut last = None;
        crate::source::stdin_acks::while_stopped(&source, || {
            first.send_text(&acks);
            drop(first);
            last = next_sender.then(|| source.start_post("next"));
        });
        for wire in &mut wires {
            assert_eq!(wire.response().status(), 201);
        }
        let mut second = accept(&listener);
        let mut last = last.unwrap_or_else(|| source.start_post("next"));
        let line = second.line();
        assert_eq!(text(&line), "next", "nothing comes twice");
        second.acknowledge(&line);
        assert_eq!(last.response().status(), 201);
    }
}

#[test]
fn the_record_of_a_disconnected_sender_is_still_delivered_once() {
    for way in DISCONNECTS {
        let place = Place::new();
        let listener = place.listen();
        let source = SourceProcess::start(&["--ack", "--output", &place.socket()]);
        let mut first = accept(&listener);
        let wire = source.start_post("x");
        let line = first.line();
        wire.leave(way);
        drop(first);
        let mut second = accept(&listener);
        assert_eq!(second.line(), line, "{way:?}");
        second.acknowledge(&line);
        let mut wire = source.start_post("next");
        let line = second.line();
        assert_eq!(text(&line), "next", "{way:?}");
        second.acknowledge(&line);
        assert_eq!(wire.response().status(), 201, "{way:?}");
    }
}

#[test]
fn a_large_record_is_redelivered() {
    let place = Place::new();
    let listener = place.listen();
    let flags = ["--ack", "--memory-body", "64KiB", "--output", &place.socket()];
    let source = SourceProcess::start(&flags);
    let body = "x".repeat(3 << 20);
    let mut wire = source.start_post(&body);
    let line = accept(&listener).line();
    assert!(text(&line) == body);
    let mut second = accept(&listener);
    assert!(second.line() == line, "the same line");
    second.acknowledge(&line);
    assert_eq!(wire.response().status(), 201);
}

#[test]
fn a_slow_consumer_times_out_and_may_continue_later() {
    let place = Place::new();
    let listener = place.listen();
    let source =
        SourceProcess::start(&["--ack", "--ack-timeout", "3s", "--output", &place.socket()]);
    let mut consumer = accept(&listener);
    assert_busy("slow", &source.post("x"), "did not accept this record in time");
    let late = consumer.line();
    consumer.acknowledge(&late);
    let mut wire = source.start_post("y");
    let line = consumer.line();
    consumer.acknowledge(&line);
    assert_eq!(wire.response().status(), 201);
}
