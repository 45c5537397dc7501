//! Hand-written peers, which send exact bytes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use rdv::mux::codec::{Codec, Endpoint, Message};
use rdv::socket::{Dialect, Error, EventKind, SocketServer};

use crate::socket::pair::{client, echo, post, read, serving};
use crate::support::TEST_TIMEOUT;

/// A peer that reads and writes frames, and does not interpret them.
pub(crate) struct Peer {
    socket: TcpStream,
    codec: Codec,
}

impl Peer {
    /// Connects, upgrades and sends the handshake, with the key of the example in RFC 6455, section
    /// 1.3.
    pub(crate) fn open(address: SocketAddr, dialect: Dialect) -> Self {
        let mut peer = Self::dial(address, dialect);
        peer.send_text(r#"{"Type":"ClientHandshakeMetaData","Meta":"dummy"}"#);
        let welcome: serde_json::Value = serde_json::from_str(&peer.recv_text()).expect("JSON");
        assert_eq!(welcome["Type"], "ServerHandshakeConnectionID");
        uuid::Uuid::parse_str(welcome["ConnectionID"].as_str().expect("text")).expect("a UUID");
        peer.send_text(r#"{"Type":"ClientHandshakeAckFrame"}"#);
        peer
    }

    fn dial(address: SocketAddr, dialect: Dialect) -> Self {
        let mut socket = TcpStream::connect(address).expect("a connection");
        socket.set_read_timeout(Some(TEST_TIMEOUT)).expect("a limit");
        let protocol = match dialect {
            Dialect::Text => "",
            Dialect::V1 => "Sec-WebSocket-Protocol: rdv.socket.v1\r\n",
        };
        let request = format!(
            "GET /any/path HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             {protocol}\r\n"
        );
        socket.write_all(request.as_bytes()).expect("sent");
        let head = head(&mut socket);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        assert_eq!(head.contains("Protocol: rdv.socket.v1\r\n"), dialect == Dialect::V1, "{head}");
        Self { socket, codec: Codec::new(Endpoint::Dialled, 1 << 20) }
    }

    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    fn send_text(&mut self, text: &str) {
        self.codec.text(text);
        let bytes = std::mem::take(self.codec.output());
        self.socket.write_all(&bytes).expect("sent");
    }

    /// The next message.
    fn message(&mut self) -> Message {
        loop {
            match self.codec.next() {
                None => {
                    let mut buffer = [0; 4096];
                    let count = self.socket.read(&mut buffer).expect("more");
                    assert_ne!(count, 0, "the connection ended");
                    self.codec.received(&buffer[..count]);
                }
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                Some(message) => return message,
            }
        }
    }

    fn recv_text(&mut self) -> String {
        match self.message() {
            Message::Text(text) => text.to_string(),
            other @ (Message::Binary(_)
            | Message::Piece { .. }
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Close(_)) => {
                panic!("no text: {other:?}")
            }
        }
    }
}

/// The first head, with no bytes after it.
fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the rest of a head");
        head.extend(byte);
    }
    String::from_utf8(head).expect("text")
}

#[test]
fn a_text_peer_sends_plain_http_requests_and_responses() {
    let server = SocketServer::bind("127.0.0.1:0").expect("a server");
    let events = server.events();
    let mut peer = Peer::open(server.local_addr(), Dialect::Text);
    let connection = server.connection(events.recv().expect("an event").connection).expect("one");
    serving(&connection, echo);
    peer.send_text(
        "POST /a HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: c1\r\nContent-Length: 2\r\n\r\nhi",
    );
    let answer = peer.recv_text();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("X-Correlation-Id: c1\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nPOST /a hi"), "{answer}");

    let caller = connection.clone();
    let answer = thread::spawn(move || caller.round_trip(post("/b", "you")).map(read));
    let request = peer.recv_text();
    assert!(request.starts_with("POST /b HTTP/1.1\r\nHost: "), "{request}");
    assert!(request.ends_with("\r\n\r\nyou"), "{request}");
    let id = request.split("X-Correlation-Id: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let head = format!("HTTP/1.1 201 Created\r\nX-Correlation-Id: {}\r\n", id.expect("an id"));
    // In parts, as a peer can send them.
    peer.send_text(&head);
    peer.send_text("Content-Length: 5\r\n\r\nth");
    peer.send_text("ere");
    assert_eq!(answer.join().expect("no panic").expect("an answer"), (201, "there".into()));
}

