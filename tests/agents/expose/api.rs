//! Requests of the agent to the API: framing, forwarded and dropped fields, early responses,
//! truncated responses, kept-alive connections.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::mpsc;

use http::{Method, Request, Response};
use rdv::socket::Body;
use rdv::socket::expose::{Api, HostChoice};

use crate::expose::server::Server;
use crate::support::{ClosedPort, is_pattern, pattern};

fn api(server: &Server) -> Api {
    Api::new(&format!("http://{}", server.address()), HostChoice::Api).expect("a URL")
}

fn get(path: &str) -> Request<Body> {
    request(Method::GET, path, Body::empty())
}

fn request(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request.body(body.into()).expect("a request")
}

fn text(answer: Response<Body>) -> String {
    let bytes = answer.into_body().into_bytes(1 << 30).expect("a complete body");
    String::from_utf8(bytes).expect("UTF-8")
}

fn field<'a>(answer: &'a Response<Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().expect("ASCII"))
}

/// A body that the test writes piece by piece.
fn pipe() -> (io::PipeWriter, Body) {
    let (reader, writer) = io::pipe().expect("a pipe");
    (writer, Body::from_reader(reader))
}

#[test]
fn responses_of_every_framing_are_read() {
    for (name, wire, length, body) in [
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Some(5), "hello"),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            None,
            "hello",
        ),
        ("close", "HTTP/1.1 200 OK\r\n\r\nhello", None, "hello"),
        ("close in 1.0", "HTTP/1.0 200 OK\r\n\r\nhello", None, "hello"),
        (
            "behind interim answers",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            Some(2),
            "hi",
        ),
        ("no content", "HTTP/1.1 204 No Content\r\n\r\n", Some(0), ""),
    ] {
        let server = Server::start(move |connection| {
            connection.head()?;
            connection.send(wire)?;
            Ok(None)
        });
        let answer = api(&server).forward(get("/"));
        assert!(answer.status().is_success(), "{name}");
        assert_eq!(answer.body().length_bytes(), length, "{name}");
        assert!(field(&answer, "transfer-encoding").is_none(), "{name}");
        assert_eq!(text(answer), body, "{name}");
    }
}

