//! Bodies that are long, slow, incomplete, or unwanted.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use http::Response;
use rdv::socket::{Body, CancelReason, Dialect, Error};

use crate::socket::pair::{DIALECTS, echo, get, pair, post, read, serving};
use crate::support::{eventually, pattern};

/// Maximum bytes in flight between both ends before all writes block: two windows, pending output,
/// and the kernel's socket buffers.
const IN_FLIGHT_MAX_BYTES: usize = 16 << 20;

/// A body of the pieces that a test provides, each returned at once.
struct PiecewiseReader(Receiver<io::Result<&'static str>>, &'static [u8]);

impl Read for PiecewiseReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.is_empty() {
            match self.0.recv() {
                Ok(piece) => self.1 = piece?.as_bytes(),
                Err(_) => return Ok(0),
            }
        }
        self.1.read(buffer)
    }
}

fn channel_body() -> (Sender<io::Result<&'static str>>, Body) {
    let (sender, receiver) = channel();
    (sender, Body::from_reader(PiecewiseReader(receiver, b"")))
}

/// Reads exactly this number of bytes as text.
fn next(body: &mut Body, bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    body.read_exact(&mut buffer).expect("the next bytes");
    String::from_utf8(buffer).expect("text")
}

#[test]
fn each_part_of_a_response_is_sent_as_it_is_read() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        let (feed, body) = channel_body();
        let body = std::sync::Mutex::new(Some(body));
        serving(&ends.dialled, move |_| {
            Response::new(body.lock().expect("it").take().expect("one request"))
        });
        feed.send(Ok("data: 1\n\n")).expect("the body is read");
        let mut events = ends.accepted.round_trip(get("/events")).expect("a head").into_body();
        assert_eq!(next(&mut events, 9), "data: 1\n\n", "{dialect:?}");
        feed.send(Ok("data: 2\n\n")).expect("the body is read");
        assert_eq!(next(&mut events, 9), "data: 2\n\n", "{dialect:?}");
        drop(feed);
        assert_eq!(events.into_bytes(1).expect("the end"), b"", "{dialect:?}");
    }
}

#[test]
fn request_and_response_bodies_interleave_in_one_exchange() {
    let ends = pair(Dialect::V1);
    serving(&ends.dialled, |request| Response::new(request.into_body()));
    let (feed, body) = channel_body();
    let mut answer = ends.accepted.round_trip(post("/", body)).expect("a head").into_body();
    for piece in ["one", "two", "six"] {
        feed.send(Ok(piece)).expect("the body is read");
        assert_eq!(next(&mut answer, 3), piece);
    }
    drop(feed);
    assert_eq!(answer.into_bytes(1).expect("the end"), b"");
}

#[test]
fn an_early_response_stops_the_request_body() {
    let ends = pair(Dialect::V1);
    serving(&ends.dialled, |_| Response::new("too large\n".into()));
    let answer = ends.accepted.round_trip(post("/", Body::from_reader(io::repeat(7))));
    assert_eq!(read(answer.expect("an answer")), (200, "too large\n".into()));
    // The same for a body of known length that is not read at all.
    let endless = Body::sized(io::repeat(7), u64::MAX / 2);
    let answer = ends.accepted.round_trip(post("/", endless)).expect("an answer");
    assert_eq!(read(answer), (200, "too large\n".into()));
}

/// An endless body that reports when it is dropped.
struct NotifyOnDrop(Sender<()>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

impl Read for NotifyOnDrop {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(7);
        Ok(buffer.len())
    }
}

#[test]
fn dropping_a_response_drops_the_body_at_the_other_end() {
    let ends = pair(Dialect::V1);
    let (dropped, was_dropped) = channel();
    serving(&ends.dialled, move |_| {
        Response::new(Body::from_reader(NotifyOnDrop(dropped.clone())))
    });
    let mut answer = ends.accepted.round_trip(get("/")).expect("a head").into_body();
    answer.read_exact(&mut [0; 1000]).expect("some of it");
    drop(answer);
    was_dropped.recv().expect("the handler's body is dropped");
    serving(&ends.accepted, echo);
    assert_eq!(read(ends.dialled.round_trip(get("/")).expect("one")).0, 200, "all else goes on");
}

#[test]
fn a_failed_request_body_ends_the_request_at_the_other_end() {
    let ends = pair(Dialect::V1);
    let (sender, receiver) = channel();
    serving(&ends.dialled, move |request| {
        let error = request.into_body().into_bytes(1 << 30).expect_err("it is truncated");
        let _ = sender.send(error.to_string());
        Response::new(Body::empty())
    });
    let (feed, body) = channel_body();
    feed.send(Ok("some")).expect("it is kept");
    feed.send(Err(io::Error::other("the disk failed"))).expect("it is kept");
    let error = ends.accepted.round_trip(post("/", body)).expect_err("it broke");
    assert!(matches!(error, Error::Body(_)), "{error}");
    assert!(error.to_string().contains("the disk failed"), "{error}");
    let there = receiver.recv().expect("the handler's error");
    assert!(there.contains("the disk failed"), "{there}");
}

