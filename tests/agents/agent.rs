//! An agent on a blocking socket, built on the library's session.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdv::mux::frame::CancelReason;
use rdv::mux::handshake::{Dialect, Metadata, Welcome};
use rdv::mux::session::{Closed, Event, Session, close};
use serde_json::Value;

use crate::received_request::ReceivedRequest;
use crate::support::{Ask, Relay, TEST_TIMEOUT, Wire, ask};

/// Both dialects, for tests of behaviour they share.
pub(crate) const DIALECTS: [Dialect; 2] = [Dialect::Text, Dialect::V1];

/// Longer than any test: these tests do not depend on the agent's own heartbeat.
const SILENCE_MAX: Duration = Duration::from_hours(1);

/// The agent's end of its WebSocket.
pub(crate) struct Agent {
    stream: TcpStream,
    pub(crate) session: Session,
    welcome: Option<Welcome>,
    /// Events received while waiting for another.
    events: Vec<Event>,
}

#[allow(clippy::disallowed_methods, reason = "a test has no event loop to hand it the time")]
fn now() -> Instant {
    Instant::now()
}

/// The request that opens a WebSocket.
pub(crate) fn upgrade(target: &str, dialect: Dialect) -> Ask {
    let request = ask("GET", target)
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    match dialect {
        Dialect::Text => request,
        Dialect::V1 => request.field("Sec-WebSocket-Protocol", "rdv.socket.v1"),
    }
}

