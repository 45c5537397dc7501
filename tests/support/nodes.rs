//! Relays that are nodes: each has its port as its number, so that all find each other by one template.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::process::Process;
use super::relay::Relay;

/// Where each node is.
pub(crate) const NODE_URL: &str = "http://127.0.0.1:{node}";

/// A node that knows where the others are.
pub(crate) fn node(flags: &[&str]) -> Relay {
    let (socket, address) = listener();
    let number = address.port().to_string();
    node_on(socket, &[&["--node-id", &number, "--node-url", NODE_URL], flags].concat())
}

/// A socket on a port that no other process has.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

/// A relay that listens on this socket; a shell passes it.
pub(crate) fn node_on(socket: TcpListener, flags: &[&str]) -> Relay {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_rdv"), "serve"]).args(flags);
    let socket = std::os::fd::OwnedFd::from(socket);
    Relay::from_process(Process::reading(command, Stdio::from(socket)), 1)
}

/// A balancer that knows nothing of HTTP: it gives each connection to the next node.
pub(crate) struct Balancer {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Balancer {
    pub(crate) fn before(nodes: &[&Relay]) -> Balancer {
        let (socket, address) = listener();
        let ends = Arc::new(AtomicBool::new(false));
        let (ended, nodes) = (Arc::clone(&ends), nodes.iter().map(|node| node.address()));
        let nodes: Vec<_> = nodes.collect();
        let accepting = thread::spawn(move || {
            for node in nodes.iter().cycle() {
                let client = socket.accept().expect("a connection").0;
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let server = TcpStream::connect(node).expect("a node");
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let both = [from, to].map(|socket| socket.try_clone().expect("a descriptor"));
                    thread::spawn(move || forward(both));
                }
            }
        });
        Balancer { address, ends, accepting: Some(accepting) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(accepting) = self.accepting.take().filter(|_| woken) {
            let _ = accepting.join();
        }
    }
}

/// Forwards what is received until its end, and then that. Either end can fail.
fn forward([mut from, mut to]: [TcpStream; 2]) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
