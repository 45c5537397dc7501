//! Whether an address to listen on is free, and if not, which program uses it.

use crate::ops::doctor::network::Port;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Timeout of a ping: a relay answers in far less.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum answer size: the expected answers are smaller.
const ANSWER_MAX: u64 = 4096;

/// A header of the PROXY protocol, version 1, that declares no address.
const UNKNOWN_PEER: &str = "PROXY UNKNOWN\r\n";

/// Binds as a relay does, but never listens, so that no client connects to the doctor.
pub(super) fn check(address: SocketAddr) -> Port {
    let Err(error) = bind(address) else { return Port::Free };
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EADDRINUSE) => relay(address).map_or(Port::Taken, Port::Served),
        Some(Errno::EACCES | Errno::EPERM) => Port::Forbidden,
        Some(Errno::EADDRNOTAVAIL) => Port::Foreign,
        Some(_) | None => Port::Fails(error.to_string()),
    }
}

fn bind(address: SocketAddr) -> io::Result<()> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// Returns the name and, if it reports that, the version of the relay that listens on an address;
/// `None` for anything else.
fn relay(address: SocketAddr) -> Option<String> {
    const NAME: &str = env!("CARGO_PKG_NAME");
    let answer = match ask(address, "") {
        Ok(answer) if !answer.is_empty() => answer,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return None;
        }
        // A relay that requires the PROXY protocol closes connections without its header.
        Ok(_) | Err(_) => ask(address, UNKNOWN_PEER).ok()?,
    };
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // A port for HTTPS or agents, or one that redirects, refuses the request as only a relay does.
    if head.contains("\r\nRdv-Error: ") {
        return Some(NAME.to_owned());
    }
    let about: serde_json::Value = serde_json::from_str(body).ok()?;
    (about["name"] == NAME).then_some(())?;
    Some(format!("{NAME} {}", about["version"].as_str()?))
}

/// Returns the answer to a request for the version, after this header.
fn ask(address: SocketAddr, header: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&reachable(address), TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    socket.write_all(format!("{header}GET /version HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    socket.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Returns an address at which a listener on all addresses can be reached.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn free_ports_and_foreign_addresses_are_recognized() {
        assert_eq!(check("127.0.0.1:0".parse().unwrap()), Port::Free);
        // TEST-NET-1, RFC 5737: not assigned to any host.
        assert_eq!(check("192.0.2.1:0".parse().unwrap()), Port::Foreign);
    }

    #[test]
    fn a_port_of_another_server_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let _ = peer.read(&mut [0; 1024]).unwrap();
            peer.write_all(b"HTTP/1.0 200 OK\r\n\r\nsomething else\n").unwrap();
        });
        assert_eq!(check(address), Port::Taken);
        server.join().unwrap();
    }
}