#[test]
fn an_interrupted_response_never_looks_complete() {
    let ends = pair(Dialect::V1);
    serving(&ends.dialled, |request| {
        let broken = io::Error::other("the disk failed");
        let (feed, body) = channel_body();
        let _ = feed.send(Ok("some"));
        match request.uri().path() {
            "/error" => drop(feed.send(Err(broken))),
            "/short" => return Response::new(Body::sized(&b"four"[..], 5)),
            _ => {
                struct Panics;
                impl Read for Panics {
                    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                        panic!("the test wants it so")
                    }
                }
                return Response::new(Body::from_reader(Panics));
            }
        }
        Response::new(body)
    });
    for (path, why) in [
        ("/error", "the disk failed"),
        ("/short", "it ended 1 bytes before its length"),
        ("/panic", "the handler failed"),
    ] {
        let answer = ends.accepted.round_trip(get(path)).expect("a head");
        let error = answer.into_body().into_bytes(100).expect_err(path);
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let Some(Error::Cancelled(CancelReason::Broke(there))) = inner else {
            panic!("{path}: {error}")
        };
        assert_eq!(there, why, "{path}");
    }
}

/// Counts the bytes read of an endless body.
struct Counting(std::sync::Arc<std::sync::atomic::AtomicUsize>, usize);

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.1);
        buffer[..count].fill(b'x');
        self.1 -= count;
        self.0.fetch_add(count, std::sync::atomic::Ordering::SeqCst);
        Ok(count)
    }
}

#[test]
fn a_slow_reader_blocks_only_its_own_exchange() {
    use std::sync::atomic::Ordering::SeqCst;
    const BYTES: usize = 64 << 20;
    let ends = pair(Dialect::V1);
    let given = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let counted = given.clone();
    serving(&ends.dialled, move |request| match request.uri().path() {
        "/long" => Response::new(Body::from_reader(Counting(counted.clone(), BYTES))),
        _ => echo(request),
    });
    let mut long = ends.accepted.round_trip(get("/long")).expect("a head").into_body();
    // Other responses overtake it while it is not read.
    for _ in 0..20 {
        assert_eq!(read(ends.accepted.round_trip(get("/a")).expect("one")).1, "GET /a ");
    }
    let ahead = given.load(SeqCst);
    assert!(ahead < 1 << 20, "a window, and what is in hand: {ahead} bytes");
    let mut buffer = vec![0; 1 << 20];
    for read in 1..=16 {
        long.read_exact(&mut buffer).expect("more");
        let ahead = given.load(SeqCst) - read * buffer.len();
        assert!(ahead < 1 << 20, "it stays ahead by a window only: {ahead} bytes");
    }
    let rest = io::copy(&mut long, &mut io::sink()).expect("the rest");
    assert_eq!(rest, (BYTES - 16 * buffer.len()) as u64);
}

#[test]
fn long_bodies_pass_unchanged_in_both_directions_at_once() {
    const BYTES: usize = 8 << 20;
    let ends = pair(Dialect::V1);
    serving(&ends.dialled, |request| Response::new(request.into_body()));
    serving(&ends.accepted, |request| Response::new(request.into_body()));
    thread::scope(|scope| {
        for caller in [&ends.dialled, &ends.accepted] {
            scope.spawn(move || {
                let sent = pattern(7, BYTES);
                let answer = caller.round_trip(post("/", sent.clone())).expect("a head");
                let received = answer.into_body().into_bytes(IN_FLIGHT_MAX_BYTES as u64);
                assert!(received.expect("all of it") == sent, "the bytes are the same");
            });
        }
    });
}

#[test]
fn a_long_text_response_reaches_a_slow_reader() {
    const BYTES: usize = 4 << 20;
    let ends = pair(Dialect::Text);
    serving(&ends.dialled, |_| {
        Response::new(Body::from_reader(io::repeat(b'x').take(BYTES as u64)))
    });
    let mut body = ends.accepted.round_trip(get("/")).expect("a head").into_body();
    let mut count = 0;
    let mut buffer = [0; 1000];
    loop {
        match body.read(&mut buffer).expect("more") {
            0 => break,
            read => count += read,
        }
    }
    assert_eq!(count, BYTES);
}

#[test]
fn an_unread_request_body_ends_with_the_response() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        serving(&ends.dialled, |request| match request.uri().path() {
            "/unread" => Response::new("no, thanks".into()),
            _ => echo(request),
        });
        for _ in 0..3 {
            let answer = ends.accepted.round_trip(post("/unread", "x".repeat(1 << 19)));
            assert_eq!(read(answer.expect("an answer")).1, "no, thanks", "{dialect:?}");
        }
        let answer = ends.accepted.round_trip(get("/a")).expect("an answer");
        assert_eq!(read(answer).1, "GET /a ", "{dialect:?}");
        eventually("nothing is left", || ends.dialled.is_open().then_some(()));
    }
}
