//! Shutdown of a source with a spool: kept records are delivered if there is a consumer, else by
//! the next process.

use nix::sys::signal::Signal;

use crate::source::consumer::{Lines, accept};
use crate::source::process::{SourceProcess, text};
use crate::source::spool::{Spool, post_all, strs};

/// More than a socket and the source read ahead.
const MANY: usize = 200;

const LENGTH: usize = 10_000;

fn post_many(source: &SourceProcess) {
    let mut wire = source.connect();
    for number in 0..MANY {
        let body = format!("{number} {:LENGTH$}", "");
        assert_eq!(wire.exchange(&crate::source::process::post(body)).status(), 201);
    }
}

#[test]
fn an_absent_consumer_does_not_delay_the_exit_and_nothing_is_lost() {
    for signal in [Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGINT] {
        let spool = Spool::new();
        let source = spool.start(&["--consumer-timeout", "300ms"]);
        let promised = post_all(&source, &["one", "two"]);
        source.signal(signal);
        let finished = source.finish();
        assert_eq!(finished.status.code(), Some(0), "{signal}: {}", finished.stderr);
        let source = spool.start_to_stdout(&[]);
        let found: Vec<_> =
            source.lines(2).iter().map(|line| crate::source::spool::position_of(line)).collect();
        assert_eq!(found, promised, "{signal}");
        source.end();
    }
}

#[test]
fn a_consumer_that_does_not_read_does_not_block_the_exit() {
    let spool = Spool::new();
    let listener = spool.place().listen();
    let source = spool.start(&["--consumer-timeout", "300ms"]);
    let consumer = accept(&listener);
    post_many(&source);
    source.signal(Signal::SIGTERM);
    assert_eq!(source.finish().status.code(), Some(0));
    drop(consumer);
    let source = spool.start(&[]);
    let mut next = accept(&listener);
    let first = text(&next.line());
    let first: usize = first.trim().parse().expect("its number");
    assert!(first < MANY, "undelivered records are kept");
    for number in first + 1..MANY {
        assert_eq!(text(&next.line()).trim(), format!("{number}"), "and all that follows");
    }
    source.end();
}

#[test]
fn an_immediate_stop_does_not_wait_for_the_consumer() {
    let spool = Spool::new();
    let listener = spool.place().listen();
    let source = spool.start(&["--consumer-timeout", "1h"]);
    let _consumer = accept(&listener);
    post_many(&source);
    source.signal(Signal::SIGINT);
    let finished = source.finish();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
}

#[test]
fn stored_records_are_delivered_before_the_exit() {
    let spool = Spool::new();
    let listener = spool.place().listen();
    let source = spool.start(&[]);
    let mut consumer = accept(&listener);
    post_many(&source);
    source.signal(Signal::SIGTERM);
    source.await_stderr(": draining");
    for number in 0..MANY {
        assert_eq!(text(&consumer.line()).trim(), format!("{number}"));
    }
    assert_eq!(consumer.lines().next(), None);
    let finished = source.finish();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let source = spool.start_to_stdout(&[]);
    source.post("next");
    assert_eq!(text(&source.lines(1)[0]), "next", "nothing comes twice");
    source.end();
}

#[test]
fn a_closed_standard_output_ends_the_source_and_keeps_the_rest() {
    let spool = Spool::new();
    let (source, reader) = SourceProcess::piped(&strs(&spool.flags(&["--consumer-timeout", "2s"])));
    source.post("taken");
    let mut reader = Lines::of(reader);
    assert_eq!(text(&reader.line()), "taken");
    drop(reader);
    source.await_stderr("the consumer disconnected");
    post_all(&source, &["one", "two"]);
    let finished = source.finish();
    assert_eq!(finished.status.code(), Some(4), "{}", finished.stderr);
    let last = finished.stderr.lines().last();
    assert_eq!(last, Some("rdv: the consumer disconnected"));
    let source = spool.start_to_stdout(&[]);
    let bodies: Vec<_> = source.lines(2).iter().map(|line| text(line)).collect();
    assert_eq!(bodies, ["one", "two"]);
    source.end();
}

#[test]
fn senders_are_answered_503_when_the_acknowledgement_input_ends() {
    let spool = Spool::new();
    let flags = spool.flags(&["--consumer-timeout", "1s"]);
    let (source, input) = SourceProcess::with_ack_input(&strs(&flags));
    let mut wire = source.start_post("x");
    source.lines(1);
    drop(input);
    assert_eq!(wire.response().status(), 503);
    drop(wire);
    let finished = source.finish();
    assert_eq!(finished.status.code(), Some(4), "{}", finished.stderr);
    let source = spool.start_to_stdout(&[]);
    assert_eq!(text(&source.lines(1)[0]), "x");
    source.end();
}