#[test]
fn a_protocol_violation_is_answered_with_its_close_code() {
    for (name, text, code) in [
        ("no handshake", "hello", 1002),
        ("another message", r#"{"Type":"ClientHandshakeAckFrame"}"#, 1002),
    ] {
        let server = SocketServer::bind("127.0.0.1:0").expect("a server");
        let events = server.events();
        let mut peer = Peer::dial(server.local_addr(), Dialect::V1);
        peer.send_text(text);
        let Message::Close(Some((found, _))) = peer.message() else { panic!("{name}") };
        assert_eq!(found, code, "{name}");
        assert_eq!(events.recv().expect("an event").kind, EventKind::ConnectionFailure, "{name}");
        assert!(server.active_connections().is_empty(), "{name}");
    }
}

#[test]
fn requests_that_are_not_upgrades_are_refused_with_the_reason() {
    let server = SocketServer::bind("127.0.0.1:0").expect("a server");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (name, request, status) in [
        ("a plain request", "GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 426),
        (
            "an old version",
            format!("GET / HTTP/1.1\r\nHost: h\r\n{upgrade}{key}Sec-WebSocket-Version: 8\r\n\r\n"),
            426,
        ),
        (
            "no key",
            format!("GET / HTTP/1.1\r\nHost: h\r\n{upgrade}Sec-WebSocket-Version: 13\r\n\r\n"),
            400,
        ),
        ("no HTTP", "hello\r\n\r\n".to_owned(), 400),
        ("too long", format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)), 414),
    ] {
        let mut socket = TcpStream::connect(server.local_addr()).expect("a connection");
        socket.set_read_timeout(Some(TEST_TIMEOUT)).expect("a limit");
        socket.write_all(request.as_bytes()).expect("sent");
        let head = head(&mut socket);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {head}");
        let versions = head.contains("Sec-WebSocket-Version: 13\r\n");
        assert_eq!(versions, status == 426, "{name}: {head}");
    }
}

/// A server that sends this response to every request.
fn server_answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a place");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        head(&mut socket);
        let _ = socket.write_all(answer.as_bytes());
    });
    address
}

#[test]
fn errors_of_other_servers_are_distinguished() {
    for (name, answer, printed) in [
        ("no HTTP", "SSH-2.0-x\r\n\r\n", "not an HTTP/1.1 response"),
        (
            "another page",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "(the answer was 200)",
        ),
        ("JSON", "HTTP/1.1 404 N\r\nContent-Length: 15\r\n\r\n{\"message\":\"a\"}", "404: a"),
        ("no words", "HTTP/1.1 503 N\r\nContent-Length: 0\r\n\r\n", "with 503"),
        ("another upgrade", "HTTP/1.1 101 S\r\nUpgrade: h2c\r\n\r\n", "none to WebSocket"),
        (
            "another key",
            "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "Sec-WebSocket-Accept does not fit",
        ),
        ("a terminal's words", "HTTP/1.1 400 N\r\nContent-Length: 4\r\n\r\n\u{1b}[2J", "400: [2J"),
    ] {
        let url = format!("ws://{}", server_answering(answer));
        let error = client(&url, Dialect::V1).connect().expect_err(name).to_string();
        assert!(error.contains(printed), "{name}: {error}");
    }
    let closed = server_answering("");
    let error = client(&format!("ws://{closed}"), Dialect::V1).connect().expect_err("closed");
    assert!(matches!(error, Error::Network { .. }), "{error}");
}
