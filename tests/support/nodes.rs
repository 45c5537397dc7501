//! Relays that are nodes: each has its port as its number, so that all find each other by one template.

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

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
