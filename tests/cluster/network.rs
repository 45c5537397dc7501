//! Hosts in network namespaces on one switch: `network_namespaces(7)`, `veth(4)`, `bridge(8)`.
//! Needs root and iproute2. The kernel removes a namespace once the descriptor here and the
//! processes in it have ended, for whatever reason.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::support::run;

/// The switch.
pub(crate) struct Network {
    switch: Namespace,
}

/// A host at 192.0.2.N (RFC 5737, section 3), all of whose ports are its own.
pub(crate) struct Host {
    pub(crate) number: u8,
    namespace: Namespace,
}

struct Namespace(File);

impl Namespace {
    /// A new one, made by a thread that ends; only root can.
    fn new() -> io::Result<Namespace> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        made.join().expect("no panic").map(Namespace)
    }

    /// Runs this in the namespace: sockets and processes that it creates stay there.
    fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).expect("it exists");
            act()
        };
        thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Runs a command of iproute2 there.
    fn ip(&self, command: &str) {
        self.within(|| run(&format!("ip {command}")).expect("iproute2"));
    }
}

impl Network {
    /// Returns the reason if this is impossible.
    pub(crate) fn new() -> Result<Network, String> {
        let switch = Namespace::new().map_err(|error| format!("no network namespaces: {error}"))?;
        switch.within(|| run("ip link add name switch type bridge"))?;
        switch.ip("link set switch up");
        Ok(Network { switch })
    }

    /// Connects a new host.
    pub(crate) fn host(&self, number: u8) -> Host {
        let namespace = Namespace::new().expect("another namespace");
        let peer = format!("/proc/{}/fd/{}", std::process::id(), namespace.0.as_raw_fd());
        self.switch.ip(&format!("link add port{number} type veth peer name eth0 netns {peer}"));
        self.switch.ip(&format!("link set port{number} master switch up"));
        let host = Host { number, namespace };
        host.namespace.ip(&format!("address add {}/24 dev eth0", host.ip()));
        host.namespace.ip("link set lo up");
        host.namespace.ip("link set eth0 up");
        // With bbr, bulk transfers over veth devices can stall for seconds.
        let control = "/proc/sys/net/ipv4/tcp_congestion_control";
        host.within(|| fs::write(control, "reno")).expect("reno is part of each kernel");
        host
    }

    /// Cuts a host off, or connects it again.
    pub(crate) fn set_link(&self, host: &Host, state: &str) {
        self.switch.ip(&format!("link set port{} {state}", host.number));
    }
}

impl Host {
    pub(crate) fn ip(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.number)
    }

    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.ip(), port))
    }

    /// Runs this on the host.
    pub(crate) fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        self.namespace.within(act)
    }
}
