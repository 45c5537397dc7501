//! Strict parsing of request heads: anything ambiguous is refused and ends the connection.

use crate::support::{Ask, Framing, Relay, ask, assert_error, eventually};

/// A head to refuse: its name, its bytes, and the permitted statuses.
type Row<'a> = (&'a str, &'a [u8], &'a [u16]);

const POST: &[u8] = b"POST /stream HTTP/1.1\r\nHost: a\r\n";
const GET: &[u8] = b"GET /ping HTTP/1.1\r\nHost: a\r\n";

/// A complete request that must get no response after a refused one.
const SMUGGLED: &[u8] = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n";

/// Each, after `start`, is refused with one of its statuses, and no bytes after it are read as a
/// request.
fn assert_refused(relay: &Relay, start: &[u8], rows: &[Row]) {
    for (name, fault, statuses) in rows {
        let mut wire = relay.connect();
        wire.send([start, fault, SMUGGLED].concat());
        let answer = wire.response();
        assert!(
            statuses.contains(&answer.status()),
            "{name}: {} {}",
            answer.status(),
            answer.text()
        );
        if answer.status() == 400 {
            assert_error(name, &answer, (400, "BadRequestError", None));
        }
        wire.expect_end();
    }
    relay.await_turn();
}

#[test]
fn ambiguous_framing_is_refused() {
    let rows: [Row; 23] = [
        (
            "both framings",
            b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "both, the other way round",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "both, another case",
            b"transfer-encoding: CHUNKED\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        ("differing lengths", b"Content-Length: 0\r\nContent-Length: 2\r\n\r\n", &[400]),
        ("a list of differing lengths", b"Content-Length: 0, 2\r\n\r\n", &[400]),
        ("a signed length", b"Content-Length: +2\r\n\r\n{}", &[400]),
        ("a negative length", b"Content-Length: -2\r\n\r\n{}", &[400]),
        ("a hexadecimal length", b"Content-Length: 0x2\r\n\r\n{}", &[400]),
        ("a length with a space", b"Content-Length: 1 1\r\n\r\n{}", &[400]),
        ("an empty length", b"Content-Length:\r\n\r\n", &[400]),
        ("a fractional length", b"Content-Length: 2.0\r\n\r\n{}", &[400]),
        ("a length of 2^64", b"Content-Length: 18446744073709551616\r\n\r\n", &[400]),
        ("a length of 2^64 and 2", b"Content-Length: 18446744073709551618\r\n\r\n{}", &[400]),
        (
            "a length of 40 digits",
            b"Content-Length: 1000000000000000000000000000000000000000\r\n\r\n",
            &[400],
        ),
        ("an unknown coding", b"Transfer-Encoding: gzip\r\n\r\n", &[400]),
        (
            "an unknown coding and chunked",
            b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            &[501],
        ),
        (
            "a coding that looks like chunked",
            b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        ("identity", b"Transfer-Encoding: identity\r\n\r\n", &[400, 501]),
        ("chunked not last", b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", &[400, 501]),
        ("chunked twice", b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", &[400, 501]),
        (
            "chunked in two fields",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        ("an empty coding", b"Transfer-Encoding:\r\n\r\n", &[400, 501]),
        ("a coding in quotes", b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", &[400, 501]),
    ];
    assert_refused(&Relay::start(&[]), POST, &rows);
}

#[test]
fn malformed_fields_are_refused() {
    let rows: [Row; 15] = [
        ("a space before the colon", b"X-A : b\r\n\r\n", &[400]),
        ("a tab before the colon", b"X-A\t: b\r\n\r\n", &[400]),
        ("folded by a space", b"X-A: b\r\n c\r\n\r\n", &[400]),
        ("folded by a tab", b"X-A: b\r\n\tc\r\n\r\n", &[400]),
        ("no colon", b"X-A\r\n\r\n", &[400]),
        ("no name", b": b\r\n\r\n", &[400]),
        ("a space in a name", b"X A: b\r\n\r\n", &[400]),
        ("brackets in a name", b"X(A): b\r\n\r\n", &[400]),
        ("a byte above ASCII in a name", b"X\xe9: b\r\n\r\n", &[400]),
        ("a NUL in a name", b"X\0A: b\r\n\r\n", &[400]),
        ("a NUL in a value", b"X-A: b\0c\r\n\r\n", &[400]),
        ("a CR in a value", b"X-A: b\rc\r\n\r\n", &[400]),
        ("a CR before a CRLF", b"X-A: b\r\r\n\r\n", &[400]),
        ("a control byte in a value", b"X-A: b\x01c\r\n\r\n", &[400]),
        ("a bare LF at the end", b"\n", &[400]),
    ];
    assert_refused(&Relay::start(&[]), GET, &rows);
}

#[test]
fn malformed_request_lines_are_refused() {
    let rows: [Row; 21] = [
        ("HTTP/2.0", b"GET /ping HTTP/2.0\r\nHost: a\r\n\r\n", &[505]),
        ("HTTP/3.0", b"GET /ping HTTP/3.0\r\nHost: a\r\n\r\n", &[505]),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[505]),
        ("HTTP/0.9", b"GET /ping HTTP/0.9\r\nHost: a\r\n\r\n", &[400, 505]),
        ("no version", b"GET /ping\r\n\r\n", &[400]),
        ("half a version", b"GET /ping HTTP/1\r\nHost: a\r\n\r\n", &[400]),
        ("a version of three digits", b"GET /ping HTTP/1.10\r\nHost: a\r\n\r\n", &[400]),
        ("a version in lower case", b"GET /ping http/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("another protocol", b"GET /ping HTTX/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("a target with a space", b"GET /ping pong HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("a target without a slash", b"GET ping HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("an asterisk to get", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("a NUL in the target", b"GET /ping\0 HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("a tab for a space", b"GET\t/ping HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("a method that is not a token", b"G(T /ping HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("a NUL in the method", b"G\0T /ping HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("a space first", b" GET /ping HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("a bare CR after the line", b"GET /ping HTTP/1.1\rHost: a\r\n\r\n", &[400]),
        ("an answer", b"HTTP/1.1 200 OK\r\nHost: a\r\n\r\n", &[400]),
        ("only a colon", b":\r\n\r\n", &[400]),
    ];
    assert_refused(&Relay::start(&[]), b"", &rows);
}

#[test]
fn faults_in_later_lines_are_refused() {
    let rows: [Row; 8] = [
        (
            "a coding in HTTP/1.0",
            b"POST /stream HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "a space before the colon of a length",
            b"POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}",
            &[400],
        ),
        (
            "a folded coding",
            b"POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        ("a first field that is folded", b"GET /ping HTTP/1.1\r\n Host: a\r\n\r\n", &[400]),
        ("a bare LF after a field", b"GET /ping HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", &[400]),
        ("bare LFs everywhere", b"GET /ping HTTP/1.1\nHost: a\n\n", &[400]),
        ("two in HTTP/1.0", b"GET /ping HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
        ("none beside absolute-form", b"GET http://a/ping HTTP/1.1\r\n\r\n", &[400]),
    ];
    assert_refused(&Relay::start(&[]), b"", &rows);
}

#[test]
fn other_protocols_are_refused() {
    let tls = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[0x5a; 506]].concat();
    let rows: [Row; 5] = [
        ("a TLS hello", &tls, &[400]),
        ("NULs", &[0; 64], &[400]),
        ("bytes above ASCII", &[0xff; 64], &[400]),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", &[400]),
        ("JSON", b"{\"a\": 1}\r\n\r\n", &[400]),
    ];
    assert_refused(&Relay::start(&[]), b"", &rows);
}

#[test]
fn exactly_one_valid_host_is_required() {
    let relay = Relay::start(&[]);
    let rows: [Row; 10] = [
        ("none", b"\r\n", &[400]),
        ("two", b"Host: a\r\nHost: b\r\n\r\n", &[400]),
        ("the same twice", b"Host: a\r\nhost: a\r\n\r\n", &[400]),
        ("a list", b"Host: a, b\r\n\r\n", &[400]),
        ("a space within", b"Host: a b\r\n\r\n", &[400]),
        ("a path", b"Host: a/b\r\n\r\n", &[400]),
        ("a user", b"Host: me@a\r\n\r\n", &[400]),
        ("a port that is none", b"Host: a:http\r\n\r\n", &[400]),
        ("two ports", b"Host: a:1:2\r\n\r\n", &[400]),
        ("an open bracket", b"Host: [::1\r\n\r\n", &[400]),
    ];
    assert_refused(&relay, b"GET /ping HTTP/1.1\r\n", &rows);
    let good = ["a", "A-b.example.com", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:80", "a:80"];
    for host in good {
        let request = format!("GET /ping HTTP/1.1\r\nhOsT: {host} \r\n\r\n");
        let mut wire = relay.connect();
        wire.send(request);
        assert_eq!(wire.response().status(), 200, "{host}");
    }
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let relay = Relay::start(&[]);
    let fields = |count: usize| {
        let fields = (0..count).flat_map(|n| format!("X-{n}: b\r\n").into_bytes()).collect();
        [GET.to_vec(), fields, b"\r\n".to_vec()].concat()
    };
    let long = "x".repeat(20 * 1024);
    let value = format!("GET /ping HTTP/1.1\r\nHost: a\r\nX-A: {long}\r\n\r\n").into_bytes();
    let name = format!("GET /ping HTTP/1.1\r\nHost: a\r\n{long}: b\r\n\r\n").into_bytes();
    let target = format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let rows: [Row; 5] = [
        ("a long value", &value, &[431]),
        ("a long name", &name, &[431]),
        ("many fields", &fields(100), &[431]),
        ("very many fields", &fields(1_500), &[431]),
        ("a long target", &target, &[414]),
    ];
    assert_refused(&relay, b"", &rows);
    let mut wire = relay.connect();
    wire.send(fields(99));
    assert_eq!(wire.response().status(), 200, "100 fields with the Host");
    let head = |size: usize| {
        let frame = "GET /ping HTTP/1.1\r\nHost: a\r\nX-A: \r\n\r\n".len();
        format!("GET /ping HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "b".repeat(size - frame))
    };
    for (size, status) in [(16 * 1024, 200), (16 * 1024 + 1, 431)] {
        let mut wire = relay.connect();
        wire.send(head(size));
        assert_eq!(wire.response().status(), status, "a head of {size} bytes");
    }
    let narrow = Relay::start(&["--max-head", "1KiB"]);
    for (size, status) in [(1024, 200), (1025, 431)] {
        let mut wire = narrow.connect();
        wire.send(head(size));
        assert_eq!(wire.response().status(), status, "a head of {size} bytes of at most 1 KiB");
    }
}

#[test]
fn an_endless_head_is_bounded() {
    let relay = Relay::start(&["--header-timeout", "1s", "--linger-timeout", "300ms"]);
    let rows: [(&str, &[u8], &[u8]); 4] = [
        ("fields", b"GET /ping HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n"),
        ("one field", b"GET /ping HTTP/1.1\r\nHost: a\r\nX-A: ", b"bbbbbbbb"),
        ("a target", b"GET /", b"xxxxxxxx"),
        ("empty lines", b"", b"\r\n\r\n"),
    ];
    for (name, start, endless) in rows {
        let mut wire = relay.connect();
        wire.send(start);
        let piece = endless.repeat(32 * 1024);
        eventually(&format!("no more {name} are taken"), || wire.try_send(&piece).err());
        relay.await_turn();
    }
    assert!(relay.resident_bytes() < 64 << 20, "{}", relay.resident_bytes());
}

#[test]
fn a_refused_upload_leaves_its_stream_unchanged() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let put = || ask("PUT", &format!("/stream/{id}"));
    let rows: [(&str, Ask, u16); 4] = [
        ("both framings", put().length(5).chunked().raw_body(b"0\r\n\r\n"), 400),
        ("differing lengths", put().length(5).length(6).raw_body(b"hello"), 400),
        (
            "an unknown coding",
            put().field("Transfer-Encoding", "br, chunked").raw_body(b"hello"),
            501,
        ),
        ("a coding in HTTP/1.0", put().http10().chunked().raw_body(b"0\r\n\r\n"), 400),
    ];
    for (name, ask, status) in rows {
        let mut wire = relay.connect();
        assert_eq!(wire.exchange(&ask).status(), status, "{name}");
        wire.expect_end();
        assert_eq!(relay.status(&id)["state"], "CREATED", "{name}");
    }
    let mut destination = relay.waiting_destination(&id);
    let uploaded = relay.exchange(&Framing::Length(5).put(&id).raw_body(b"hello"));
    assert_eq!((uploaded.status(), destination.response().text()), (200, "hello"));
}

#[test]
fn the_body_of_an_answered_request_is_not_read_as_the_next() {
    let relay = Relay::start(&[]);
    let mut wire = relay.connect();
    for target in ["/ping", "/nowhere", "/stream/nothing"] {
        let smuggling = ask("DELETE", target).body(SMUGGLED);
        wire = if wire.exchange(&smuggling).head.closes() {
            wire.expect_end();
            relay.connect()
        } else {
            wire
        };
        let next = ask("GET", "/ping");
        assert_eq!(wire.exchange(&next).text().trim_end(), "pong", "behind a body to {target}");
    }
}

#[test]
fn an_empty_line_before_a_request_is_ignored() {
    let relay = Relay::start(&[]);
    let mut wire = relay.connect();
    for _ in 0..3 {
        wire.send("\r\nGET /ping HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wire.response().status(), 200);
    }
}

#[test]
fn a_head_may_be_split_at_every_byte() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let head = ask("GET", &format!("/stream/{id}/status?a=b")).field("X-A", "b").bytes();
    for at in 1..head.len() {
        let mut wire = relay.connect();
        wire.send(&head[..at]);
        relay.await_turn();
        wire.send(&head[at..]);
        assert_eq!(wire.response().json()["id"], id, "split at {at}");
    }
    let mut wire = relay.connect();
    for byte in &head {
        wire.send([*byte]);
        relay.await_turn();
    }
    assert_eq!(wire.response().json()["id"], id, "every byte alone");
}

#[test]
fn a_slow_head_times_out() {
    let relay = Relay::start(&["--header-timeout", "1s"]);
    for start in ["G", "GET /ping HTTP/1.1\r\n", "GET /ping HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r"] {
        let mut wire = relay.connect();
        wire.send(start);
        assert_eq!(wire.response().status(), 408, "{start:?}");
        wire.expect_end();
        let mut kept = relay.connect();
        assert_eq!(kept.exchange(&ask("GET", "/ping")).status(), 200);
        kept.send(start);
        assert_eq!(kept.response().status(), 408, "{start:?}, as a second request");
        kept.expect_end();
    }
}

#[test]
fn an_idle_connection_is_closed_without_a_response() {
    let relay = Relay::start(&["--keep-alive-timeout", "1s"]);
    let mut wire = relay.connect();
    for _ in 0..2 {
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    }
    wire.expect_end();
}
