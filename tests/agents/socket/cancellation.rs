//! A handler is notified when its response is no longer needed.

use std::io::Read as _;
use std::sync::mpsc;
use std::time::Duration;

use http::Response;
use rdv::socket::{Body, Cancellation, Dialect};

use crate::socket::pair::{DIALECTS, get, pair, serving};
use crate::support::TEST_TIMEOUT;

/// A body that never produces bytes; the other end of the pipe is notified when it is dropped.
fn endless() -> (std::io::PipeWriter, Body) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut writer, b"x").expect("room");
    (writer, Body::from_reader(reader))
}

#[test]
fn a_request_is_cancelled_at_once_even_if_its_response_is_silent() {
    let ends = pair(Dialect::V1);
    let (sender, receiver) = mpsc::channel();
    serving(&ends.dialled, move |request| {
        let cancellation = request.extensions().get::<Cancellation>().expect("one").clone();
        assert!(!cancellation.is_cancelled());
        let (writer, body) = endless();
        let sender = sender.clone();
        std::thread::spawn(move || {
            let cancelled = cancellation.wait(TEST_TIMEOUT);
            // The body ends when this is dropped.
            drop(writer);
            sender.send(cancelled)
        });
        Response::new(body)
    });
    let mut body = ends.accepted.round_trip(get("/")).expect("an answer").into_body();
    body.read_exact(&mut [0]).expect("the first byte");
    drop(body);
    assert_eq!(receiver.recv_timeout(TEST_TIMEOUT), Ok(true));
}

#[test]
fn closing_the_connection_cancels_requests_in_flight() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        let (sender, receiver) = mpsc::channel();
        let (serve, served) = mpsc::channel();
        let caller = ends.accepted.clone();
        serving(&ends.dialled, move |request| {
            let cancellation = request.extensions().get::<Cancellation>().expect("one");
            let sender = sender.clone();
            let _telling =
                cancellation.on_cancel(move || sender.send("cancelled").expect("it is awaited"));
            serve.send(()).expect("the handler waits");
            assert!(cancellation.wait(TEST_TIMEOUT), "{dialect:?}");
            Response::default()
        });
        let thread = std::thread::spawn(move || caller.round_trip(get("/")));
        served.recv_timeout(TEST_TIMEOUT).expect("it is served");
        ends.accepted.close();
        assert_eq!(receiver.recv_timeout(TEST_TIMEOUT), Ok("cancelled"), "{dialect:?}");
        assert!(thread.join().expect("no panic").is_err(), "{dialect:?}");
    }
}

#[test]
fn an_answered_request_is_not_cancelled() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        let (sender, receiver) = mpsc::channel();
        serving(&ends.dialled, move |request| {
            sender.send(request.extensions().get::<Cancellation>().cloned()).expect("a test");
            Response::new(Body::from("all"))
        });
        let answer = ends.accepted.round_trip(get("/")).expect("an answer");
        assert_eq!(answer.into_body().into_bytes(9).expect("all of it"), b"all");
        let cancellation =
            receiver.recv_timeout(TEST_TIMEOUT).expect("a cancellation").expect("one");
        assert!(!cancellation.wait(Duration::ZERO), "{dialect:?}");
    }
}
