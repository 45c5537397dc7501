//! Bodies that do not become records: too long, truncated, badly framed, or stalled.

use crate::source::process::{SourceProcess, post, text};
use crate::support::{DISCONNECTS, Response, ask, assert_error};
use std::thread;
use std::time::Duration;

#[test]
fn a_body_too_long_is_refused_by_its_length_or_while_read() {
    let source = SourceProcess::start(&["--max-body", "10"]);
    let complete = ask("POST", "/").chunked().raw_body(b"a\r\n0123456789\r\n0\r\n\r\n");
    assert_eq!(source.exchange(&complete).status(), 201, "as long as may be");
    assert_eq!(source.post("0123456789").status(), 201, "as long as may be");
    for (name, request) in [
        ("by length", post("0123456789a")),
        ("by a length far off", ask("POST", "/").length(usize::MAX / 2)),
        ("by one chunk", ask("POST", "/").chunked().raw_body(b"b\r\n0123456789a\r\n0\r\n\r\n")),
        ("by all chunks", ask("POST", "/").chunked().raw_body(b"9\r\n012345678\r\n2\r\nab\r\n")),
    ] {
        let answer = source.exchange(&request);
        assert_error(name, &answer, (413, "ContentTooLargeError", None));
    }
    assert_eq!(source.end().stdout.lines().count(), 2);
}

#[test]
fn an_interrupted_body_is_answered_and_logged() {
    let source = SourceProcess::start(&[]);
    for (name, request) in [
        ("by length", ask("POST", "/").length(10).raw_body(b"12345")),
        ("in a chunk", ask("POST", "/").chunked().raw_body(b"5\r\n123")),
        ("between chunks", ask("POST", "/").chunked().raw_body(b"5\r\n12345\r\n")),
        ("before any byte", ask("POST", "/").length(10)),
    ] {
        let mut wire = source.connect();
        wire.ask(&request);
        wire.finish_sending();
        assert_eq!(wire.response().status(), 400, "{name}");
        wire.expect_end();
    }
    let finished = source.end();
    assert_eq!(finished.stdout, "", "nothing is handed over");
    assert_eq!(finished.stderr.matches("read body: ").count(), 4, "{}", finished.stderr);
}

#[test]
fn senders_that_disconnect_during_their_body_leave_nothing() {
    for way in DISCONNECTS {
        let source = SourceProcess::start(&[]);
        let mut wire = source.connect();
        wire.ask(&ask("POST", "/").length(10).field("Expect", "100-continue"));
        wire.expect_continue();
        wire.send("12345");
        wire.leave(way);
        source.await_stderr("read body: ");
        assert_eq!(source.post("next").status(), 201, "{way:?}");
        let lines: Vec<_> = source.end().stdout.lines().map(text).collect();
        assert_eq!(lines, ["next"], "{way:?}");
    }
}

#[test]
fn invalid_chunks_are_refused() {
    let source = SourceProcess::start(&[]);
    let rows: [(&str, &[u8]); 5] = [
        ("no size", b"\r\n"),
        ("no hexadecimal size", b"5x\r\n12345\r\n"),
        ("a chunk longer than its size", b"2\r\n123\r\n0\r\n\r\n"),
        ("a bare line feed", b"1\nx\n0\n\n"),
        ("a size beyond 64 bits", b"11111111111111111\r\n"),
    ];
    for (name, chunks) in rows {
        let mut wire = source.connect();
        wire.ask(&ask("POST", "/").chunked().raw_body(chunks));
        assert_error(name, &wire.response(), (400, "BadRequestError", None));
        wire.expect_end();
    }
    let finished = source.end();
    assert_eq!(finished.stdout, "", "nothing is handed over");
    assert_eq!(finished.stderr.matches("read body: ").count(), 5, "{}", finished.stderr);
}

#[test]
fn stalled_requests_time_out() {
    let source = SourceProcess::start(&["--header-timeout", "300ms"]);
    for (name, request) in [
        ("in its head", b"POST / HTTP/1.1\r\nHost: h\r\n".to_vec()),
        ("before its body", ask("POST", "/").length(3).bytes()),
        ("in its body", ask("POST", "/").length(3).raw_body(b"12").bytes()),
        ("in a chunk", ask("POST", "/").chunked().raw_body(b"3\r\n12").bytes()),
    ] {
        let mut wire = source.connect();
        wire.send(request);
        let answer = wire.response();
        assert_error(name, &answer, (408, "RequestTimeoutError", None));
        wire.expect_end();
    }
    assert_eq!(source.end().stdout, "");
}

/// The outcome of a body sent in pieces of this size, with a `pause` after each.
fn sent_in_pieces(source: &SourceProcess, piece: usize, count: usize, pause: Duration) -> Response {
    let mut wire = source.connect();
    wire.ask(&ask("POST", "/").length(piece * count));
    for _ in 0..count {
        thread::sleep(pause);
        // The response can already be there.
        let _ = wire.try_send(vec![b'x'; piece]);
    }
    wire.response()
}

#[test]
fn a_body_below_the_minimum_rate_times_out_and_a_slow_one_does_not() {
    let source = SourceProcess::start(&["--header-timeout", "1s"]);
    let pause = Duration::from_millis(100);
    let dripped = sent_in_pieces(&source, 1, 20, pause);
    assert_error("one byte at a time", &dripped, (408, "RequestTimeoutError", None));
    let slow = sent_in_pieces(&source, 1000, 20, pause);
    assert_eq!(slow.status(), 201, "faster than the least rate, and longer than the timeout");
    assert_eq!(source.end().stdout.lines().count(), 1);
}
