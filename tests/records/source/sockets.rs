//! Records over a Unix socket on which the consumer listens, without acknowledgements.

use crate::source::consumer::{Lines, Place, accept};
use crate::source::process::{SourceProcess, assert_busy, text};
use crate::support::{ADMIN, close, eventually};

#[test]
fn a_consumer_may_connect_late_and_reconnect() {
    let place = Place::new();
    let source = SourceProcess::start(&[&ADMIN[..], &["--output", &place.socket()]].concat());
    let mut early = source.start_post("early");
    source.await_waiting(1);
    early.assert_silent();
    let listener = place.listen();
    let mut consumer = accept(&listener);
    assert_eq!(text(&consumer.line()), "early");
    assert_eq!(early.response().status(), 201);
    close(listener);
    drop(consumer);
    source.await_stderr("the consumer disconnected");
    let mut between = source.start_post("between");
    source.await_waiting(1);
    let listener = place.listen();
    assert_eq!(text(&accept(&listener).line()), "between");
    assert_eq!(between.response().status(), 201);
}

#[test]
fn an_existing_socket_needs_no_prefix() {
    let place = Place::new();
    let listener = place.listen();
    let source = SourceProcess::start(&["--output", &place.output()]);
    let mut consumer = accept(&listener);
    assert_eq!(source.post("x").status(), 201);
    assert_eq!(text(&consumer.line()), "x");
}

#[test]
fn without_a_consumer_senders_are_answered_503() {
    let place = Place::new();
    let source =
        SourceProcess::start(&["--output", &place.socket(), "--consumer-timeout", "300ms"]);
    assert_busy("the first one", &source.post("x"), "No consumer is connected");
    assert_busy("the next one, at once", &source.post("y"), "No consumer is connected");
    let listener = place.listen();
    let mut consumer = accept(&listener);
    eventually("records are taken again", || (source.post("z").status() == 201).then_some(()));
    assert_eq!(text(&consumer.line()), "z", "nothing that was refused");
    source.end();
}

#[test]
fn a_partly_delivered_record_is_redelivered_completely() {
    let place = Place::new();
    let listener = place.listen();
    let source = SourceProcess::start(&["--output", &place.socket()]);
    let consumer = accept(&listener);
    let body = "x".repeat(4 << 20);
    let mut wire = source.start_post(&body);
    let half = Lines::stalled_within_line(consumer.into_socket());
    wire.assert_silent();
    drop(half);
    let mut consumer = accept(&listener);
    assert!(text(&consumer.line()) == body);
    assert_eq!(wire.response().status(), 201);
    source.end();
    assert_eq!(consumer.lines().next(), None, "it is delivered once");
}