#[test]
fn a_response_to_head_or_a_304_keeps_its_content_length() {
    let server = Server::start(|connection| {
        for answer in ["200 OK", "304 Not Modified"] {
            connection.head()?;
            connection.send(format!("HTTP/1.1 {answer}\r\nContent-Length: 7\r\n\r\n"))?;
        }
        Ok(None)
    });
    let api = api(&server);
    for method in [Method::HEAD, Method::GET] {
        let answer = api.forward(request(method, "/", ()));
        assert_eq!(field(&answer, "content-length"), Some("7"));
        assert_eq!(text(answer), "");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn requests_are_framed_as_their_bodies_are() {
    let server = Server::receiving("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    let api = api(&server);
    for (name, body, length, chunked) in [
        ("sized", Body::from("hello"), Some("5"), None),
        ("of unknown length", Body::from_reader(&b"hello"[..]), None, Some("chunked")),
    ] {
        assert_eq!(api.forward(request(Method::POST, "/x", body)).status(), 204, "{name}");
        let received = server.request();
        assert_eq!(
            (received.line.as_str(), received.is_complete),
            ("POST /x HTTP/1.1", true),
            "{name}"
        );
        assert_eq!(received.field("content-length"), length, "{name}");
        assert_eq!(received.field("transfer-encoding"), chunked, "{name}");
        assert_eq!(received.body, b"hello", "{name}");
    }
    api.forward(request(Method::POST, "/x", ()));
    assert_eq!(server.request().field("content-length"), Some("0"));
    api.forward(get("/x"));
    assert_eq!(server.request().field("content-length"), None);
}

#[test]
fn hop_by_hop_fields_are_removed_and_others_forwarded() {
    let server = Server::receiving(
        "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    );
    let mut request = get("/a?b=c");
    for (name, value) in [
        ("host", "public.example"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("authorization", "Bearer x"),
    ] {
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    let answer = api(&server).forward(request);
    let received = server.request();
    assert_eq!(received.line, "GET /a?b=c HTTP/1.1");
    let names: Vec<_> = received.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "x-forwarded-for", "forwarded", "authorization"]);
    assert_eq!(received.field("host"), Some(server.address().to_string().as_str()));
    let names: Vec<_> = answer.headers().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["set-cookie", "set-cookie"]);
}

#[test]
fn the_host_is_that_of_the_api_of_the_client_or_a_fixed_value() {
    let server = Server::receiving("HTTP/1.1 204 No Content\r\n\r\n");
    let url = format!("http://{}/base/", server.address());
    for (choice, expected) in [
        ("api", server.address().to_string()),
        ("client", "public.example".to_owned()),
        ("other.example:81", "other.example:81".to_owned()),
    ] {
        let api = Api::new(&url, choice.parse().expect(choice)).expect("a URL");
        let mut request = get("/x");
        request.headers_mut().insert("host", "public.example".parse().expect("a value"));
        assert_eq!(api.forward(request).status(), 204, "{choice}");
        let received = server.request();
        assert_eq!(received.field("host"), Some(expected.as_str()), "{choice}");
        assert_eq!(received.line, "GET /base/x HTTP/1.1", "the URL's path comes first");
    }
    assert!("a b".parse::<HostChoice>().is_err() && "".parse::<HostChoice>().is_err());
}

#[test]
fn connections_are_reused() {
    let server = Server::start(|connection| {
        loop {
            let request = connection.request()?;
            assert!(request.is_complete);
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")?;
        }
    });
    let api = api(&server);
    for _ in 0..5 {
        assert_eq!(text(api.forward(get("/"))), "hi");
    }
    assert_eq!(server.connections(), 1);
    // A second request, while the body of the first is not read.
    let first = api.forward(get("/"));
    assert_eq!(text(api.forward(get("/"))), "hi");
    assert_eq!(text(first), "hi");
    assert_eq!(server.connections(), 2);
}

#[test]
fn idempotent_requests_are_retried_when_a_reused_connection_fails() {
    // Each connection gets one response; the second request on it is read, and gets none.
    let server = Server::start(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")?;
        Ok(Some(connection.request()?))
    });
    let api = api(&server);
    assert_eq!(text(api.forward(get("/first"))), "hi");
    assert_eq!(text(api.forward(get("/again"))), "hi");
    assert_eq!(server.request().line, "GET /again HTTP/1.1");
    assert_eq!(server.connections(), 2);
    let lost = api.forward(request(Method::POST, "/once", "x"));
    assert_eq!(lost.status(), 502);
    assert_eq!(server.request().line, "POST /once HTTP/1.1");
    assert_eq!(server.connections(), 2, "it may have been done");
}

#[test]
fn a_response_is_received_while_the_request_is_being_sent() {
    let server = Server::start(|connection| {
        let head = connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let mut size = connection.size_line()?;
        while size > 0 {
            let line = connection.line()?;
            connection.send(format!("{:x}\r\n{line}\r\n", line.len()))?;
            size = connection.size_line()?;
        }
        connection.line()?;
        connection.send("0\r\n\r\n")?;
        Ok(Some(head))
    });
    let (mut writer, body) = pipe();
    let mut answer = api(&server).forward(request(Method::POST, "/echo", body)).into_body();
    for piece in [&b"one"[..], b"two"] {
        writer.write_all(piece).expect("room");
        let mut echo = [0; 3];
        answer.read_exact(&mut echo).expect("an echo");
        assert_eq!(echo, piece);
    }
    drop(writer);
    assert_eq!(answer.read(&mut [0; 9]).expect("the end"), 0);
}

#[test]
fn an_early_response_stops_the_request_body() {
    for (answer, reset) in [
        ("Content-Length: 4\r\n\r\nlong", true),
        ("Content-Length: 4\r\n\r\nlong", false),
        ("Connection: close\r\n\r\nlong", false),
    ] {
        let server = Server::start(move |connection| {
            connection.head()?;
            connection.send(format!("HTTP/1.1 413 X\r\n{answer}"))?;
            if !reset {
                connection.socket().shutdown(Shutdown::Write)?;
                connection.drain()?;
            }
            Ok(None)
        });
        let (ended, dropped) = mpsc::channel();
        let body = Body::from_reader(Endless(ended));
        let answer = api(&server).forward(request(Method::PUT, "/", body));
        assert_eq!(answer.status(), 413);
        assert_eq!(text(answer), "long");
        // The body is no longer read: it was dropped.
        assert!(dropped.recv().is_err());
    }
}

/// Never ends; the other end of the channel is notified when it is dropped.
struct Endless(#[expect(dead_code, reason = "dropping it is what it is for")] mpsc::Sender<()>);

impl io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(b'x');
        Ok(buffer.len())
    }
}

#[test]
fn an_interrupted_response_is_incomplete() {
    for (name, wire) in [
        ("length", "Content-Length: 9\r\n\r\nhalf"),
        ("chunks", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        ("amid a chunk", "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"),
    ] {
        let server = Server::start(move |connection| {
            connection.head()?;
            connection.send(format!("HTTP/1.1 200 OK\r\n{wire}"))?;
            Ok(None)
        });
        let mut body = api(&server).forward(get("/")).into_body();
        let mut got = Vec::new();
        let error = body.read_to_end(&mut got).expect_err(name);
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{name}");
        assert_eq!(got, b"half", "{name}");
    }
}

#[test]
fn an_interrupted_request_is_incomplete() {
    struct Broken(bool);
    impl io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            self.0 = true;
            buffer[..4].copy_from_slice(b"half");
            Ok(4)
        }
    }
    for (name, body) in [
        ("chunks", Body::from_reader(Broken(false))),
        ("length", Body::sized(Broken(false), 9)),
        ("an end too soon", Body::sized(&b"half"[..], 9)),
    ] {
        let server = Server::receiving("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let answer = api(&server).forward(request(Method::PUT, "/", body));
        assert_eq!(answer.status(), 502, "{name}");
        let received = server.request();
        assert_eq!(
            (received.body.as_slice(), received.is_complete),
            (&b"half"[..], false),
            "{name}"
        );
    }
}

#[test]
fn dropping_a_response_closes_the_connection() {
    let server = Server::start(|connection| {
        let head = connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")?;
        // Until the other end closes.
        assert!(connection.line().is_err());
        Ok(Some(head))
    });
    let mut body = api(&server).forward(get("/events")).into_body();
    let mut first = [0; 2];
    body.read_exact(&mut first).expect("the first event, at once");
    drop(body);
    assert_eq!(server.request().line, "GET /events HTTP/1.1");
}

#[test]
fn an_invalid_response_of_the_api_is_a_bad_gateway() {
    for (name, wire, hint) in [
        ("silence", "", "without an answer"),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-", "aborted"),
        ("no HTTP", "SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP/1.1"),
        ("another protocol", "HTTP/1.1 101 Switching\r\n\r\n", "protocol"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "one"),
    ] {
        let server = Server::start(move |connection| {
            connection.head()?;
            connection.send(wire)?;
            Ok(None)
        });
        let answer = api(&server).forward(get("/"));
        assert_eq!(answer.status(), 502, "{name}");
        let printed: serde_json::Value = serde_json::from_str(&text(answer)).expect("JSON");
        let message = printed["message"].as_str().expect("a message");
        assert!(message.contains(hint), "{name}: {message}");
        assert!(message.contains(&server.address().to_string()), "{name}: {message}");
    }
}

#[test]
fn an_unreachable_api_is_named() {
    let closed = ClosedPort::new();
    let address = closed.address();
    let api = Api::new(&format!("http://{address}"), HostChoice::Api).expect("a URL");
    let answer = api.forward(get("/"));
    assert_eq!(answer.status(), 502);
    assert_eq!(field(&answer, "content-type"), Some("application/json"));
    let printed: serde_json::Value = serde_json::from_str(&text(answer)).expect("JSON");
    assert_eq!(printed["name"], "ApiUnreachableError");
    let message = printed["message"].as_str().expect("a message");
    assert!(message.contains(&address.to_string()) && message.contains("refused"), "{message}");
}

#[test]
fn urls_that_cannot_be_exposed_are_refused_with_the_reason() {
    for (url, hint) in [
        ("127.0.0.1:80", "begin it with http://"),
        ("http://h/?x", "leave its query"),
        ("http://me:pw@h/", "leave its query, user"),
    ] {
        let error = Api::new(url, HostChoice::Api).expect_err(url).to_string();
        assert!(error.contains(hint) && !error.contains("pw"), "{url}: {error}");
    }
}

#[test]
fn large_bodies_pass_in_both_directions() {
    const BYTES: usize = 8 << 20;
    let server = Server::start(|connection| {
        let request = connection.request()?;
        is_pattern(7, BYTES, &request.body).expect("what was sent");
        let length = request.body.len();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))?;
        connection.send(&request.body)?;
        Ok(None)
    });
    for body in
        [Body::from(pattern(7, BYTES)), Body::from_reader(io::Cursor::new(pattern(7, BYTES)))]
    {
        let answer = api(&server).forward(request(Method::POST, "/", body));
        let back = answer.into_body().into_bytes(1 << 30).expect("a complete body");
        is_pattern(7, BYTES, &back).expect("the echoed body");
    }
}
