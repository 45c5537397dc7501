//! HTTP semantics: accepted requests, the order of responses, and refusals before the body is read.

use crate::source::process::{SourceProcess, body, position, post, text};
use crate::support::{Ask, Ending, Response, ask, assert_error};

#[test]
fn another_method_is_a_405_with_allow() {
    let source = SourceProcess::start(&[]);
    let mut wire = source.connect();
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "post"] {
        let answer = wire.exchange(&ask(method, "/"));
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.head.list("Allow"), ["POST", "OPTIONS"], "{method}");
    }
    let answer = wire.exchange(&ask("OPTIONS", "/"));
    assert_eq!((answer.status(), answer.head.list("Allow").len()), (204, 2));
    assert_eq!(source.end().stdout, "", "none of them is a record");
}

#[test]
fn with_compat_another_method_is_not_found() {
    let source = SourceProcess::start(&["--compat"]);
    let mut wire = source.connect();
    for method in ["GET", "PUT", "OPTIONS"] {
        let answer = wire.exchange(&ask(method, "/"));
        assert_error(method, &answer, (404, "BadRouteError", None));
        assert_eq!(answer.head.list("Allow"), [""; 0], "{method}");
    }
    assert_eq!(wire.exchange(&post("x")).status(), 201);
}

#[test]
fn only_configured_paths_are_found() {
    let source = SourceProcess::start(&["--path", "/a", "--path", "/b/c"]);
    let mut wire = source.connect();
    for (target, status) in [
        ("/a", 201),
        ("/a?b", 201),
        ("/b/c", 201),
        ("/", 404),
        ("/a/", 404),
        ("/b", 404),
        ("/%61", 404),
        ("/stream", 404),
    ] {
        assert_eq!(wire.exchange(&ask("POST", target).body("x")).status(), status, "{target}");
    }
    assert_eq!(wire.exchange(&ask("GET", "/")).status(), 404);
    assert_eq!(wire.exchange(&ask("GET", "/a")).status(), 405);
    source.lines(3);
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let source = SourceProcess::start(&[]);
    let mut wire = source.connect();
    let chunked = ask("POST", "/").chunked().raw_body(b"3\r\ntwo\r\n0\r\n\r\n");
    let requests = [post("one"), chunked, ask("GET", "/"), post(""), post("five").closing()];
    wire.send(requests.iter().flat_map(Ask::bytes).collect::<Vec<u8>>());
    let answers: Vec<_> = requests.iter().map(|_| wire.response()).collect();
    let statuses: Vec<_> = answers.iter().map(Response::status).collect();
    assert_eq!(statuses, [201, 201, 405, 201, 201]);
    assert!(answers[4].head.closes());
    wire.expect_end();
    let lines = source.lines(4);
    let bodies: Vec<_> = lines.iter().map(|line| text(line)).collect();
    assert_eq!(bodies, ["one", "two", "", "five"]);
    let records = source.records(4);
    for (record, answer) in records.iter().zip([0, 1, 3, 4]) {
        assert_eq!(record.position, position(&answers[answer]).as_bytes());
    }
}

#[test]
fn a_body_may_arrive_byte_by_byte() {
    let source = SourceProcess::start(&[]);
    let mut wire = source.connect();
    let request = ask("POST", "/").chunked().raw_body(b"4;x=y\r\nab\r\n\r\n00\r\nA: b\r\n\r\n");
    for byte in request.bytes() {
        wire.send([byte]);
    }
    assert_eq!(wire.response().status(), 201);
    assert_eq!(body(&source.records(1)[0]), b"ab\r\n");
}

#[test]
fn expect_100_continue_is_answered() {
    let source = SourceProcess::start(&[]);
    let mut wire = source.connect();
    wire.ask(&ask("POST", "/").length(2).field("Expect", "100-continue"));
    wire.expect_continue();
    wire.send("hi");
    assert_eq!(wire.response().status(), 201);
    wire.ask(&post("").field("Expect", "100-continue"));
    assert_eq!(wire.response().status(), 201, "an empty body is complete");
    let answer = wire.exchange(&ask("POST", "/").length(2).field("Expect", "a-miracle"));
    assert_error("unknown", &answer, (417, "ExpectationFailedError", None));
    source.lines(2);
}

#[test]
fn expect_100_continue_is_refused_before_the_body() {
    let source =
        SourceProcess::start(&["--max-body", "10", "--path", "/a", "--auth-token", "secret"]);
    let expecting =
        |target, length| ask("POST", target).length(length).field("Expect", "100-continue");
    let known = |length| expecting("/a", length).field("Authorization", "Bearer secret");
    for (name, request, status) in [
        ("a path that is not there", expecting("/b", 2), 404),
        ("no token", expecting("/a", 2), 401),
        ("a body too long", known(11), 413),
    ] {
        assert_eq!(source.exchange(&request).status(), status, "{name}");
    }
}

#[test]
fn http_1_0_is_served() {
    let source = SourceProcess::start(&[]);
    let mut wire = source.connect();
    let answer = wire.exchange(&ask("POST", "/").http10().body("old"));
    assert_eq!((answer.status(), answer.ending), (201, Ending::Complete));
    wire.expect_end();
    assert_eq!(text(&source.lines(1)[0]), "old");
}

#[test]
fn invalid_heads_are_refused_and_nothing_is_delivered() {
    let source = SourceProcess::start(&[]);
    let long = "x".repeat(20_000);
    for (name, request, status) in [
        ("a long head", ask("POST", "/").field("X-Long", &long).body("x"), 431),
        ("a long target", ask("POST", &format!("/{long}")).body("x"), 414),
        ("two lengths", ask("POST", "/").length(1).length(2).raw_body(b"xy"), 400),
        (
            "both framings",
            ask("POST", "/").length(1).chunked().raw_body(b"1\r\nx\r\n0\r\n\r\n"),
            400,
        ),
        ("no host", ask("POST", "/").field("Host", "another").body("x"), 400),
        ("another coding", ask("POST", "/").field("Transfer-Encoding", "gzip, chunked"), 501),
    ] {
        let answer = source.exchange(&request);
        assert_eq!(answer.status(), status, "{name}: {}", answer.text());
        assert!(answer.head.closes(), "{name}");
    }
    assert_eq!(source.end().stdout, "");
}

#[test]
fn a_hundred_concurrent_senders_have_a_record_each() {
    let source = SourceProcess::start(&[]);
    let mut wires: Vec<_> = (0..100).map(|number| source.start_post(format!("{number}"))).collect();
    let mut promised: Vec<_> = wires.iter_mut().map(|wire| position(&wire.response())).collect();
    let records = source.records(100);
    let found: Vec<_> = records
        .iter()
        .map(|record| String::from_utf8_lossy(&record.position).into_owned())
        .collect();
    assert!(found.is_sorted(), "records are in the order of their positions");
    promised.sort();
    assert_eq!(found, promised);
    let mut bodies: Vec<usize> = records
        .iter()
        .map(|record| String::from_utf8_lossy(&body(record)).parse().expect("a number"))
        .collect();
    bodies.sort_unstable();
    assert!(bodies.into_iter().eq(0..100));
}
