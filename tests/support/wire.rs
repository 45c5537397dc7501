//! A raw HTTP/1.x client on one socket: it sends exact bytes and reports how responses ended.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use socket2::{Domain, SockRef, Socket, Type};

use super::clock::TEST_TIMEOUT;
use super::encrypted::{self, Handle, Session};
use super::request::Ask;
use super::response::{Ending, Head, Response};

/// One connection, and the bytes received on it but not yet taken.
pub(crate) struct Wire {
    stream: TcpStream,
    /// Its TLS session, where tests run over TLS.
    session: Option<Session>,
    received: Vec<u8>,
    incoming: Incoming,
}

/// The rest of the body whose head was read last.
enum Incoming {
    /// This number of bytes.
    Length(u64),
    /// The rest of this chunk, then more chunks; `None` before a size line.
    Chunked(Option<u64>),
    /// Everything up to the close.
    UntilClose,
    /// Nothing: the body ended in this way.
    Over(Ending),
}

/// The result of one read.
enum Arrival {
    Bytes,
    End(Ending),
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Wire {
        Wire::try_connect(address).expect("connect to the relay")
    }

    /// Connects, unless nothing listens.
    pub(crate) fn try_connect(address: SocketAddr) -> Option<Wire> {
        if let Some((stream, session)) = encrypted::begun(address) {
            let mut wire = Wire::over(stream);
            wire.session = Some(session);
            return Some(wire);
        }
        let front = encrypted::front_of(address);
        let target = front.as_ref().map_or(address, |(front, _)| *front);
        let stream = TcpStream::connect_timeout(&target, TEST_TIMEOUT).ok()?;
        Some(Wire::over(stream).with_session(front))
    }

    /// Connects to a Unix socket; methods specific to TCP do not work on it.
    pub(crate) fn connect_unix(path: &Path) -> Wire {
        let stream = UnixStream::connect(path).expect("connect to the relay's socket");
        Wire::timed(TcpStream::from(OwnedFd::from(stream)))
    }