/// A head of 200 with this length.
pub(crate) fn ok(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

/// For an agent too busy to answer pings.
pub(crate) const BUSY: &[&str] = &["--agent-heartbeat", "10m"];

impl Agent {
    /// An agent that can be called, with these metadata.
    pub(crate) fn connect(relay: &Relay, dialect: Dialect, metadata: Value) -> Agent {
        let mut agent = Agent::with_metadata(relay.address(), dialect, metadata);
        agent.await_open();
        relay.await_turn();
        agent
    }

    /// An agent that can be called by name.
    pub(crate) fn named(relay: &Relay, dialect: Dialect, name: &str) -> Agent {
        Agent::connect(relay, dialect, serde_json::json!({ "name": name }))
    }

    /// An agent after its handshake.
    pub(crate) fn with_metadata(address: SocketAddr, dialect: Dialect, metadata: Value) -> Agent {
        Agent::upgraded(address, &upgrade("/socket", dialect), dialect, metadata)
    }

    /// The same, with this request.
    pub(crate) fn upgraded(
        address: SocketAddr,
        request: &Ask,
        dialect: Dialect,
        metadata: Value,
    ) -> Agent {
        let mut wire = Wire::connect(address);
        wire.ask(request);
        let head = wire.head();
        assert_eq!(head.status, 101, "{head:?}");
        assert_eq!(head.get("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let protocol = (dialect == Dialect::V1).then_some("rdv.socket.v1");
        assert_eq!(head.get("Sec-WebSocket-Protocol"), protocol);
        let session = Session::dialled(dialect, &Metadata(metadata), SILENCE_MAX, now());
        let stream = wire.sender();
        let mut agent = Agent { stream, session, welcome: None, events: Vec::new() };
        agent.flush();
        agent
    }

    /// An agent that opened its WebSocket and sent no message: the test sends all of them.
    pub(crate) fn raw(relay: &Relay, dialect: Dialect) -> Agent {
        let request = upgrade("/socket", dialect);
        let mut wire = Wire::connect(relay.address());
        wire.ask(&request);
        assert_eq!(wire.head().status, 101);
        let session = Session::accepted(dialect, SILENCE_MAX, now());
        Agent { stream: wire.sender(), session, welcome: None, events: Vec::new() }
    }

    pub(crate) fn await_open(&mut self) {
        match self.event() {
            Event::Open(welcome) => self.welcome = welcome,
            other => panic!("not open, but {other:?}"),
        }
    }

    /// The relay's acknowledgement of the handshake.
    pub(crate) fn welcome(&self) -> &Welcome {
        self.welcome.as_ref().expect("a welcome")
    }

    /// The path of its API, by the id of its connection.
    pub(crate) fn path(&self) -> String {
        format!("/socket/{}", self.welcome().connection)
    }

    /// Sends pending output; the end of the connection is detected when reading.
    pub(crate) fn flush(&mut self) {
        while !self.session.output().is_empty() {
            let bytes = std::mem::take(self.session.output());
            if self.stream.write_all(&bytes).is_err() {
                return;
            }
        }
    }

    /// The next raw frame: its first byte and its payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).expect("a frame");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length).expect("a length");
                usize::from(u16::from_be_bytes(length))
            }
            length @ ..126 => usize::from(length),
            other => panic!("a long frame: {other}"),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).expect("a payload");
        (head[0], payload)
    }

    /// The next frame, which must be text.
    pub(crate) fn text(&mut self) -> String {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x81, "{:?}", String::from_utf8_lossy(&payload));
        String::from_utf8(payload).expect("UTF-8")
    }

    /// The next frame, which must be the close frame; returns its reason.
    pub(crate) fn close_frame(&mut self) -> (u16, String) {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x88, "{:?}", String::from_utf8_lossy(&payload));
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        (code, String::from_utf8(payload[2..].to_vec()).expect("UTF-8"))
    }

    /// Sends raw bytes instead of the session's output.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send to the relay");
    }

    /// The next event; none after the end.
    pub(crate) fn event(&mut self) -> Event {
        if self.events.is_empty() { self.fresh_event() } else { self.events.remove(0) }
    }

    fn fresh_event(&mut self) -> Event {
        // The relay's pings complete every read in time, so a read timeout alone would never
        // expire.
        let deadline = now() + TEST_TIMEOUT;
        loop {
            if let Some(event) = self.session.next_event() {
                self.flush();
                return event;
            }
            assert!(now() < deadline, "nothing but pings received; kept: {:?}", self.events);
            self.read();
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.session.eof(),
            Ok(count) => self.session.received(&buffer[..count], now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("nothing received from the relay in {TEST_TIMEOUT:?}")
            }
            Err(_) => self.session.eof(),
        }
        self.flush();
    }

    /// The next event of this kind; others are kept.
    pub(crate) fn await_event<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        if let Some(at) = self.events.iter().position(|event| wanted(event).is_some()) {
            let event = self.events.remove(at);
            return wanted(&event).expect("the same again");
        }
        loop {
            let event = self.fresh_event();
            if let Some(found) = wanted(&event) {
                return found;
            }
            assert!(!matches!(event, Event::Closed(_)), "closed instead: {event:?}");
            self.events.push(event);
        }
    }

    /// The head of the next request, its exchange id, and whether it has no body.
    pub(crate) fn recv_request_head(&mut self) -> (u32, String, bool) {
        self.await_event(|event| match event {
            Event::Request { number, head, over } => {
                let head = String::from_utf8(head.to_vec()).expect("a head is text");
                Some((*number, head, *over))
            }
            _ => None,
        })
    }

    /// The next request with its complete body.
    pub(crate) fn recv_request(&mut self) -> ReceivedRequest {
        let (number, head, over) = self.recv_request_head();
        let body = if over { Vec::new() } else { self.recv_rest_of_body(number) };
        ReceivedRequest { number, head, body }
    }

    /// The next bytes of a body, and whether they are the last; they are acknowledged.
    pub(crate) fn recv_body_part(&mut self, number: u32) -> (Vec<u8>, bool) {
        let (bytes, over) = self.await_event(|event| match event {
            Event::Body { number: of, bytes, over } if *of == number => {
                Some((bytes.to_vec(), *over))
            }
            Event::Cancelled(of, why) if *of == number => panic!("cancelled: {why:?}"),
            _ => None,
        });
        self.session.used(number, bytes.len());
        self.flush();
        (bytes, over)
    }

    pub(crate) fn recv_rest_of_body(&mut self, number: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let (bytes, over) = self.recv_body_part(number);
            body.extend_from_slice(&bytes);
            if over {
                return body;
            }
        }
    }

    /// The reason why this exchange was cancelled.
    pub(crate) fn recv_cancel(&mut self, number: u32) -> rdv::mux::session::Cancelled {
        self.await_event(|event| match event {
            Event::Cancelled(of, why) if *of == number => Some(why.clone()),
            _ => None,
        })
    }

    /// Reads until the connection closes, and returns how it closed.
    pub(crate) fn recv_close(&mut self) -> Closed {
        self.await_event(|event| match event {
            Event::Closed(how) => Some(how.clone()),
            _ => None,
        })
    }

    /// The relay disconnected so that the agent reconnects: a text agent gets no close frame.
    pub(crate) fn was_sent_away(&mut self) {
        match (self.session.dialect(), self.recv_close()) {
            (Dialect::V1, Closed::There(code, reason)) => {
                assert_eq!(code, close::GOING_AWAY, "{reason}");
            }
            (Dialect::Text, Closed::Lost) => {}
            (dialect, other) => panic!("{dialect:?}: {other:?}"),
        }
    }

    /// Reads until these words are received; returns everything read, frames included.
    pub(crate) fn raw_until(&mut self, words: &str) -> String {
        let mut all = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            let text = String::from_utf8_lossy(&all);
            if text.contains(words) {
                return text.into_owned();
            }
            let count = self.stream.read(&mut buffer).expect("more from the relay");
            assert!(count > 0, "{words:?} not received: {text}");
            all.extend_from_slice(&buffer[..count]);
        }
    }

    /// Starts a response; with `over` it has no body.
    pub(crate) fn respond_head(&mut self, number: u32, head: &str, over: bool) {
        self.session.respond(number, head.as_bytes(), over);
        self.flush();
    }

    /// Responds with this head, with its `Content-Length` or without.
    pub(crate) fn respond_with(&mut self, number: u32, head: &str, body: &[u8]) {
        self.respond_head(number, head, body.is_empty());
        if !body.is_empty() {
            self.send(number, body, true);
        }
    }

    /// Responds with 200 and this body.
    pub(crate) fn respond_ok(&mut self, number: u32, body: &[u8]) {
        self.respond_with(number, &ok(body.len()), body);
    }

    /// Sends the next bytes of a body, waiting for window as long as needed.
    pub(crate) fn send(&mut self, number: u32, bytes: &[u8], over: bool) {
        let mut left = bytes;
        loop {
            let room = self.session.room(number).min(left.len());
            let (part, rest) = left.split_at(room);
            left = rest;
            self.session.send(number, part, over && left.is_empty());
            self.flush();
            if left.is_empty() {
                return;
            }
            if self.session.room(number) == 0 {
                self.read();
                while let Some(event) = self.session.next_event() {
                    assert!(!matches!(event, Event::Closed(_)), "closed instead: {event:?}");
                    self.events.push(event);
                }
            }
        }
    }

    /// Sends as much of a body as the window allows, until it is used up and the relay grants no
    /// more; returns the number of bytes.
    pub(crate) fn send_what_fits(&mut self, number: u32) -> usize {
        let part = vec![b'x'; 64 << 10];
        let mut sent = 0;
        // More than the kernel buffers for a client that does not read.
        for _ in 0..1024 {
            let room = self.session.room(number).min(part.len());
            if room == 0 && self.poll().is_none() && self.session.room(number) == 0 {
                return sent;
            }
            self.session.send(number, &part[..room], false);
            self.flush();
            sent += room;
        }
        sent
    }

    /// The next event within a short time, if any.
    pub(crate) fn poll(&mut self) -> Option<Event> {
        if let Some(event) = self.session.next_event() {
            return Some(event);
        }
        self.stream.set_read_timeout(Some(Duration::from_millis(50))).expect("SO_RCVTIMEO");
        let mut buffer = [0; 16 << 10];
        if let Ok(count @ 1..) = self.stream.read(&mut buffer) {
            self.session.received(&buffer[..count], now());
        }
        self.stream.set_read_timeout(Some(TEST_TIMEOUT)).expect("SO_RCVTIMEO");
        self.flush();
        self.session.next_event()
    }

    /// Sends a raw text message, regardless of the session's state.
    pub(crate) fn send_text(&mut self, text: &str) {
        let bytes = masked(0x81, text.as_bytes());
        self.send_raw(&bytes);
    }

    pub(crate) fn cancel(&mut self, number: u32, why: CancelReason) {
        self.session.cancel(number, why);
        self.flush();
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.session.close(code, reason);
        self.flush();
    }

    /// Sends a request to the relay's API, with this complete body.
    pub(crate) fn send_request(&mut self, head: &str, body: &[u8]) -> u32 {
        let number = self.session.request(head.as_bytes(), body.is_empty()).expect("open");
        self.flush();
        if !body.is_empty() {
            self.send(number, body, true);
        }
        number
    }

    /// The head of the response to this request, and whether it has no body.
    pub(crate) fn recv_response_head(&mut self, number: u32) -> (String, bool) {
        self.await_event(|event| match event {
            Event::Response { number: of, head, over } if *of == number => {
                Some((String::from_utf8(head.to_vec()).expect("a head is text"), *over))
            }
            Event::Cancelled(of, why) if *of == number => panic!("cancelled: {why:?}"),
            _ => None,
        })
    }

    /// The first bytes of the body of a response.
    pub(crate) fn recv_body_after_head(&mut self, number: u32) -> Vec<u8> {
        let (_, over) = self.recv_response_head(number);
        assert!(!over, "there is a body");
        self.recv_body_part(number).0
    }

    /// The complete response to this request.
    pub(crate) fn recv_response(&mut self, number: u32) -> (String, Vec<u8>) {
        let (head, over) = self.recv_response_head(number);
        let body = if over { Vec::new() } else { self.recv_rest_of_body(number) };
        (head, body)
    }

    /// Responds to every request with its request line and body, until the connection closes.
    pub(crate) fn echo(mut self) -> JoinHandle<Closed> {
        thread::spawn(move || {
            loop {
                match self.event() {
                    Event::Request { number, head, over } => {
                        let head = String::from_utf8(head.to_vec()).expect("text");
                        let line = head.lines().next().expect("a line").as_bytes().to_vec();
                        let body = if over { Vec::new() } else { self.recv_rest_of_body(number) };
                        self.respond_ok(number, &[&line[..], b"\n", &body].concat());
                    }
                    Event::Closed(how) => return how,
                    Event::Room(_) | Event::Sent(_) | Event::Draining | Event::Cancelled(..) => {}
                    other => panic!("not expected: {other:?}"),
                }
            }
        })
    }

    /// A second handle of its socket, for a thread that sends while this one reads.
    pub(crate) fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("dup")
    }

    /// Disconnects without a close frame.
    pub(crate) fn disconnect(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A client frame (RFC 6455, section 5.2), with a mask of zeros.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | u8::try_from(length).expect("short")),
        length @ 126..=0xffff => {
            frame.push(0xfe);
            frame.extend_from_slice(&u16::try_from(length).expect("16 bits").to_be_bytes());
        }
        length => {
            frame.push(0xff);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// A binary message of `rdv.socket.v1`.
pub(crate) fn frame(kind: u8, flags: u8, number: u32, payload: &[u8]) -> Vec<u8> {
    masked(0x82, &[&[kind, flags], &number.to_be_bytes()[..], payload].concat())
}
