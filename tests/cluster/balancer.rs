//! `HAProxy` with its file of `deploy/scale/`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::network::{Host, Network};
use crate::node::{Node, PORT};
use crate::support::{Process, Wire, eventually};

const PROGRAM: &str = "/usr/sbin/haproxy";
const HOST: u8 = 1;
const SOCKET: &str = "admin.sock";
/// The first server of each backend in the file.
const FIRST: &str = "n0000";
/// Servers that are added cannot have this, and do not get checks from `default-server`.
const ONLY_AT_START: &str = " tcp-ut 15s";
const CHECKS: &str = "check port 9090 inter 1s fall 2 rise 2";
const FILE: &str = include_str!("../../deploy/scale/haproxy.cfg");

pub(crate) struct Balancer {
    process: Process,
    directory: TempDir,
    host: Host,
}

impl Balancer {
    pub(crate) fn is_installed() -> bool {
        Path::new(PROGRAM).exists()
    }

    /// Starts it on a new host, with these nodes.
    pub(crate) fn start(network: &Network, nodes: &[Node]) -> Balancer {
        let host = network.host(HOST);
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(PROGRAM);
        command.arg("-db").arg("-f").arg(write(&directory, nodes));
        let process = host.within(|| Process::start(command));
        Balancer { process, directory, host }
    }

    /// Where it serves clients.
    pub(crate) fn address(&self) -> SocketAddr {
        self.host.address(80)
    }

    pub(crate) fn await_serving(&mut self) {
        eventually("the balancer serves", || {
            assert!(!self.process.ended(), "{}", self.process.stderr());
            Wire::try_connect(self.address()).map(drop)
        });
    }

    /// Adds a node that it was not started with, without a reload.
    pub(crate) fn add(&self, node: &Node) {
        for (backend, server) in servers() {
            let server = for_node(server, node).replace(ONLY_AT_START, "");
            let name = name(node);
            let added = self.order(&format!("add server {backend}/{server} {CHECKS}"));
            assert!(added.contains("New server registered"), "{added}");
            self.order(&format!("enable health {backend}/{name}"));
            self.order(&format!("enable server {backend}/{name}"));
        }
    }

    /// Waits until it has this opinion of a node in this backend.
    pub(crate) fn await_status(&self, backend: &str, node: &Node, wanted: &str) {
        let start = format!("{backend},{},", name(node));
        let mut last = String::new();
        eventually(&format!("{start} is {wanted}"), || {
            last = self.order("show stat");
            let line = last.lines().find(|line| line.starts_with(&start))?;
            line.split(',').nth(17)?.starts_with(wanted).then_some(())
        });
    }

    /// Sends a command, and returns what it printed.
    fn order(&self, command: &str) -> String {
        let path = self.directory.path().join(SOCKET);
        // It is made after the listener of clients.
        let connect = || UnixStream::connect(&path).ok();
        let mut socket = eventually("the admin socket is served", connect);
        socket.write_all(format!("{command}\n").as_bytes()).expect("a command");
        let mut printed = String::new();
        socket.read_to_string(&mut printed).expect("what it printed");
        printed
    }

    /// Ends it.
    pub(crate) fn finish(self) {
        self.process.signal(Signal::SIGTERM);
        self.process.finish();
    }
}

/// Writes the file with these nodes.
fn write(directory: &TempDir, nodes: &[Node]) -> PathBuf {
    let socket = directory.path().join(SOCKET);
    let text = configuration(nodes).replace("/run/haproxy/admin.sock", &socket.to_string_lossy());
    // Within the limit on open files of any machine.
    let text = text.replace("maxconn 100000", "maxconn 4000");
    let file = directory.path().join("haproxy.cfg");
    fs::write(&file, text).expect("a configuration");
    file
}

/// The file with these nodes, and without TLS.
fn configuration(nodes: &[Node]) -> String {
    let lines = FILE.lines().filter(|line| !line.contains("ssl") && !line.contains("scheme https"));
    let written = lines.flat_map(|line| match line.trim().strip_prefix("server ") {
        Some(server) if server.starts_with(FIRST) => {
            nodes.iter().map(|node| format!("    server {}", for_node(server, node))).collect()
        }
        Some(_) => Vec::new(),
        None => vec![line.to_owned()],
    });
    written.map(|line| line + "\n").collect()
}

/// The first server of each backend.
fn servers() -> Vec<(&'static str, &'static str)> {
    let mut backend = "";
    let mut found = Vec::new();
    for line in FILE.lines() {
        backend = line.strip_prefix("backend ").unwrap_or(backend);
        let server = line.trim().strip_prefix("server ");
        found.extend(server.filter(|server| server.starts_with(FIRST)).map(|it| (backend, it)));
    }
    found
}

/// The line of the first server, for this node.
fn for_node(server: &str, node: &Node) -> String {
    let server = server.replace(FIRST, &name(node));
    let server = server.replace("10.0.0.1:8080", &node.host.address(PORT).to_string());
    server.replace("id 1", &format!("id {}", node.number()))
}

fn name(node: &Node) -> String {
    format!("n{:04x}", node.number())
}
