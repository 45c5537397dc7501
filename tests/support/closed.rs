//! Addresses where connections are refused for certain.
//!
//! Closing a listener is not enough: a process that another test is about to start has a copy of
//! it until execve(2), and its port may be taken by another test.

use nix::sys::socket::{Shutdown, shutdown};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;

/// A port of this host that is in use, and at which no process listens.
///
/// A server may be started there, stopped, and started again: servers permit that with
/// `SO_REUSEADDR`, and no other test is given the port in between, as can happen to one that was
/// free for a moment.
pub(crate) struct ClosedPort(Socket);

impl ClosedPort {
    pub(crate) fn new() -> ClosedPort {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bind");
        ClosedPort(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address").as_socket().expect("of IPv4")
    }
}

/// Closes a listener or a connection, and all copies of it.
pub(crate) fn close(socket: impl AsRawFd) {
    shutdown(socket.as_raw_fd(), Shutdown::Both).expect("shutdown");
    drop(socket);
}
