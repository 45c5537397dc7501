//! Real proxies before the relay, as installed on this machine.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::clock::eventually;
use super::closed::ClosedPort;
use super::process::Process;
use super::skip::skip;
use super::wire::Wire;

/// `HAProxy`, with one listener and one server.
pub(crate) struct Haproxy {
    address: SocketAddr,
    _process: Process,
    _directory: TempDir,
}

impl Haproxy {
    /// It forwards connections; `server` is an address with options.
    pub(crate) fn tcp(server: &str) -> Option<Haproxy> {
        Haproxy::start("tcp", "60s", server)
    }

    /// It forwards requests, and closes connections that are idle for this time.
    pub(crate) fn http(timeout: &str, server: &str) -> Option<Haproxy> {
        Haproxy::start("http", timeout, server)
    }

    fn start(mode: &str, timeout: &str, server: &str) -> Option<Haproxy> {
        if !Path::new("/usr/sbin/haproxy").exists() {
            skip("haproxy", "it is not installed");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n  mode {mode}\n  timeout connect 5s\n  timeout client {timeout}\n  \
             timeout server {timeout}\nlisten relay\n  bind fd@0\n  server relay {server}\n"
        );
        std::fs::write(&file, text).expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(&file);
        let process = Process::reading(command, Stdio::from(OwnedFd::from(listener)));
        Some(Haproxy { address, _process: process, _directory: directory })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects from another address of this host.
    pub(crate) fn connect_from(&self, address: &str) -> Wire {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
        let from: SocketAddr = format!("{address}:0").parse().expect("an address");
        socket.bind(&from.into()).expect("all of 127.0.0.0/8 is this host");
        socket.connect(&self.address.into()).expect("connect to the proxy");
        Wire::over(socket.into())
    }
}

/// nginx, with one listener and one server.
pub(crate) struct Nginx {
    port: ClosedPort,
    _process: Process,
    _directory: TempDir,
}

impl Nginx {
    /// It forwards requests to this server, with these directives besides its defaults.
    pub(crate) fn start(server: SocketAddr, directives: &str) -> Option<Nginx> {
        if !Path::new("/usr/sbin/nginx").exists() {
            skip("nginx", "it is not installed");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let port = ClosedPort::new();
        let address = port.address();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {name};"))
            .concat();
        let text = format!(
            "daemon off; master_process off; pid pid; error_log stderr; events {{}} http {{ \
             access_log off; {paths} server {{ listen {address}; location / {{ \
             proxy_pass http://{server}; {directives} }} }} }}"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, text).expect("a configuration");
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(directory.path()).arg("-c").arg(&file);
        let mut process = Process::start(command);
        eventually("nginx listens", || {
            assert!(!process.ended(), "nginx ended: {}", process.stderr());
            Wire::try_connect(address)
        });
        Some(Nginx { port, _process: process, _directory: directory })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }
}
