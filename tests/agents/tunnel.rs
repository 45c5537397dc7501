//! The agent's end of a tunnel: requests arrive as plain HTTP/1.1.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::agent::Agent;
use crate::received_request::ReceivedRequest;
use crate::support::{Ask, Relay, TEST_TIMEOUT, Wire, ask};

/// A tunnel opened by an agent.
pub(crate) struct Tunnel {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The upgrade request of a tunnel.
pub(crate) fn open_request(connection: &str, secret: &str) -> Ask {
    ask("GET", "/socket/spare")
        .field("Connection", "Upgrade")
        .field("Upgrade", "rdv.spare.v1")
        .field("Rdv-Connection", connection)
        .field("Rdv-Spare", secret)
}

impl Tunnel {
    /// A tunnel of this agent.
    pub(crate) fn of(relay: &Relay, agent: &Agent) -> Tunnel {
        Tunnel::at(relay.address(), agent)
    }

    pub(crate) fn at(address: SocketAddr, agent: &Agent) -> Tunnel {
        let welcome = agent.welcome();
        let secret = welcome.tunnel_secret.expect("a secret for tunnels").to_string();
        let mut wire = Wire::connect(address);
        wire.ask(&open_request(&welcome.connection.to_string(), &secret));
        let head = wire.head();
        assert_eq!(head.status, 101, "{head:?}");
        assert_eq!(head.get("Upgrade"), Some("rdv.spare.v1"));
        Tunnel { stream: wire.sender(), received: Vec::new() }
    }

    /// The same over any connection.
    pub(crate) fn over(stream: TcpStream) -> Tunnel {
        stream.set_read_timeout(Some(TEST_TIMEOUT)).expect("SO_RCVTIMEO");
        Tunnel { stream, received: Vec::new() }
    }

    /// Reads once; returns whether bytes were received.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        let count = self.stream.read(&mut buffer).unwrap_or_else(|error| {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "nothing was received");
            0
        });
        self.received.extend_from_slice(&buffer[..count]);
        count > 0
    }

    fn read_past(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            let found = self.received.windows(mark.len()).position(|bytes| bytes == mark);
            if let Some(at) = found {
                return self.received.drain(..at + mark.len()).collect();
            }
            assert!(self.read(), "it ended after {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    /// The head of the next request.
    pub(crate) fn head(&mut self) -> String {
        String::from_utf8(self.read_past(b"\r\n\r\n")).expect("a head is text")
    }

    /// Exactly this number of bytes.
    pub(crate) fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.read(), "it ended after {} of {count} bytes", self.received.len());
        }
        self.received.drain(..count).collect()
    }

    /// A chunked body.
    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.read_past(b"\r\n")).expect("a size");
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
            body.extend(self.read_exactly(size));
            assert_eq!(self.read_exactly(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// The next request with its complete body.
    pub(crate) fn recv_request(&mut self) -> ReceivedRequest {
        let mut request = ReceivedRequest { number: 0, head: self.head(), body: Vec::new() };
        let length = request.get("Content-Length").map(|length| length.parse().expect("a length"));
        let chunked = request.get("Transfer-Encoding") == Some("chunked");
        request.body = match (length, chunked) {
            (Some(length), false) => self.read_exactly(length),
            (None, true) => self.chunks(),
            (None, false) => Vec::new(),
            (Some(_), true) => panic!("both framings: {}", request.head),
        };
        request
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("send to the relay");
    }

    /// A second handle, for a thread that sends while this one reads.
    pub(crate) fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("dup")
    }

    /// The same connection after HTTP has ended on it.
    pub(crate) fn into_wire(self) -> Wire {
        Wire::resumed(self.stream, self.received)
    }

    /// Responds with 200 and this body.
    pub(crate) fn respond_ok(&mut self, body: &[u8]) {
        self.send([crate::agent::ok(body.len()).as_bytes(), body].concat());
    }

    /// Waits until the relay closes it; no byte may be received before.
    pub(crate) fn expect_end(&mut self) {
        assert!(!self.read(), "more was received: {:?}", String::from_utf8_lossy(&self.received));
    }

    /// Reads and discards everything until the end.
    pub(crate) fn drain(&mut self) {
        while self.read() {
            self.received.clear();
        }
    }
}
