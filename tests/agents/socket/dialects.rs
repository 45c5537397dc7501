//! Requests from either end, in either dialect.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use http::{Request, Response};
use rdv::socket::{Body, Dialect, Error};

use crate::socket::pair::{DIALECTS, echo, get, pair, post, read, serving};

#[test]
fn both_ends_send_requests_and_responses() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        serving(&ends.dialled, echo);
        serving(&ends.accepted, echo);
        for (name, caller) in [("dialled", &ends.dialled), ("accepted", &ends.accepted)] {
            let answer = caller.round_trip(get("/a?b=1")).expect(name);
            assert_eq!(read(answer), (200, "GET /a?b=1 ".into()), "{name}, {dialect:?}");
            let answer = caller.round_trip(post("/c", "hällo")).expect(name);
            assert_eq!(read(answer), (200, "POST /c hällo".into()), "{name}, {dialect:?}");
            let unsized_body = Body::from_reader("in parts".as_bytes());
            let answer = caller.round_trip(post("/d", unsized_body)).expect(name);
            assert_eq!(read(answer), (200, "POST /d in parts".into()), "{name}, {dialect:?}");
        }
    }
}

#[test]
fn a_hundred_concurrent_requests_get_their_own_responses() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, peak) = (Arc::clone(&at_once), Arc::clone(&most));
        // In the text dialect each request waits for the previous response.
        let expected = if dialect == Dialect::V1 { 100 } else { 1 };
        let all_there = Arc::new(std::sync::Barrier::new(expected));
        serving(&ends.dialled, move |request| {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            all_there.wait();
            now.fetch_sub(1, Ordering::SeqCst);
            echo(request)
        });
        thread::scope(|scope| {
            for number in 0..100 {
                let caller = ends.accepted.clone();
                scope.spawn(move || {
                    let path = format!("/{number}");
                    let answer = caller.round_trip(get(&path)).expect("an answer");
                    assert_eq!(read(answer), (200, format!("GET {path} ")), "{dialect:?}");
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), expected, "{dialect:?}");
    }
}

#[test]
fn the_status_and_fields_of_a_response_arrive() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        serving(&ends.dialled, |request| {
            let id = request.headers()["X-Correlation-Id"].clone();
            let status: u16 =
                request.uri().path().trim_start_matches('/').parse().expect("a status");
            let builder = Response::builder().status(status).header("Connection", "close");
            let builder = builder.header("Seen", id).header("A", "1").header("A", "2");
            builder.body(if status == 204 { Body::empty() } else { "text".into() }).expect("one")
        });
        for (name, method, path, status, length, body) in [
            ("a plain answer", "GET", "/200", 200, Some("4"), "text"),
            ("an error", "PUT", "/503", 503, Some("4"), "text"),
            ("no content", "GET", "/204", 204, None, ""),
            ("a head", "HEAD", "/200", 200, Some("4"), ""),
            ("a method of one's own", "BREW", "/418", 418, Some("4"), "text"),
        ] {
            let request =
                Request::builder().method(method).uri(path).header("X-Correlation-Id", "c7");
            let request = request.body(()).expect("a request");
            let answer = ends.accepted.round_trip(request).expect(name);
            let fields = answer.headers();
            let of = |field| fields.get(field).and_then(|value| value.to_str().ok());
            assert_eq!(of("Content-Length"), length, "{name}, {dialect:?}");
            assert_eq!((of("Seen"), of("Connection")), (Some("c7"), None), "{name}, {dialect:?}");
            assert_eq!(fields.get_all("A").iter().count(), 2, "{name}, {dialect:?}");
            assert_eq!(read(answer), (status, body.into()), "{name}, {dialect:?}");
        }
    }
}

#[test]
fn a_panicking_handler_answers_500_and_the_connection_stays_open() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        serving(&ends.dialled, |request| {
            assert_ne!(request.uri().path(), "/panic", "the test wants it so");
            echo(request)
        });
        let answer = ends.accepted.round_trip(post("/panic", "x".repeat(1000))).expect("an answer");
        assert_eq!(read(answer), (500, "the handler failed\n".into()), "{dialect:?}");
        let answer = ends.accepted.round_trip(get("/b")).expect("an answer");
        assert_eq!(read(answer), (200, "GET /b ".into()), "{dialect:?}");
    }
}

#[test]
fn the_text_dialect_refuses_bytes_and_long_bodies() {
    let ends = pair(Dialect::Text);
    serving(&ends.dialled, |request| match request.uri().path() {
        "/bytes" => Response::new(Body::from(vec![0xff; 10])),
        _ => echo(request),
    });
    let caller = &ends.accepted;
    let no_text = caller.round_trip(post("/", vec![0xff, 0xfe])).expect_err("not text");
    assert!(matches!(no_text, Error::NotText), "{no_text}");
    let long = caller.round_trip(post("/", "a".repeat(2 << 20))).expect_err("it is too long");
    assert!(matches!(long, Error::TooLarge), "{long}");
    let answer = caller.round_trip(get("/bytes")).expect("an answer");
    assert_eq!(answer.status(), 502, "bytes that are not text cannot be sent");
    let answer = caller.round_trip(get("/still")).expect("an answer");
    assert_eq!(read(answer), (200, "GET /still ".into()));
}

#[test]
fn a_character_split_between_two_reads_arrives_intact() {
    let ends = pair(Dialect::Text);
    serving(&ends.dialled, |_| {
        let (first, second) = "a😀b".as_bytes().split_at(3);
        Response::new(Body::from_reader(first.chain(second)))
    });
    let answer = ends.accepted.round_trip(get("/")).expect("an answer");
    assert_eq!(read(answer), (200, "a😀b".into()));
}

#[test]
fn a_content_length_without_a_body_is_forwarded() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        serving(&ends.dialled, |request| {
            let (status, length) = match request.uri().path() {
                "/none" => (204, Some("7")),
                "/unchanged" => (304, Some("7")),
                "/unknown" => (304, None),
                "/empty" => (200, Some("0")),
                _ => (200, Some("7")),
            };
            let mut builder = Response::builder().status(status);
            if let Some(length) = length {
                builder = builder.header("Content-Length", length);
            }
            builder.body(Body::empty()).expect("a response")
        });
        for (method, path, status, length) in [
            ("GET", "/none", 204, None),
            ("GET", "/unchanged", 304, Some("7")),
            ("GET", "/unknown", 304, None),
            ("HEAD", "/unchanged", 304, Some("7")),
            ("HEAD", "/", 200, Some("7")),
            ("HEAD", "/empty", 200, Some("0")),
        ] {
            let request = Request::builder().method(method).uri(path).body(());
            let answer = ends.accepted.round_trip(request.expect("a request")).expect(path);
            let told = answer.headers().get("content-length").cloned();
            let told = told.as_ref().map(|value| value.to_str().expect("ASCII"));
            assert_eq!(told, length, "{method} {path}, {dialect:?}");
            assert_eq!(read(answer), (status, String::new()), "{method} {path}, {dialect:?}");
        }
    }
}
