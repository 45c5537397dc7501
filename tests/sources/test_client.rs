//! The test client itself, with a minimal server: it must report what happened on the wire.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::{Ending, Wire, ask, chunks, is_pattern, pattern};
use socket2::SockRef;

/// A server that reads one head, writes `answer`, and closes, with a reset if requested.
fn toy(answer: &'static [u8], reset: bool) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        read_head(&mut stream);
        stream.write_all(answer).expect("answer");
        if reset {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        }
    });
    (address, server)
}

fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a byte of the head");
        head.push(byte[0]);
    }
}

#[test]
fn the_client_reports_how_a_body_ended() {
    let rows: [(&str, &[u8], bool, &str, Ending); 8] = [
        (
            "length",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            false,
            "hi",
            Ending::Complete,
        ),
        ("short", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", false, "hi", Ending::Closed),
        ("reset", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", true, "hi", Ending::Reset),
        (
            "chunked",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
            false,
            "hi",
            Ending::Complete,
        ),
        (
            "no last chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
            false,
            "hi",
            Ending::Closed,
        ),
        (
            "half a chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
            false,
            "hi",
            Ending::Closed,
        ),
        ("until close", b"HTTP/1.1 200 OK\r\n\r\nhi", false, "hi", Ending::Complete),
        ("until reset", b"HTTP/1.1 200 OK\r\n\r\nhi", true, "hi", Ending::Reset),
    ];
    for (name, answer, reset, body, ending) in rows {
        let (address, server) = toy(answer, reset);
        let got = Wire::connect(address).exchange(&ask("GET", "/"));
        assert_eq!((got.text(), got.ending), (body, ending), "{name}");
        server.join().expect("the toy server");
    }
}

#[test]
fn the_client_reads_pipelined_responses_one_by_one() {
    let answers = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\
        HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nA: 1\r\na: 2\r\n\r\noneHTTP/1.1 200 OK\r\n\
        Content-Length: 5\r\n\r\n";
    let (address, server) = toy(answers, false);
    let mut wire = Wire::connect(address);
    wire.ask(&ask("GET", "/"));
    wire.expect_continue();
    assert_eq!(wire.response().status(), 204);
    let answer = wire.response();
    assert_eq!((answer.status(), answer.text()), (404, "one"));
    assert_eq!(answer.head.all("A"), ["1", "2"]);
    assert_eq!(wire.response_to("HEAD").ending, Ending::Complete);
    wire.expect_end();
    server.join().expect("the toy server");
}

#[test]
fn the_client_reads_a_body_piece_by_piece() {
    let answer =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let (address, server) = toy(answer, false);
    let mut wire = Wire::connect(address);
    wire.ask(&ask("GET", "/"));
    wire.head();
    assert_eq!(wire.body(2), b"ab");
    assert_eq!(wire.body(3), b"cde");
    assert_eq!(wire.rest(), (b"fg".to_vec(), Ending::Complete));
    server.join().expect("the toy server");
}

#[test]
fn silence_is_distinguished_from_a_response() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let mut wire = Wire::connect(listener.local_addr().expect("an address"));
    wire.assert_silent();
    wire.ask(&ask("GET", "/"));
    let (mut stream, _) = listener.accept().expect("accept");
    read_head(&mut stream);
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("answer");
    assert_eq!(wire.response().status(), 204);
    wire.assert_silent();
}

#[test]
fn a_pattern_reveals_every_corruption() {
    let good = pattern(1, 1000);
    assert_eq!(is_pattern(1, 1000, &good), Ok(()));
    assert!(is_pattern(2, 1000, &good).is_err(), "another body");
    assert!(is_pattern(1, 1001, &good).is_err(), "a lost byte");
    assert!(is_pattern(1, 999, &good).is_err(), "a doubled byte");
    assert!(is_pattern(1, 992, &good[8..]).is_err(), "a shifted body");
    assert_eq!(chunks(b"hello", &[2, 1]), b"2\r\nhe\r\n1\r\nl\r\n2\r\nlo\r\n0\r\n\r\n");
}
