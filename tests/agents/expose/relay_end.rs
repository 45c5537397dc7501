//! The relay's end of tunnels, without a relay.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::support::{TEST_TIMEOUT, Wire};

/// Accepts tunnels.
pub(crate) struct RelayEnd {
    address: SocketAddr,
    tunnels: Receiver<(Vec<String>, TcpStream)>,
}

impl RelayEnd {
    /// Accepts every tunnel.
    pub(crate) fn new() -> RelayEnd {
        RelayEnd::answering(
            "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: rdv.spare.v1\r\n\r\n",
        )
    }

    /// Sends this response to each upgrade.
    pub(crate) fn answering(answer: &'static str) -> RelayEnd {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("an address");
        let (sender, tunnels) = mpsc::channel();
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let mut lines = Vec::new();
                let mut reader = BufReader::new(&socket);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("a line");
                    match line.trim_end() {
                        "" => break,
                        line => lines.push(line.to_owned()),
                    }
                }
                assert!(reader.buffer().is_empty(), "nothing before the answer");
                (&socket).write_all(answer.as_bytes()).expect("room");
                if sender.send((lines, socket)).is_err() {
                    return;
                }
            }
        });
        RelayEnd { address, tunnels }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next tunnel, and the request lines of its upgrade.
    pub(crate) fn tunnel_and_head(&self) -> (Wire, Vec<String>) {
        let (lines, socket) = self.tunnels.recv_timeout(TEST_TIMEOUT).expect("a tunnel");
        (Wire::over(socket), lines)
    }

    /// The next tunnel.
    pub(crate) fn tunnel(&self) -> Wire {
        self.tunnel_and_head().0
    }

    /// Tunnels that were opened and not taken yet.
    pub(crate) fn unexpected_connections(&self) -> usize {
        self.tunnels.try_iter().count()
    }
}