    /// Connects with the smallest receive buffer, so that unread bytes stay with the sender.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Wire {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("socket");
        socket.set_recv_buffer_size(4096).expect("SO_RCVBUF");
        let front = encrypted::front_of(address);
        let target = front.as_ref().map_or(address, |(front, _)| *front);
        socket.connect(&target.into()).expect("connect to the relay");
        Wire::over(socket.into()).with_session(front)
    }

    /// Connects to an HTTPS address with this configuration.
    pub(crate) fn encrypted(address: SocketAddr, config: Arc<ClientConfig>) -> Wire {
        let stream = TcpStream::connect_timeout(&address, TEST_TIMEOUT).expect("connect");
        Wire::over(stream).with_session(Some((address, config)))
    }

    /// Disconnects with a FIN, but without `close_notify`, as a cut connection does.
    pub(crate) fn cut(mut self) {
        self.session = None;
    }

    fn with_session(mut self, front: Option<(SocketAddr, Arc<ClientConfig>)>) -> Wire {
        self.session = front.map(|(_, config)| Session::begin(&self.stream, config));
        self
    }

    /// Uses an existing connection.
    pub(crate) fn over(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Wire::timed(stream)
    }

    /// Speaks over a connection of which these bytes were received, but not yet taken.
    pub(crate) fn resumed(stream: TcpStream, received: Vec<u8>) -> Wire {
        let mut wire = Wire::over(stream);
        wire.received = received;
        wire
    }

    fn timed(stream: TcpStream) -> Wire {
        stream.set_read_timeout(Some(TEST_TIMEOUT)).expect("SO_RCVTIMEO");
        stream.set_write_timeout(Some(TEST_TIMEOUT)).expect("SO_SNDTIMEO");
        Wire {
            stream,
            session: None,
            received: Vec::new(),
            incoming: Incoming::Over(Ending::Complete),
        }
    }

    /// A second handle on the same socket, for a thread that sends while this one reads.
    pub(crate) fn sender(&self) -> TcpStream {
        assert!(self.session.is_none(), "two threads cannot share a session");
        self.stream.try_clone().expect("dup")
    }

    /// A second handle on the same connection, plain or with TLS.
    pub(crate) fn handle(&self) -> Handle {
        let socket = self.stream.try_clone().expect("dup");
        Handle { socket, session: self.session.clone() }
    }

    /// Sends all of it.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("send to the relay");
    }

    /// Sends all of it, or returns the error; a peer that neither reads nor closes is a failure of
    /// the test.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let sent = match &self.session {
            Some(session) => session.write_all(&self.stream, bytes.as_ref()),
            None => (&self.stream).write_all(bytes.as_ref()),
        };
        let stalled = matches!(&sent, Err(error) if error.kind() == ErrorKind::WouldBlock);
        assert!(!stalled, "the relay neither takes more nor closes");
        sent
    }

    /// Sends a request without waiting for its response.
    pub(crate) fn ask(&mut self, ask: &Ask) {
        self.send(ask.bytes());
    }

    /// Sends until the write would block; `None` once the connection is broken.
    pub(crate) fn send_what_fits(&mut self, bytes: &[u8]) -> Option<usize> {
        self.stream.set_nonblocking(true).expect("O_NONBLOCK");
        let sent = match &self.session {
            Some(session) => session.write(&self.stream, bytes),
            None => (&self.stream).write(bytes),
        };
        self.stream.set_nonblocking(false).expect("O_NONBLOCK");
        match sent {
            Ok(count) => Some(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    /// Sends a request and reads its complete response.
    pub(crate) fn exchange(&mut self, ask: &Ask) -> Response {
        self.ask(ask);
        self.response_to(ask.method())
    }

    /// Reads a complete response (to anything but `HEAD`).
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads a complete response to a request with this method.
    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        let head = self.head_to(method);
        let (body, ending) = self.rest();
        Response { head, body, ending }
    }

    /// Reads a complete response (to anything but `HEAD`), or how the connection ended without one.
    pub(crate) fn try_response(&mut self) -> Result<Response, Ending> {
        let head = self.try_head("GET")?;
        let (body, ending) = self.rest();
        Ok(Response { head, body, ending })
    }

    /// Reads the head of a response (to anything but `HEAD`); its body is next.
    pub(crate) fn head(&mut self) -> Head {
        self.head_to("GET")
    }

    fn head_to(&mut self, method: &str) -> Head {
        let shown = self.try_head(method);
        shown.unwrap_or_else(|ending| panic!("no head, but {ending:?} after {:?}", self.shown()))
    }

    fn try_head(&mut self, method: &str) -> Result<Head, Ending> {
        let head = Head::parse(&self.read_past(b"\r\n\r\n")?);
        self.incoming = framing(&head, method);
        Ok(head)
    }

    /// Whether the response was a complete success; the connection can also end without a response.
    pub(crate) fn succeeded(&mut self) -> bool {
        let success = self.try_head("GET").is_ok_and(|head| head.status == 200);
        success && self.rest().1 == Ending::Complete
    }

    /// Reads `100 Continue`.
    pub(crate) fn expect_continue(&mut self) {
        assert_eq!(self.head().status, 100);
    }

    /// Reads this number of bytes of the body; panics if it ends before.
    pub(crate) fn body(&mut self, count: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < count {
            let some = self.read_some(count - body.len());
            assert!(!some.is_empty(), "the body ended after {} of {count}", body.len());
            body.extend_from_slice(&some);
        }
        body
    }

    /// Reads and discards this number of bytes of the body; panics if it ends before.
    pub(crate) fn skip(&mut self, count: usize) {
        let mut skipped = 0;
        while skipped < count {
            let some = self.read_some(count - skipped).len();
            assert!(some > 0, "the body ended after {skipped} of {count}");
            skipped += some;
        }
    }

    /// Reads the rest of the body, and how it ended.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Ending) {
        let mut body = Vec::new();
        loop {
            let some = self.read_some(usize::MAX);
            if let (true, Incoming::Over(ending)) = (some.is_empty(), &self.incoming) {
                return (body, *ending);
            }
            body.extend_from_slice(&some);
        }
    }

    /// At most `most` bytes of the body; none at its end.
    pub(crate) fn read_some(&mut self, most: usize) -> Vec<u8> {
        loop {
            let left = match self.incoming {
                Incoming::Over(_) => return Vec::new(),
                Incoming::Length(0) => {
                    self.incoming = Incoming::Over(Ending::Complete);
                    return Vec::new();
                }
                Incoming::Chunked(None | Some(0)) => {
                    self.next_chunk();
                    continue;
                }
                Incoming::Length(left) | Incoming::Chunked(Some(left)) => left,
                Incoming::UntilClose => u64::MAX,
            };
            if self.received.is_empty()
                && let Arrival::End(ending) = self.receive()
            {
                let unframed = matches!(self.incoming, Incoming::UntilClose);
                let orderly = unframed && ending == Ending::Closed;
                self.incoming = Incoming::Over(if orderly { Ending::Complete } else { ending });
                return Vec::new();
            }
            let count =
                self.received.len().min(most).min(usize::try_from(left).unwrap_or(usize::MAX));
            self.take_from_body(count as u64);
            return self.received.drain(..count).collect();
        }
    }

    fn take_from_body(&mut self, count: u64) {
        match &mut self.incoming {
            Incoming::Length(left) | Incoming::Chunked(Some(left)) => *left -= count,
            Incoming::Chunked(None) | Incoming::UntilClose | Incoming::Over(_) => {}
        }
    }

    /// Reads one chunk of the body; panics if there is no further one.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        self.next_chunk();
        let Incoming::Chunked(Some(size)) = self.incoming else { panic!("the body ended") };
        self.body(usize::try_from(size).expect("a chunk fits memory"))
    }

    /// Reads a size line, and the empty line before it where a chunk just ended.
    fn next_chunk(&mut self) {
        let within = matches!(self.incoming, Incoming::Chunked(Some(0)));
        let line = if within { self.read_past(b"\r\n") } else { Ok(Vec::new()) };
        let line = line.and_then(|gap| {
            assert!(gap.is_empty(), "no CRLF after a chunk, but {gap:?}");
            self.read_past(b"\r\n")
        });
        let line = match line {
            Ok(line) => String::from_utf8(line).expect("a size line is ASCII"),
            Err(ending) => return self.incoming = Incoming::Over(ending),
        };
        // The relay frames bodies itself: bare sizes, no extensions, no trailers.
        let size = u64::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("size line {line:?}"));
        self.incoming = Incoming::Chunked(Some(size));
        if size == 0 {
            let ending = match self.read_past(b"\r\n") {
                Ok(line) => {
                    assert!(line.is_empty(), "a trailer: {line:?}");
                    Ending::Complete
                }
                Err(ending) => ending,
            };
            self.incoming = Incoming::Over(ending);
        }
    }

    /// Takes the bytes before `mark`, and discards the mark.
    fn read_past(&mut self, mark: &[u8]) -> Result<Vec<u8>, Ending> {
        loop {
            if let Some(at) = self.received.windows(mark.len()).position(|bytes| bytes == mark) {
                let taken = self.received.drain(..at).collect();
                self.received.drain(..mark.len());
                return Ok(taken);
            }
            if let Arrival::End(ending) = self.receive() {
                return Err(ending);
            }
        }
    }

    fn receive(&mut self) -> Arrival {
        let mut buffer = [0; 16 * 1024];
        let read = match &self.session {
            Some(session) => session.read(&self.stream, &mut buffer),
            None => self.stream.read(&mut buffer),
        };
        match read {
            Ok(0) => {
                let truncated = self.session.is_some() && self.is_within_a_body();
                assert!(!truncated, "a truncated body ended with close_notify");
                Arrival::End(Ending::Closed)
            }
            // Without close_notify a body that only the end delimits is not complete.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let unframed = matches!(self.incoming, Incoming::UntilClose);
                Arrival::End(if unframed { Ending::Reset } else { Ending::Closed })
            }
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Arrival::Bytes
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Arrival::Bytes,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Arrival::End(Ending::Reset),
            Err(error) => panic!("no byte received ({error}) after {:?}", self.shown()),
        }
    }

    /// Whether the body that is being read has a declared end, which was not received.
    fn is_within_a_body(&self) -> bool {
        match self.incoming {
            Incoming::Length(left) => left > self.received.len() as u64,
            Incoming::Chunked(_) => true,
            Incoming::UntilClose | Incoming::Over(_) => false,
        }
    }

    /// How many received bytes were not read yet.
    pub(crate) fn unread_bytes(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.stream).expect("FIONREAD")
    }

    /// Reads this many raw bytes; panics if the connection ends before.
    pub(crate) fn raw(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            if let Arrival::End(ending) = self.receive() {
                panic!("{ending:?} after {} of {count} bytes", self.received.len());
            }
        }
        self.received.drain(..count).collect()
    }

    /// Reads raw bytes to the end of the connection.
    pub(crate) fn read_to_end(&mut self) -> (Vec<u8>, Ending) {
        loop {
            if let Arrival::End(ending) = self.receive() {
                return (std::mem::take(&mut self.received), ending);
            }
        }
    }

    /// Only the end of the connection follows.
    pub(crate) fn expect_end(&mut self) {
        let (bytes, _ending) = self.read_to_end();
        assert!(bytes.is_empty(), "more was received: {:?}", String::from_utf8_lossy(&bytes));
    }

    /// Nothing was received so far, not even an end.
    pub(crate) fn assert_silent(&mut self) {
        assert!(self.received.is_empty(), "bytes received: {:?}", self.shown());
        self.stream.set_nonblocking(true).expect("O_NONBLOCK");
        if let Some(session) = &self.session {
            assert!(session.is_silent(&self.stream), "not silent");
            return self.stream.set_nonblocking(false).expect("O_NONBLOCK");
        }
        let found = self.stream.peek(&mut [0; 256]);
        self.stream.set_nonblocking(false).expect("O_NONBLOCK");
        let silent = matches!(&found, Err(error) if error.kind() == ErrorKind::WouldBlock);
        assert!(silent, "not silent: {found:?}");
    }

    /// Sends FIN and continues to read.
    pub(crate) fn finish_sending(&mut self) {
        self.handle().finish_sending();
    }

    /// Disconnects with a reset instead of a FIN.
    pub(crate) fn reset(mut self) {
        self.session = None;
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }

    /// Disconnects in this way.
    pub(crate) fn leave(self, way: Disconnect) {
        match way {
            Disconnect::Close => drop(self),
            Disconnect::Reset => self.reset(),
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.received[..self.received.len().min(300)]).into_owned()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            // A peer that reads nothing would block it.
            let _ = self.stream.set_nonblocking(true);
            session.end(&self.stream);
        }
    }
}

/// How a peer disconnects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disconnect {
    /// With a FIN.
    Close,
    /// With a reset (`SO_LINGER` of 0).
    Reset,
}

/// Both ways to disconnect.
pub(crate) const DISCONNECTS: [Disconnect; 2] = [Disconnect::Close, Disconnect::Reset];

fn framing(head: &Head, method: &str) -> Incoming {
    let coding = head.get("Transfer-Encoding").map(str::to_ascii_lowercase);
    let length = head.get("Content-Length").map(|length| {
        assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "Content-Length: {length:?}");
        length.parse().expect("a Content-Length of 64 bits")
    });
    assert!(coding.is_none() || length.is_none(), "both framings: {head:?}");
    let bodyless = matches!(head.status, 100..=199 | 204 | 304);
    match (coding.as_deref(), length) {
        _ if bodyless || method == "HEAD" => Incoming::Over(Ending::Complete),
        (Some("chunked"), _) => Incoming::Chunked(None),
        (Some(other), _) => panic!("Transfer-Encoding: {other}"),
        (None, Some(length)) => Incoming::Length(length),
        (None, None) => Incoming::UntilClose,
    }
}
